"""Is the adapter suspiciously large for its base?"""

from collections.abc import Iterator

from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Status
from scanner.probe import Need, Yield
from scanner.rule import Basis, Rule, Severity
from scanner.subject import Subject

SHARE = 0.2
OVERSIZED = Rule(
    id="adapter-oversized",
    title="The adapter is large for its base",
    severity=Severity.LOW,
    basis=Basis.STATISTIC,
    meaning="Its parameters are a fifth of the base's or more.",
    why="A low-rank adapter is a small part of its base; a large one can carry whole layers.",
    fix="Ask the author what it holds.",
)


class OversizedProbe:
    """Parameters of the adapter as a share of the base's."""

    id, title, needs, rules = "oversized", "Size", Need.BASE, (OVERSIZED,)
    cost = "none: sizes are known"

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Compare the two."""
        assert subject.base is not None
        ours = sum(t.count for t in subject.adapter.weights.tensors.values())
        share = ours / sum(t.count for shard in subject.base.shards for t in shard.tensors.values())
        yield Measurement(id="oversized.share", title="Parameters, as a share of the base's", value=round(share, 4))
        if share >= SHARE:
            yield Finding(rule=OVERSIZED.id, message=f"{share:.0%} of the base", severity=OVERSIZED.severity)
        yield Coverage(probe=self.id, what="size", status=Status.MEASURED, surface="every tensor", bound="size says nothing of content")
