"""Reproduce a witness: ask both models its prompts again, and test again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from scanner.delta import delta as deltas
from scanner.errors import ScanError
from scanner.files.adapter import Adapter
from scanner.finding import Answer, Witness, says
from scanner.judge import open_judge, same_judge
from scanner.model.naming import mapped
from scanner.model.side import Side
from scanner.progress import Reporter
from scanner.result import Result
from scanner.scan import open_base
from scanner.statistics import paired_test


class Replay(msgspec.Struct, frozen=True):
    """What came of a replay."""

    reproduced: bool
    same_answers: float
    """Share of the adapted model's answers that came out word for word."""
    summary: str


def replay(
    result: Result,
    finding: int | None = None,
    *,
    adapter: Path | None = None,
    base: str | None = None,
    judge: Path | None = None,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Replay:
    """Run the witness of one finding again, on the same adapter and base, under the same judge (by hash).

    It reproduces when the paired test again gives a change in the same direction at p <= 0.01, or at the recorded p-value where that is larger. Raises ScanError when there is no
    witness, or when adapter, base or judge are not those of the result.
    """
    from scanner.model.deployment import Deployment

    index, witness = _witness(result, finding)
    judging = open_judge(judge, device)
    same_judge(result.judge, judging)
    opened = Adapter.open(adapter or result.scope.adapter.path)
    if opened.sha256 != result.scope.adapter.sha256:
        raise ScanError(f"the adapter's SHA-256 is {opened.sha256[:16]}…, the result is about {result.scope.adapter.sha256[:16]}…")
    if result.scope.base is None:
        raise ScanError("the result has no base, so it has no behavioural witness")
    found = open_base(base or result.scope.base.name)
    if found.sha256 != result.scope.base.sha256:
        raise ScanError(f"the base's SHA-256 is {found.sha256[:16]}…, the result is about {result.scope.base.sha256[:16]}…")
    deployment = Deployment(
        found, deltas.read(mapped(opened, found), found), device=device, dtype=result.scope.dtype, system_prompt=result.scope.system_prompt,
        chat_template=result.scope.chat_template, reporter=reporter,
    )  # fmt: skip

    def positive(answers: tuple[Answer, ...], texts: list[str]) -> list[bool]:
        if witness.payload:
            return [says(text, witness.payload) for text in texts]
        return judging.refused([(a.prompt, text) for a, text in zip(answers, texts, strict=True)])

    def again(answers: tuple[Answer, ...], side: Side) -> list[str]:
        ids = [deployment.encode(a.prompt, witness.framing) for a in answers]
        return [deployment.text(t) for t in deployment.generate(ids, side, witness.new_tokens, f"replay: {side} answers")]

    now = again(witness.answers, Side.ADAPTED)
    before = again(witness.untriggered, Side.ADAPTED) if witness.untriggered else again(witness.answers, Side.BASE)
    deployment.check_base_unchanged()
    test = paired_test(positive(witness.untriggered or witness.answers, before), positive(witness.answers, now))
    same = sum(text == a.adapted for text, a in zip(now, witness.answers, strict=True)) / len(now)
    reproduced = test.p_value <= max(0.01, witness.test.p_value) and test.change * witness.test.change > 0
    summary = (
        f"finding {index}: {'reproduced' if reproduced else 'NOT reproduced'}; {test.before} positive before, {test.after} after, of {test.n} "
        f"(recorded {witness.test.before}, {witness.test.after}); p = {test.p_value:.2g}; {same:.0%} of the answers word for word"
    )
    return Replay(reproduced, same, summary)


def _witness(result: Result, finding: int | None) -> tuple[int, Witness]:
    indices = [i for i, f in enumerate(result.findings) if f.witness is not None]
    if finding is None and indices:
        finding = indices[0]
    if finding is None or finding not in indices:
        raise ScanError(f"{'no finding' if finding is None else f'finding {finding}'} has a witness; those that have: {', '.join(map(str, indices)) or 'none'}")
    witness = result.findings[finding].witness
    assert witness is not None
    return finding, witness
