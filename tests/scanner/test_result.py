from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from scanner.demo.base import shipped
from scanner.errors import ScanError
from scanner.result import Result, dumps, load, schema, write
from scanner.scan import scan
from tests.adapters import adapter, documented


@pytest.fixture(scope="module")
def tampered() -> Result:
    return scan(shipped("tampered"))


def test_a_result_comes_back_as_it_was_written(tampered: Result, tmp_path: Path) -> None:
    write(tampered, tmp_path / "result.json")
    assert load(tmp_path / "result.json") == tampered


def test_a_result_fits_its_schema(tampered: Result, tmp_path: Path) -> None:
    Draft202012Validator.check_schema(schema())
    validator = Draft202012Validator(schema())
    for result in (tampered, scan(documented(tmp_path / "a")), scan(adapter(tmp_path / "b", r=0x7FFF, lora_alpha=-1e9))):
        validator.validate(json.loads(dumps(result)))


def test_the_schema_refuses_what_is_not_a_result(tampered: Result) -> None:
    broken = json.loads(dumps(tampered))
    broken["verdict"]["outcome"] = "fine"
    assert not Draft202012Validator(schema()).is_valid(broken)


def test_two_scans_differ_in_timings_only() -> None:
    one, two = (msgspec.structs.replace(scan(shipped("tampered")), timings={}) for _ in range(2))
    assert dumps(one) == dumps(two)


def test_every_raised_rule_is_declared_in_the_result(tampered: Result) -> None:
    assert {f.rule for f in tampered.findings} == {r.id for r in tampered.rules}
    assert [tampered.findings[r.finding].severity for r in tampered.verdict.reasons if r.finding is not None]


def test_what_is_not_a_result_is_refused_in_one_line(tampered: Result, tmp_path: Path) -> None:
    other = msgspec.structs.replace(tampered, schema_version=99)
    for data in (b"", b"{}", b"[1]", b"\xff", dumps(tampered)[:-9], dumps(other)):
        (tmp_path / "r.json").write_bytes(data)
        with pytest.raises(ScanError) as error:
            load(tmp_path / "r.json")
        assert str(error.value).isprintable()
    with pytest.raises(ScanError, match="cannot be read"):
        load(tmp_path / "none.json")
