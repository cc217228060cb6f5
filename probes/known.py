"""Files whose hashes somebody already judged: lists of known-bad and known-good SHA-256 sums."""

from __future__ import annotations

from collections.abc import Iterator

from scanner.files import checksums
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_SUPPLY_CHAIN, CWE_NO_INTEGRITY_CHECK, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

BAD = Rule(
    id="known-bad",
    title="The adapter is on a list of known-bad hashes",
    severity=Severity.CRITICAL,
    basis=Basis.INTEGRITY,
    meaning="A file, or the folder as a whole, has a SHA-256 that is on a list given with --known-bad.",
    why="Somebody you trust has already judged exactly these bytes.",
    fix="Do not use it; ask the list's owner for the reason.",
    references=(ATLAS_SUPPLY_CHAIN, OWASP_SUPPLY_CHAIN),
)
UNLISTED = Rule(
    id="known-good-missing",
    title="Files that are on no list of known-good hashes",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="--known-good was given, and neither the folder as a whole nor these files are on a list.",
    why="Only listed bytes were approved; a changed or added file is not.",
    fix="Compare with what was approved, and list the new hash if it is right.",
    references=(CWE_NO_INTEGRITY_CHECK, OWASP_SUPPLY_CHAIN),
)


class KnownProbe:
    """A known-good hash never silences another finding; a known-bad one is a finding by itself."""

    id = "known"
    title = "Known hashes"
    needs = Need.FILES
    cost = "one pass over the lists"
    rules = (BAD, UNLISTED)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Look up every file's hash, and the folder's."""
        trust, adapter = subject.trust, subject.adapter
        if not trust.known_bad and not trust.known_good:
            why = "no list was given (--known-bad, --known-good)"
            yield Coverage(probe=self.id, what="known-bad and known-good hashes", status=Status.NOT_MEASURED, why=why)
            return
        hashes = {f.sha256: f.path for f in reversed(adapter.files) if f.sha256} | {adapter.sha256: ""}
        for sha256, line in sorted(checksums.hits(trust.known_bad, set(hashes)).items()):
            name = printable(hashes[sha256], 200)
            called = f", listed as {printable(line.name, 120)}" if line.name else ""
            yield Finding(
                rule=BAD.id, message=f"{name or 'the folder as a whole'} (SHA-256 {sha256}){called}", severity=BAD.severity, location=Location(file=name)
            )
        good = checksums.hits(trust.known_good, set(hashes))
        unlisted = [f for f in adapter.files if f.sha256 not in good]
        if trust.known_good and adapter.sha256 not in good and unlisted:
            yield Finding(
                rule=UNLISTED.id,
                message=f"{len(unlisted)} of {len(adapter.files)} files, first {printable(unlisted[0].path, 120)}",
                severity=UNLISTED.severity,
                location=Location(file=printable(unlisted[0].path, 200)),
                details=tuple(f"{f.sha256 or 'not read'}  {printable(f.path, 120)}" for f in unlisted[:20]),
            )
        yield Coverage(
            probe=self.id,
            what="known-bad and known-good hashes",
            status=Status.MEASURED,
            surface=f"{len(hashes)} hashes against {len(trust.known_bad)} known-bad and {len(trust.known_good)} known-good lists",
            bound="one changed byte makes another hash",
        )
