"""The in-toto statement: its official messages, what it claims, and signing it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from reports.attestation import AttestationReport
from scanner.cli import main
from scanner.demo.base import shipped
from scanner.result import dumps
from scanner.scan import scan
from scanner.verdict import Outcome
from tests.keys import keys
from tests.reports.hostile import hostile
from tests.reports.sample import full, static


def statement(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(AttestationReport().render(result))
    return found


def test_the_statement_is_the_one_in_toto_defines() -> None:
    for result in (full(), static(), hostile(), scan(shipped("tampered"))):
        message = json_format.ParseDict(statement(result), statement_pb2.Statement())
        Statement.copy_from_pb(message).validate()
        predicate = statement(result)["predicate"]
        json_format.ParseDict({k: v for k, v in predicate.items() if ":" not in k}, test_result_pb2.TestResult())


@pytest.mark.parametrize(("outcome", "result"), [("pass", "PASSED"), ("review", "WARNED"), ("block", "FAILED"), ("incomplete", "FAILED")])
def test_only_a_pass_has_passed(outcome: str, result: str) -> None:
    changed = msgspec.structs.replace(full(), verdict=msgspec.structs.replace(full().verdict, outcome=Outcome(outcome)))
    assert statement(changed)["predicate"]["result"] == result


def test_it_binds_files_policy_base_and_result() -> None:
    found = statement(full())
    assert {s["name"]: s["digest"]["sha256"] for s in found["subject"]} == {f.path: f.sha256 for f in full().files}
    digests = {c["name"]: c["digest"]["sha256"] for c in found["predicate"]["configuration"]}
    assert digests["policy default"] == full().verdict.policy_sha256
    assert digests["result.json"] == hashlib.sha256(dumps(full())).hexdigest()
    assert full().scope.base.sha256 in digests.values()  # type: ignore[union-attr]
    assert "rule:trigger-confirmed" in found["predicate"]["failedTests"]
    assert "probe:weights-vs-population" in found["predicate"]["warnedTests"]


def unmask(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_a_signed_attestation_verifies_under_its_key_and_for_its_files_only(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(shipped("benign"), adapter)
    private, public = keys(tmp_path)
    made = unmask("scan", adapter, "--format", "json", "--output", tmp_path, "--sign", private)
    assert made.exit_code == 0, made.output
    envelope = tmp_path / "attestation.dsse.json"
    assert "beside it: attestation.dsse.json" in made.stdout
    assert envelope.is_file()

    told = unmask("verify-attestation", envelope, "--key", public, "--adapter", adapter)
    assert (told.exit_code, "exactly these files" in told.stdout) == (0, True), told.output

    (adapter / "README.md").write_text("changed")
    (adapter / "new.txt").write_text("new")
    (adapter / "adapter_config.json").unlink()
    told = unmask("verify-attestation", envelope, "--key", public, "--adapter", adapter)
    assert told.exit_code == 1
    assert [line.split()[0] for line in told.stdout.splitlines()[2:]] == ["changed:", "missing:", "not"]

    other = unmask("verify-attestation", envelope, "--key", keys(tmp_path, "other")[1])
    assert (other.exit_code, other.stdout) == (2, "")
    assert "did not sign this" in other.stderr


def test_signing_the_same_result_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    private, _ = keys(tmp_path)
    (tmp_path / "result.json").write_bytes(dumps(full()))
    for name in ("one", "two"):
        assert unmask("report", tmp_path / "result.json", "--format", "attestation", "--output", tmp_path / name, "--sign", private).exit_code == 0
    assert (tmp_path / "one" / "attestation.dsse.json").read_bytes() == (tmp_path / "two" / "attestation.dsse.json").read_bytes()


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[" * 100_000, b'{"payload":"!","payloadType":"application/vnd.in-toto+json","signatures":[]}', b"\xff", b"null"]
)
def test_what_is_no_envelope_is_refused_in_one_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(data)
    told = unmask("verify-attestation", tmp_path / "a.json", "--key", keys(tmp_path)[1])
    assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert "internal error" not in told.stderr


def test_a_signed_statement_of_another_kind_is_refused(tmp_path: Path) -> None:
    from scanner import dsse

    private, public = keys(tmp_path)
    for payload in (
        b"{}",
        b"7",
        b'{"_type":"x","subject":[],"predicateType":"y","predicate":{}}',
        AttestationReport().render(full()).replace(b"urn:unmask", b"urn:other"),
    ):
        (tmp_path / "a.json").write_bytes(msgspec.json.encode(dsse.sign(payload, dsse.IN_TOTO, private)))
        told = unmask("verify-attestation", tmp_path / "a.json", "--key", public)
        assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
