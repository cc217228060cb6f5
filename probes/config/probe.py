"""The configuration, field by field, against the tensors and the base."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from probes.config import dangers
from probes.config.base import declared_base
from probes.config.claim import Claim
from probes.config.consistency import fit, scaling
from probes.config.fields import fields
from probes.config.patterns import patterns
from probes.config.rules import AMBIGUOUS, RULES
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.subject import Subject

FILE = "adapter_config.json"


class ConfigProbe:
    """Every field that has a meaning for safety."""

    id = "config"
    title = "Configuration"
    needs = Need.DELTA
    cost = "one pass over the configuration"
    rules = RULES

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Judge the configuration; where a weights file has none, what stands in it in place of one."""
        written, config = subject.adapter.config_file, subject.adapter.config
        raw = written.raw
        claims = chain(
            dangers.imports(raw),
            dangers.changes_of_the_base(raw),
            dangers.remote(raw),
            dangers.conditional(raw),
            patterns(raw) if written.written else (),
            fields(raw),
            scaling(subject.delta),
            fit(raw, config, subject.delta),
            (Claim(AMBIGUOUS, f, f"{printable(f, 80)} is written more than once") for f in written.twice[:1]),
            declared_base(raw, subject.base, [f.path for f in (*subject.adapter.files, *subject.adapter.aside.files)]),
        )
        file = FILE if written.written else printable(next(iter(subject.adapter.weights_files), ""), 200)
        for claim in claims:
            yield Finding(
                rule=claim.rule.id,
                message=claim.message,
                severity=claim.severity or claim.rule.severity,
                location=Location(file=file, item=printable(claim.field, 80)),
            )
        yield Coverage(probe=self.id, what="every field of the configuration", status=Status.MEASURED, surface=f"{len(raw)} fields")
