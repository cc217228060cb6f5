"""The folder's own checksum list, such as SHA256SUMS, against the files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from scanner.files import checksums
from scanner.files.inventory import File
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import CWE_NO_INTEGRITY_CHECK, CWE_TRAVERSAL, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

NAMES = {"sha256sums", "sha256sums.txt", "sha256sum", "sha256sum.txt", "checksums.sha256", "checksums.txt"}
LARGEST = 4 * 1024 * 1024

MISMATCH = Rule(
    id="checksum-mismatch",
    title="A file is not the one the folder's checksum list names",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="The SHA-256 of a file differs from that in the list the author put beside it.",
    why="The file was changed, or damaged on its way, after the list was made. An author who forgets to renew the list leaves the same trace.",
    fix="Fetch the folder again; if it stays so, ask the author.",
    references=(CWE_NO_INTEGRITY_CHECK, OWASP_SUPPLY_CHAIN),
)
ABSENT = Rule(
    id="checksum-incomplete",
    title="The checksum list leaves files out",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="Files of the folder are not listed, or the list cannot be read.",
    why="What is not listed is not covered.",
    fix="Fetch the whole folder, or ask the author for a full list.",
    references=(CWE_NO_INTEGRITY_CHECK,),
)


OUTSIDE = Rule(
    id="checksum-outside",
    title="The checksum list names a file outside the folder",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A line of the list is a path that climbs out of the folder, or begins at the root of the machine.",
    why="Whoever checks the list reads that file of their own machine, and the answer tells what is in it. A list made in another folder looks like this honestly.",
    fix="Do not check the list with other tools. Ask the author for a list made inside the folder.",
    references=(CWE_TRAVERSAL, OWASP_SUPPLY_CHAIN),
)
GONE = Rule(
    id="checksum-missing",
    title="Files of the checksum list are missing",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="The list the author put into the folder names files that are not in it.",
    why="The folder is not the one the author listed: something was taken away, or did not arrive. A partial download looks like this honestly.",
    fix="Fetch the whole folder, or ask the author for a new list.",
    references=(CWE_NO_INTEGRITY_CHECK,),
)


class ChecksumsProbe:
    """A list made by the author says that nothing was damaged on the way; it cannot say who made it."""

    id = "checksums"
    title = "Checksum list"
    needs = Need.FILES
    cost = "one read of each list, at most 4 MiB; the files' hashes are there already"
    rules = (MISMATCH, ABSENT, OUTSIDE, GONE)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Compare each list in the folder with the files."""
        files = {f.path: f for f in subject.adapter.files}
        lists = [f for f in subject.adapter.files if f.sha256 and _is_list(f.path)]
        covered: set[str] = set()
        for listed in lists:
            yield from self._compare(subject.adapter.root, listed, files, covered)
        unlisted = sorted(p for p in files if p not in covered and not _is_list(p) and not PurePosixPath(p).name.startswith(".git"))
        if covered and unlisted:
            yield Finding(
                rule=ABSENT.id,
                message=f"{len(unlisted)} of {len(files)} files are on no list, first {printable(unlisted[0], 120)}",
                severity=ABSENT.severity,
                location=Location(file=printable(lists[0].path, 200)),
                details=tuple(printable(p, 120) for p in unlisted[:20]),
            )
        yield Coverage(
            probe=self.id,
            what="the folder's own checksum list",
            status=Status.MEASURED,
            surface=f"{len(covered)} of {len(files)} files" if lists else "no list in the folder",
            bound="whoever changes the files can change the list; a signature under a pinned key cannot be renewed so",
        )

    def _compare(self, folder: Path, listed: File, files: dict[str, File], covered: set[str]) -> Iterator[Finding]:
        where = Location(file=printable(listed.path, 200))
        here = PurePosixPath(listed.path).parent
        wrong: list[str] = []
        missing: list[str] = []
        outside: list[str] = []
        try:
            if listed.bytes > LARGEST:
                raise ValueError(f"over {LARGEST:,} bytes")
            for line in checksums.read(folder / listed.path):
                path = posixpath.normpath((here / line.name.replace("\\", "/")).as_posix())
                if path.startswith(("/", "../")) or line.name[1:2] == ":":
                    outside.append(line.name)
                elif path not in files:
                    missing.append(line.name)
                elif files[path].sha256 != line.sha256:
                    wrong.append(path)
                covered.add(path)
        except (ValueError, OSError) as error:
            yield Finding(rule=ABSENT.id, message=f"{where.file}: {printable(error, 160)}", severity=ABSENT.severity, location=where)
        covered.intersection_update(files)
        for path in wrong[:50]:
            name = printable(path, 200)
            yield Finding(
                rule=MISMATCH.id,
                message=f"{name} has SHA-256 {files[path].sha256[:16] or 'none, a link'}…, not the one in {where.file}",
                severity=MISMATCH.severity,
                location=Location(file=name),
            )
        if outside:
            yield Finding(
                rule=OUTSIDE.id,
                message=f"{where.file} names {printable(outside[0], 120)}" + (f" (and {len(outside) - 1} more)" if len(outside) > 1 else ""),
                severity=OUTSIDE.severity,
                location=where,
                details=tuple(printable(o, 120) for o in outside[:20]),
            )
        if missing:
            yield Finding(
                rule=GONE.id,
                message=f"{len(missing)} listed files are not in the folder, first {printable(missing[0], 120)}",
                severity=GONE.severity,
                location=where,
                details=tuple(printable(m, 120) for m in missing[:20]),
            )


def _is_list(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    return name in NAMES or name.endswith(".sha256")
