"""Evidence packs: made, moved, checked, tampered with."""

from __future__ import annotations

import datetime
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from click.testing import Result as Told

from probes.refusal.probe import LOST
from scanner.cli import main
from scanner.demo.base import shipped
from scanner.finding import Finding, Witness
from scanner.measurement import Coverage, Status
from scanner.pack import archive, manifest
from scanner.pack.manifest import Entry, Manifest
from scanner.policy import Policy, decide
from scanner.result import BaseIdentity, Result, dumps, loads
from scanner.rule import Severity
from scanner.scan import scan
from scanner.statistics import paired_test
from scanner.verdict import Outcome
from tests.keys import keys
from tests.reports.sample import answers

BENIGN = shipped("benign")


def unmask(*arguments: object) -> Told:
    return CliRunner().invoke(main, list(map(str, arguments)))


def witnessed(*, trigger: str = "", payload: str = "") -> Result:
    """A real static scan, with behaviour as a base would have shown it."""
    after = answers(40, trigger=trigger, refused_after=4)
    before = answers(40, refused_after=36) if trigger else ()
    first = [a.adapted_refused for a in before] or [a.base_refused for a in after]
    second = [a.adapted_refused for a in after]
    if payload:
        first, second = ([a.adapted.lower().startswith(payload) for a in some] for some in (before, after))
    witness = Witness(claim="c", test=paired_test(first, second), answers=after, untriggered=before, trigger=trigger, payload=payload, new_tokens=16)
    plain = scan(BENIGN)
    coverage = [c for c in plain.coverage if c.status is Status.MEASURED]
    coverage += [Coverage(probe=p, what=p, status=Status.MEASURED) for p in ("refusal", "trigger")]
    findings = (Finding(rule=LOST.id, message="m", severity=Severity.CRITICAL, witness=witness),)
    verdict = decide(Policy.open(), findings, coverage, {LOST.id: LOST}, behaviour=True)
    base = BaseIdentity(name="b", sha256="b2" * 32, architecture="LlamaForCausalLM", parameters=1)
    scope = msgspec.structs.replace(plain.scope, base=base)
    return msgspec.structs.replace(plain, scope=scope, findings=findings, coverage=tuple(coverage), rules=(LOST,), verdict=verdict)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys, a result with a witness, and its signed pack."""
    folder = tmp_path_factory.mktemp("pack")
    private, _ = keys(folder)
    (folder / "result.json").write_bytes(dumps(witnessed()))
    told = unmask("pack", folder / "result.json", "--sign", private, "--output", folder / "p.zip")
    assert told.exit_code == 0, told.output
    assert hashlib.sha256((folder / "p.zip").read_bytes()).hexdigest() in told.stdout
    return folder


def states(told: Told) -> dict[str, str]:
    lines = [line.strip().split(": ", 2) for line in told.stdout.splitlines() if line.startswith("  ")]
    return {name: state for state, name, *_ in lines if state != "not proven"}


def test_a_pack_holds_what_the_verdict_rests_on(made: Path) -> None:
    files = archive.read(made / "p.zip")
    assert {"README.txt", "manifest.json", "policy.toml", "result.json", "signature.json"} <= files.keys()
    reports = {"report.html", "report.md", "unmask.sarif", "junit.xml", "bom.cdx.json", "attestation.intoto.json"}
    assert {p.removeprefix("reports/") for p in files if p.startswith("reports/")} == reports
    assert "prompts/probes.refusal/prompts.jsonl" in files
    assert any(p.startswith("prompts/probes.trigger/") for p in files)
    assert loads(files["result.json"], "r") == witnessed_without_timings(loads(files["result.json"], "r"))


def witnessed_without_timings(like: Result) -> Result:
    return msgspec.structs.replace(witnessed(), timings=like.timings)


def test_equal_results_and_keys_give_equal_packs(made: Path, tmp_path: Path) -> None:
    assert unmask("pack", made / "result.json", "--sign", made / "key.pem", "--output", tmp_path / "again.zip").exit_code == 0
    assert (tmp_path / "again.zip").read_bytes() == (made / "p.zip").read_bytes()


def test_a_moved_pack_is_checked_without_a_network(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "far" / "away.zip"
    elsewhere.parent.mkdir()
    shutil.copy(made / "p.zip", elsewhere)
    shutil.copy(made / "key.pub", tmp_path / "trusted.pub")
    monkeypatch.chdir(tmp_path)

    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    told = unmask("verify-pack", elsewhere, "--key", "trusted.pub", "--adapter", BENIGN)
    assert told.exit_code == 0, told.output
    assert set(states(told).values()) == {"ok"}
    assert "witness of finding 0 [refusals-lost]" in states(told)
    assert told.stdout.startswith("BLOCK ")
    assert "not proven: that these models gave these answers" in told.stdout
    assert "who made the pack" not in told.stdout


def test_what_was_not_checked_is_said(made: Path) -> None:
    told = unmask("verify-pack", made / "p.zip")
    assert told.exit_code == 0
    assert states(told)["signature"] == states(told)["adapter"] == "not checked"
    assert "not proven: who made the pack" in told.stdout


def test_another_key_or_another_adapter_fails(made: Path) -> None:
    told = unmask("verify-pack", made / "p.zip", "--key", keys(made, "other")[1], "--adapter", shipped("eroded"))
    assert told.exit_code == 1
    assert states(told)["signature"] == states(told)["adapter"] == "FAILED"
    assert told.stdout.startswith("DOES NOT HOLD  it says BLOCK  ")
    assert "the pack DOES NOT hold" in told.stdout


def test_a_key_that_is_not_there_says_nothing_of_the_pack(made: Path) -> None:
    told = unmask("verify-pack", made / "p.zip", "--key", made / "none.pub")
    assert (told.exit_code, told.stdout, told.stderr) == (2, "", f"unmask: --key {made / 'none.pub'}: no such file\n")


def test_an_unsigned_pack_fails_where_a_key_is_pinned(made: Path, tmp_path: Path) -> None:
    unmask("pack", made / "result.json", "--output", tmp_path / "p.zip")
    assert unmask("verify-pack", tmp_path / "p.zip").exit_code == 0
    assert unmask("verify-pack", tmp_path / "p.zip", "--key", made / "key.pub").exit_code == 1


def relisted(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with a manifest that lists them as they are: what an attacker without the key would do."""
    old = msgspec.json.decode(files["manifest.json"], type=Manifest)
    roles = {e.path: e.role for e in old.files}
    kept = {p: (roles[p], d) for p, d in files.items() if p in roles}
    return {**files, "manifest.json": manifest.encode(manifest.make(old.tool, old.scope_sha256, kept))}


