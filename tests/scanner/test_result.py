from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from scanner.demo.base import shipped
from scanner.errors import ScanError
from scanner.result import Result, dumps, load, loads, write
from scanner.scan import scan
from scanner.schema import schema, text
from scanner.verdict import Outcome, Reason
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


def test_the_schema_in_the_documentation_is_current() -> None:
    committed = (Path(__file__).parents[2] / "docs" / "result.schema.json").read_bytes()
    assert committed == text(), "result.json changed: run `unmask schema > docs/result.schema.json`"


def test_the_schema_explains_itself() -> None:
    found = schema()["$defs"]
    assert found["Witness"]["properties"]["new_tokens"]["description"] == "Longest answer, in tokens."
    assert found["PairedTest"]["properties"]["high"]["description"] == "95 % interval of `change` (Newcombe 1998, method 10)."
    assert "Kind" in found


def test_a_reader_takes_fields_it_does_not_know_and_fills_those_it_misses(tampered: Result, tmp_path: Path) -> None:
    newer = json.loads(dumps(tampered))
    newer["invented_later"] = {"a": [1]}
    newer["verdict"]["also_later"] = True
    for added in ("licence", "datasets"):
        del newer["scope"]["adapter"][added]
    (tmp_path / "r.json").write_text(json.dumps(newer))
    found = load(tmp_path / "r.json")
    assert found.findings == tampered.findings
    assert found.scope.adapter.licence == ""


def test_a_result_that_contradicts_itself_is_refused(tampered: Result, tmp_path: Path) -> None:
    for broken in (
        msgspec.structs.replace(tampered, rules=()),
        msgspec.structs.replace(tampered, findings=()),
        msgspec.structs.replace(tampered, verdict=msgspec.structs.replace(tampered.verdict, reasons=(Reason(outcome=Outcome.BLOCK, text="x", finding=-1),))),
    ):
        (tmp_path / "r.json").write_bytes(dumps(broken))
        with pytest.raises(ScanError, match="not an unmask result"):
            load(tmp_path / "r.json")
    (tmp_path / "deep.json").write_bytes(b'{"x":' + b"[" * 200_000)
    with pytest.raises(ScanError):
        load(tmp_path / "deep.json")


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "results").glob("*.json")), ids=lambda p: p.name)
def test_a_result_that_an_earlier_version_wrote_is_read(path: Path) -> None:
    found = load(path)
    assert found.tool == f"unmask {path.stem}"
    assert {f.rule for f in found.findings} == {"pickle-code", "card-missing"}
    assert load(path) == loads(dumps(found), "again")
