"""No input of any parser leads to anything but a result or one printable line; what fuzzing found stays found."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.evasions.build import zipped
from benchmarks.evasions.packed import tarred
from benchmarks.evasions.uploads import entries
from benchmarks.fuzzing import TARGETS, clean_up
from scanner.errors import ScanError
from scanner.result import load
from tests.fuzz import strategies

CORPUS = Path(__file__).parent / "corpus"
INPUTS: dict[str, st.SearchStrategy[bytes]] = {
    "container": strategies.containers(),
    "json": strategies.JSON.map(strategies.dumped).flatmap(strategies.cuts),
    "template": strategies.TEMPLATES,
    "tensors": strategies.PICKLES,
    "gguf": strategies.ggufs(),
    "zip": strategies.cuts(zipped(entries(), zipfile.ZIP_DEFLATED)),
    "tar": strategies.cuts(tarred(entries())),
    "weights": strategies.containers(),
    "config": strategies.configurations(),
    "card": strategies.cards(),
    "tokenizer": strategies.tokenizers(),
    "settings": strategies.SETTINGS,
    "chat": strategies.TEMPLATES,
    "pickle": strategies.PICKLES,
    "archive": strategies.PICKLES,
    "sums": strategies.SUMS,
    "signature": strategies.SIGNATURES,
}
DIRECT = ("container", "json", "template", "tensors")
SLOW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
QUICK = settings(SLOW, max_examples=120)


@pytest.fixture(scope="module", autouse=True)
def cleaned() -> Iterator[None]:
    yield
    clean_up()


def test_every_target_is_given_inputs() -> None:
    assert set(INPUTS) == set(TARGETS)


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_made_up_is_a_result_or_one_line(name: str) -> None:
    given(INPUTS[name])(QUICK(TARGETS[name].run) if name in DIRECT else SLOW(TARGETS[name].run))()


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.input")), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_what_fuzzing_kept_is_a_result_or_one_line(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("data", [b'{"schema_version": "\xff"}', b'{"\xff": 1}', b"\xff\xfe"])
def test_a_result_that_is_not_utf8_is_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(data)
    with pytest.raises(ScanError) as error:
        load(path)
    assert str(error.value).isprintable()