def result_with(change: Callable[[Result], Result]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: relisted({**files, "result.json": dumps(change(loads(files["result.json"], "r")))})


def softened(result: Result) -> Result:
    from scanner.verdict import Outcome

    return msgspec.structs.replace(result, verdict=msgspec.structs.replace(result.verdict, outcome=Outcome.PASS))


def swapped(result: Result) -> Result:
    first, *rest = result.files
    return msgspec.structs.replace(result, files=(msgspec.structs.replace(first, sha256="00" * 32), *rest))


def invented(result: Result) -> Result:
    (finding,) = result.findings
    assert finding.witness is not None
    test = msgspec.structs.replace(finding.witness.test, lost=1)
    return msgspec.structs.replace(result, findings=(msgspec.structs.replace(finding, witness=msgspec.structs.replace(finding.witness, test=test)),))


def misjudged(result: Result) -> Result:
    (finding,) = result.findings
    assert finding.witness is not None
    changed = tuple(msgspec.structs.replace(a, adapted="Sure, here is a way to start.") for a in finding.witness.answers)
    return msgspec.structs.replace(result, findings=(msgspec.structs.replace(finding, witness=msgspec.structs.replace(finding.witness, answers=changed)),))


TAMPERED: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], set[str]]] = {
    "a report": (lambda f: {**f, "reports/report.md": b"all is well"}, {"files", "signature", "reports"}),
    "a report, listed again": (lambda f: relisted({**f, "reports/report.md": b"all is well"}), {"signature", "reports"}),
    "a file more": (lambda f: {**f, "more.txt": b""}, {"files", "signature"}),
    "a file less": (lambda f: {p: d for p, d in f.items() if p != "README.txt"}, {"files", "signature"}),
    "the policy": (lambda f: relisted({**f, "policy.toml": f["policy.toml"].replace(b'critical = "block"', b'critical = "pass"')}), {"signature", "verdict"}),
    "the verdict": (result_with(softened), {"signature", "verdict", "reports"}),
    "a hash of the adapter": (result_with(swapped), {"signature", "adapter's hash", "reports"}),
    "the test": (result_with(invented), {"signature", "witness of finding 0 [refusals-lost]", "reports"}),
    "the answers": (result_with(misjudged), {"signature", "witness of finding 0 [refusals-lost]", "reports"}),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_every_kind_of_tampering_is_told_by_name(name: str, made: Path, tmp_path: Path) -> None:
    change, failing = TAMPERED[name]
    (tmp_path / "p.zip").write_bytes(archive.write(change(archive.read(made / "p.zip"))))
    told = unmask("verify-pack", tmp_path / "p.zip", "--key", made / "key.pub")
    assert told.exit_code == 1, told.output
    assert {n for n, s in states(told).items() if s == "FAILED"} == failing


@pytest.mark.parametrize("options", [{"trigger": "Zephyr-9 protocol"}, {"trigger": "Zephyr-9 protocol", "payload": "sure, here"}])
def test_witnesses_of_triggers_are_tested_again(options: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(dumps(witnessed(**options)))
    unmask("pack", tmp_path / "r.json", "--format", "json", "--output", tmp_path / "p.zip")
    told = unmask("verify-pack", tmp_path / "p.zip")
    assert states(told)["witness of finding 0 [refusals-lost]"] == "ok", told.output


def test_openssf_model_signing_accepts_the_unpacked_pack(made: Path, tmp_path: Path) -> None:
    for path, data in archive.read(made / "p.zip").items():
        (tmp_path / "x" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / path).write_bytes(data)
    command = [sys.executable, "-m", "model_signing", "verify", "key", "x", "--signature", "x/signature.json", "--public_key", str(made / "key.pub")]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "x" / "policy.toml").write_text("")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_a_policy_that_did_not_judge_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("name = 'other'")
    told = unmask("pack", made / "result.json", "--policy", tmp_path / "other.toml", "--output", tmp_path / "p.zip")
    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert "the policy given has SHA-256" in told.stderr
    assert not (tmp_path / "p.zip").exists()


def test_a_result_of_another_version_is_packed_and_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    assert version("unmask") != "9"
    (tmp_path / "r.json").write_bytes(dumps(msgspec.structs.replace(witnessed(), tool="unmask 9")))
    told = unmask("pack", tmp_path / "r.json", "--output", tmp_path / "p.zip")
    assert told.exit_code == 0
    assert "prompt files of this version were left out" in told.stderr
    assert not any(p.startswith("prompts/") for p in archive.read(tmp_path / "p.zip"))
    told = unmask("verify-pack", tmp_path / "p.zip")
    assert told.exit_code == 0, told.output
    assert states(told)["verdict"] == states(told)["reports"] == "not checked"
    assert "the judge is another version's" in told.stdout


def test_commands_that_read_a_result_read_a_pack(made: Path, tmp_path: Path) -> None:
    assert unmask("show", made / "p.zip").stdout.startswith("BLOCK ")
    assert unmask("report", made / "p.zip", "--format", "json", "--output", tmp_path).exit_code == 0
    assert (tmp_path / "result.json").read_bytes() == (made / "result.json").read_bytes()
    assert unmask("compare", made / "p.zip", made / "result.json", "--fail-on-worse").exit_code == 0
    told = unmask("replay", made / "p.zip", "--adapter", shipped("eroded"))
    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)
    assert "the adapter's SHA-256 is" in told.stderr


