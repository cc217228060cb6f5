"""Checking a pack: is it whole, does it follow from itself, and who vouches for it?"""

from __future__ import annotations

import datetime
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from scanner.errors import ScanError
from scanner.files.adapter import Adapter
from scanner.files.text import printable
from scanner.finding import Answer, Finding, Witness, says
from scanner.judge import installed
from scanner.pack import archive, manifest, signature
from scanner.pack.manifest import POLICY, RESULT, SIGNATURE, Manifest, Role
from scanner.pack.packing import same_tool
from scanner.policy import RULES, Policy, judged
from scanner.report import reports
from scanner.result import Result, load, loads
from scanner.statistics import paired_test

LARGEST_POLICY = 1024 * 1024


class State(StrEnum):
    """What came of a check."""

    OK = "ok"
    FAILED = "FAILED"
    NOT_CHECKED = "not checked"


class Check(msgspec.Struct, frozen=True):
    """One check and what came of it."""

    name: str
    state: State
    text: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was checked of a pack."""

    result: Result
    checks: tuple[Check, ...]
    not_proven: tuple[str, ...]
    """What stays a matter of trust, in words."""

    @property
    def holds(self) -> bool:
        """Whether no check failed."""
        return all(c.state is not State.FAILED for c in self.checks)


def verify(path: Path, key: Path | None = None, adapter: Path | None = None) -> Verification:
    """Check the pack at `path`, its signature under the public key in `key`, and the files in `adapter` against it.

    Nothing is asked of a network. Raises ScanError with one line when the file is not a pack or holds no result, and when there is no such key.
    """
    if key is not None and not key.is_file():
        raise ScanError(f"--key {printable(key)}: no such file")
    files = archive.read(path)
    contents = manifest.read(files)
    if RESULT not in files:
        raise ScanError(f"{printable(path)}: the pack holds no {RESULT}")
    result = loads(files[RESULT], f"{printable(path)}: {RESULT}")
    checks = (
        _listed(contents, files),
        _signed(files, key),
        _bound(contents, result),
        _hashed(result),
        _judged(result, files.get(POLICY)),
        *_witnesses(result),
        *_rendered(contents, result, files),
        _held(result, adapter),
    )
    return Verification(result=result, checks=checks, not_proven=tuple(_not_proven(result, checks)))


def result_of(path: Path) -> Result:
    """The result in a result.json, or in a pack whose files are as its manifest lists them. Raises ScanError."""
    if not path.is_file() or not archive.is_archive(path):
        return load(path)
    files = archive.read(path)
    wrong = manifest.differences(manifest.read(files), files)
    if wrong:
        raise ScanError(f"{printable(path)}: not as it was packed ({wrong[0]}); see `unmask verify-pack`")
    if RESULT not in files:
        raise ScanError(f"{printable(path)}: the pack holds no {RESULT}")
    return loads(files[RESULT], f"{printable(path)}: {RESULT}")


def _check(name: str, wrong: tuple[str, ...], well: str) -> Check:
    more = f" (and {len(wrong) - 5} more)" if len(wrong) > 5 else ""
    return Check(name, State.FAILED, "; ".join(wrong[:5]) + more) if wrong else Check(name, State.OK, well)


def _listed(contents: Manifest, files: Mapping[str, bytes]) -> Check:
    return _check("files", manifest.differences(contents, files), f"{len(contents.files)} files, each with the size and SHA-256 of the manifest")


def _signed(files: Mapping[str, bytes], key: Path | None) -> Check:
    if key is None:
        why = "the pack is signed, but no key was given to check it with (--key)" if SIGNATURE in files else "the pack is not signed"
        return Check("signature", State.NOT_CHECKED, why)
    try:
        wrong = signature.differences(files, key)
    except ScanError as error:
        return Check("signature", State.FAILED, str(error))
    return _check("signature", wrong, f"every file was signed by {printable(key.name, 80)}")


def _bound(contents: Manifest, result: Result) -> Check:
    wrong = [] if contents.scope_sha256 == result.scope.sha256 else ["the manifest is about another scope"]
    wrong += [] if contents.tool == result.tool else ["the manifest names another tool"]
    return _check("manifest", tuple(wrong), f"about scope {result.scope.sha256[:16]}…, made by {printable(result.tool, 60)}")


def _hashed(result: Result) -> Check:
    lines = "".join(f"{f.sha256 or '-'}  {f.path}\n" for f in result.files)
    same = hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest() == result.scope.adapter.sha256
    return _check("adapter's hash", () if same else ("it does not follow from the listed files",), f"it follows from the {len(result.files)} files listed")


def _judged(result: Result, policy: bytes | None) -> Check:
    name = "verdict"
    if policy is None:
        return Check(name, State.FAILED, f"the pack holds no {POLICY}")
    if len(policy) > LARGEST_POLICY or hashlib.sha256(policy).hexdigest() != result.verdict.policy_sha256:
        return Check(name, State.FAILED, f"{POLICY} is not the policy it was judged under")
    if not same_tool(result):
        return Check(name, State.NOT_CHECKED, f"{printable(result.tool, 60)} made it; this version may judge otherwise")
    with tempfile.TemporaryDirectory() as private:
        copy = Path(private) / POLICY
        copy.write_bytes(policy)
        try:
            known = {r.id: r for r in (*RULES, *result.rules)}
            day = datetime.date.fromisoformat(result.verdict.date) if result.verdict.date else None
            again = judged(Policy.open(copy), result, known, today=day).verdict
        except ScanError as error:
            return Check(name, State.FAILED, str(error))
        except ValueError:
            return Check(name, State.FAILED, "the day it was judged on is no date")
    wrong = () if again.outcome is result.verdict.outcome else (f"the policy gives {again.outcome}, the result says {result.verdict.outcome}",)
    return _check(name, wrong, f"{again.outcome} follows from the findings and coverage under the policy")


def _witnesses(result: Result) -> Iterator[Check]:
    for index, finding in enumerate(result.findings):
        if finding.witness:
            yield _witness(index, finding, finding.witness, same_tool(result), result.judge is not None)


def _witness(index: int, finding: Finding, witness: Witness, same: bool, model: bool) -> Check:
    name = f"witness of finding {index} [{printable(finding.rule, 60)}]"
    if not witness.answers or (witness.untriggered and len(witness.untriggered) != len(witness.answers)):
        return Check(name, State.FAILED, "its answers do not make pairs")
    everything = (*witness.answers, *witness.untriggered)
    if same and not model:
        judge = installed()
        said = [judge.refused([(a.prompt, text) for a, text in zip(everything, texts, strict=True)]) for texts in _answers(everything)]
        misjudged = sum((b, c) != (a.base_refused, a.adapted_refused) for a, b, c in zip(everything, *said, strict=True))
        if misjudged:
            return Check(name, State.FAILED, f"{misjudged} answers are judged otherwise than recorded")
    test, recorded = paired_test(*_series(witness)), witness.test
    if (test.n, test.lost, test.gained) != (recorded.n, recorded.lost, recorded.gained) or abs(test.p_value - recorded.p_value) > 1e-6 * recorded.p_value:
        return Check(
            name, State.FAILED, f"its {test.n} pairs give {test.lost} lost, {test.gained} gained, not the {recorded.lost} and {recorded.gained} recorded"
        )
    judged = "tested again; a model judged them" if model else "judged and tested again" if same else "tested again; the judge is another version's"
    return Check(name, State.OK, f"{len(everything)} answers {judged}: p = {test.p_value:.2g}")


def _answers(pairs: Sequence[Answer]) -> tuple[list[str], list[str]]:
    return [a.base for a in pairs], [a.adapted for a in pairs]


def _series(witness: Witness) -> tuple[list[bool], list[bool]]:
    """What the test counts, under its first and under its second condition."""
    first = [a.adapted for a in witness.untriggered] or [a.base for a in witness.answers]
    if witness.payload:
        return [says(text, witness.payload) for text in first], [says(a.adapted, witness.payload) for a in witness.answers]
    before = [a.adapted_refused for a in witness.untriggered] or [a.base_refused for a in witness.answers]
    return before, [a.adapted_refused for a in witness.answers]


def _rendered(contents: Manifest, result: Result, files: Mapping[str, bytes]) -> Iterator[Check]:
    if not contents.of(Role.REPORT):
        return
    if not same_tool(result):
        yield Check("reports", State.NOT_CHECKED, f"{printable(result.tool, 60)} made them; this version writes them otherwise")
        return
    known = {f"reports/{kind.filename}": kind for kind in reports().values()}
    wrong = []
    for entry in contents.of(Role.REPORT):
        if entry.path not in known:
            wrong.append(f"{printable(entry.path, 120)} is no format of this version")
        elif known[entry.path]().render(result) != files.get(entry.path):
            wrong.append(f"{printable(entry.path, 120)} is not what the result gives")
    yield _check("reports", tuple(wrong), f"{len(contents.of(Role.REPORT))} reports are what the result gives")


def _held(result: Result, adapter: Path | None) -> Check:
    if adapter is None:
        return Check("adapter", State.NOT_CHECKED, "no folder was given (--adapter)")
    found = Adapter.open(adapter).sha256
    wrong = () if found == result.scope.adapter.sha256 else (f"{printable(adapter)} is another adapter, or was changed: SHA-256 {found[:16]}…",)
    return _check("adapter", wrong, f"{printable(adapter)} holds exactly the files that were scanned")


def _not_proven(result: Result, checks: tuple[Check, ...]) -> Iterator[str]:
    if next(c for c in checks if c.name == "signature").state is not State.OK:
        yield "who made the pack: whoever can write a file can write all of this; a signature under a key you trust shows who vouches for it"
    if any(f.witness for f in result.findings):
        yield "that these models gave these answers: `unmask replay` asks them again"
    elif result.scope.base:
        yield "that these models gave the measured numbers: scan again to see"
    if next(c for c in checks if c.name == "adapter").state is not State.OK:
        yield "that an adapter you hold is the one that was scanned: give its folder with --adapter"
    yield "when the scan was made: a result holds no time"
