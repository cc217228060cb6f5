"""Base against base: the same prompts, before and after an adapted run, must give the very same numbers."""

from __future__ import annotations

from collections.abc import Iterator

from probes.prompts import load
from scanner.measurement import Coverage, Measurement, Status
from scanner.probe import Need, Yield
from scanner.subject import Subject

PROMPTS = 8


class CanaryProbe:
    """Proof that a difference between the two sides is the adapter's."""

    id = "canary"
    title = "Base against base"
    needs = Need.DEPLOYMENT
    cost = "three prefills of eight prompts"
    rules = ()

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Raises CanaryFailed, which ends the scan, unless the difference is exactly zero."""
        rows = load("probes.refusal", "prompts.jsonl")
        with subject.reporter.stage("canary: base against base"):
            gap = subject.deployment.canary([r.prompt for r in rows[:: len(rows) // PROMPTS][:PROMPTS]])
        yield Measurement(id="canary.gap", title="Base against base, largest difference of a logit", value=gap, n=PROMPTS)
        yield Coverage(
            probe=self.id, what="base against base around an adapted run", status=Status.MEASURED, surface=f"{PROMPTS} prompts, every logit exactly equal"
        )