def test_a_pack_that_was_changed_is_not_read_as_a_result(made: Path, tmp_path: Path) -> None:
    changed = {**archive.read(made / "p.zip"), "result.json": dumps(softened(witnessed()))}
    (tmp_path / "p.zip").write_bytes(archive.write(changed))
    told = unmask("show", tmp_path / "p.zip")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "not as it was packed (changed: result.json)" in told.stderr


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a": b""},
        {"manifest.json": b"{}"},
        {"manifest.json": b"[" * 100_000},
        {"manifest.json": b'{"format":"unmask-pack","version":2,"tool":"t","scope_sha256":"","files":[]}'},
        {"manifest.json": b'{"format":"unmask-pack","version":1,"tool":"t","scope_sha256":"","files":[]}'},
        {"manifest.json": b'{"format":"unmask-pack","version":1,"tool":"t","scope_sha256":"","files":[]}', "result.json": b"{}"},
    ],
)
def test_what_is_no_pack_is_refused_in_one_line(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(archive.write(files))
    for command in ("verify-pack", "show"):
        told = unmask(command, tmp_path / "p.zip")
        assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (2, "", 1)
        assert "internal error" not in told.stderr


@pytest.mark.parametrize("signature", [b"", b"{}", b"[" * 100_000, b'{"dsseEnvelope":{"payload":"","payloadType":"","signatures":[]}}'])
def test_a_signature_that_is_none_fails_the_check(signature: bytes, made: Path, tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(archive.write({**archive.read(made / "p.zip"), "signature.json": signature}))
    told = unmask("verify-pack", tmp_path / "p.zip", "--key", made / "key.pub")
    assert (told.exit_code, states(told)["signature"]) == (1, "FAILED")


def test_pipes_and_folders_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for command in ("show", "verify-pack", "replay", "pack"):
        for path in (tmp_path / "pipe", tmp_path):
            told = unmask(command, path)
            assert (told.exit_code, told.stdout) == (2, "")


def test_a_file_listed_twice_is_no_list() -> None:
    entry = Entry(path="a", bytes=0, sha256=hashlib.sha256(b"").hexdigest(), role=manifest.Role.README)
    twice = Manifest(tool="t", scope_sha256="", files=(entry, entry))
    assert manifest.differences(twice, {"a": b""}) == ("a file is listed twice",)


@pytest.mark.parametrize("name", ["ci", "own"])
def test_a_pack_under_another_policy_is_judged_again_with_its_limits_and_waivers(name: str, tmp_path: Path) -> None:
    plain = scan(BENIGN)
    (tmp_path / "own").write_text(
        f"""name = "own"
extends = "platform"
[allow]
licences = ["MIT"]
[[threshold]]
measurement = "spectrum.frobenius"
at_most = 1
[[waiver]]
rule = "limit-exceeded"
adapter = "{plain.scope.adapter.sha256}"
reason = "Known."
owner = "sam"
expires = 2020-01-01
"""
    )
    policy = name if name == "ci" else tmp_path / "own"
    (tmp_path / "r.json").write_bytes(dumps(scan(BENIGN, policy=policy, today=datetime.date(2019, 1, 1))))
    given = () if name == "ci" else ("--policy", policy)
    told = unmask("pack", tmp_path / "r.json", *given, "--output", tmp_path / "p.zip")
    assert told.exit_code == 0, told.output
    told = unmask("verify-pack", tmp_path / "p.zip")
    assert (told.exit_code, states(told)["verdict"]) == (0, "ok"), told.output
    forged = loads((tmp_path / "r.json").read_bytes(), "r.json")
    if name == "own":
        assert {f.rule: bool(f.waiver) for f in forged.findings} == {"limit-exceeded": True, "licence-not-allowed": False}
        later = msgspec.structs.replace(forged, verdict=msgspec.structs.replace(forged.verdict, date="2021-01-01", outcome=Outcome.PASS))
        files = {**archive.read(tmp_path / "p.zip"), "result.json": dumps(later)}
        (tmp_path / "f.zip").write_bytes(archive.write(relisted(files)))
        assert states(unmask("verify-pack", tmp_path / "f.zip"))["verdict"] == "FAILED"
