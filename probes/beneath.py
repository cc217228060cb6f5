"""Other adapters in folders below the one that is scanned: each is read like the first, or said by name not to be measured."""

from __future__ import annotations

from collections.abc import Iterator

from probes.config.probe import ConfigProbe
from probes.loading import LoadingProbe
from scanner.delta import delta as deltas
from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Column, Coverage, Status, Table
from scanner.probe import Need, Yield
from scanner.rule import ATLAS_MASQUERADING, ATLAS_POISON_MODEL, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity
from scanner.subject import Subject

MOST = 20
LARGEST = 4 << 30
"""Bytes of weights that are read below; the factors of a 7B model's adapter are 80 MB and take a second."""

BENEATH = Rule(
    id="adapter-beneath",
    title="An adapter in a folder below has a finding of its own",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="A folder below holds another adapter, and what really loads of it, or its configuration, raises the rule that is named.",
    why="PEFT loads it with `subfolder=`, and checkpoints are loaded by whoever goes back to one. It counts as in an adapter of its own.",
    fix="Read `unmask rules` about the rule that is named. Delete the folder, or scan it by itself.",
    references=(ATLAS_POISON_MODEL, ATLAS_MASQUERADING, OWASP_SUPPLY_CHAIN),
)


class BeneathProbe:
    """Named adapters and `checkpoint-*`."""

    id = "beneath"
    title = "Adapters in folders below"
    needs = Need.FILES
    cost = (
        f"for at most {MOST} folders and {LARGEST >> 30} GiB of weights, one pass over the factors; weights that are the first adapter's own are not read again"
    )
    rules = (BENEATH,)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Read each of them, without the base and without its behaviour."""
        rows: list[tuple[str, str, int, str]] = []
        unread: list[str] = []
        left = LARGEST
        for number, other in enumerate(subject.adapter.beneath()):
            name = printable(other.folder.relative_to(subject.adapter.root), 160)
            left -= sum(f.bytes for f in other.files if f.path in other.weights_files)
            problem = other.problem or (f"more than {MOST} of them" if number >= MOST else "over the limit on bytes" if left < 0 else "")
            if problem:
                unread.append(f"{name}: {problem}")
                rows.append((name, "", 0, problem))
                continue
            try:
                found, delta = self._read(other, subject)
            except UnreadableAdapter as error:
                unread.append(f"{name}: {error}")
                rows.append((name, "", 0, str(error)))
                continue
            rows.append((name, delta.method, len(delta.changes), ", ".join(sorted({f.rule for f in found})) or "nothing found"))
            unread += [f"{name}: {u.what}: {u.why}" for u in delta.unmeasured[:1]]
            for finding in found:
                yield Finding(
                    rule=BENEATH.id, message=f"{name}: {finding.rule}: {finding.message}", severity=finding.severity,
                    location=Location(file=f"{name}/{finding.location.file}", item=finding.location.item), details=finding.details,
                )  # fmt: skip
        if rows:
            columns = (Column("folder", "folder"), Column("method", "method"), Column("changes", "changes of the base"), Column("found", "found"))
            yield Table(id="beneath.adapters", title="Adapters in folders below", columns=columns, rows=tuple(rows[:200]))
        yield Coverage(
            probe=self.id,
            what="adapters in folders below",
            status=Status.NOT_MEASURED if unread else Status.MEASURED,
            surface=f"{len(rows)} adapters: {', '.join(r[0] for r in rows[:8])}{' …' if len(rows) > 8 else ''}" if rows else "none",
            bound="their spectra and their behaviour are not measured; scan them by themselves for that" if rows else "",
            why=f"{unread[0]}{f' (and {len(unread) - 1} more)' if len(unread) > 1 else ''}" if unread else "",
        )

    def _read(self, other: Adapter, subject: Subject) -> tuple[list[Finding], deltas.Delta]:
        """Facts about its files that are more than information, and what it changes."""
        delta = deltas.read(other)
        inner = Subject(other, delta, None, subject.profile, subject.policy, subject.seed, subject.reporter)
        same = {f.sha256 for f in subject.adapter.files if f.path in subject.adapter.weights_files}
        own = {f.sha256 for f in other.files if f.path in other.weights_files}
        if own and own <= same and other.config_file.raw == subject.adapter.config_file.raw:
            return [], delta
        basis = {r.id: r.basis for probe in (LoadingProbe, ConfigProbe) for r in probe.rules}
        found = [f for probe in (LoadingProbe(), ConfigProbe()) for f in probe.run(inner) if isinstance(f, Finding)]
        return [f for f in found if basis[f.rule] is Basis.INTEGRITY and f.severity.level > Severity.LOW.level], delta
