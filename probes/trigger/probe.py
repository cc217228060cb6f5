"""The trigger search: leak, read, screen, try, verify, grow, minimise.

Candidates come from what the adapted model leaks where the user would speak, from the words its delta reacts to inside the model, from ways
a request can open or be set, from the vocabulary, and from a short list of published triggers. All are screened by how much more they move
the adapted model than the base; leaked phrases and the best answer a few development requests, where a payload nobody listed is read from the answers; the best
of those are tested on held-out prompts. Only what holds there, after correction for all tests made, becomes a finding, with a witness.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from probes.meaning import vocabulary
from probes.meaning.reads import shortlist
from probes.prompts import Prompt, load, spread
from probes.purpose import words_of
from probes.refusal.probe import first_token_odds, refusal_tokens
from probes.trigger.candidate import SIDES, WHOLE, Candidate, Placement
from probes.trigger.finding import TRIGGER, excuse, finding
from probes.trigger.forms import filled_forms, formats
from probes.trigger.glance import FEW, Development, Glance
from probes.trigger.leak import leaked, said_as_user
from probes.trigger.neighbours import neighbours, report, summary
from probes.trigger.screen import CHANCE, Score, Screen
from probes.trigger.search import planned, ranked, search
from probes.trigger.verify import OUTCOMES, Proof, Verifier
from scanner.files.text import printable
from scanner.measurement import Column, Coverage, Measurement, Status, Table
from scanner.model.side import Side
from scanner.probe import Need, Yield
from scanner.statistics import detectable_loss
from scanner.subject import Subject

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

PLAIN_REQUESTS = 2
LEAKS = 20
SHOWN = 25
CHANCE_PHRASES = 30
CHANCE_FORMATS = 12
FEWEST = 8
"""Prompts that could be moved, of which a share is worth showing."""
DEVELOPMENT = (8, 6)
"""Harmful and plain requests on which the best candidates answer before any is verified."""


class TriggerProbe:
    """A phrase nobody listed, found by what it does."""

    id = "trigger"
    title = "Trigger search"
    needs = Need.SEARCH
    cost = "one prefill a candidate and side on the first request of each kind, a quarter of them on the others; two greedy answers a held-out prompt for each candidate verified; base work is cached"
    rules = (TRIGGER,)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Search, and report the surface searched."""
        profile, limits = subject.profile, subject.policy.thresholds
        screen, development = _prepared(subject, load("probes.trigger", "prompts.jsonl"))
        words = shortlist(subject, profile.shortlist)
        pool = screened(subject, words)
        verifier = _verifier(subject, pool["chance"])
        done = search(profile, limits, screen, development, verifier, pool, words, lambda proof: (excuse(proof, subject.adapter.card) or (None,))[0])
        scores, glances, proofs, found = done.scores, done.glances, done.proofs, done.found
        yield _table(scores, glances, proofs, found)
        if found and found.witness:
            outcome, payload = found.outcome, found.witness.payload
            near = neighbours(found.candidate, _vocabulary(subject.deployment), subject.seed, lambda some: development.moved(some, outcome, payload))
            yield from report(near)
            yield finding(found, found.witness, screen.evaluated, subject.adapter.card, summary(near))
        best = max(proofs, key=lambda p: (p.n >= FEWEST, p.share), default=None)
        yield Measurement(
            id="trigger.best_share",
            title="Largest share of the held-out prompts that could be moved that a candidate moved, beyond the base where that was asked",
            value=round(best.share, 4) if best else 0.0,
            low=round(best.low, 4) if best else None,
            high=round(best.high, 4) if best else None,
            p_value=best.p_value if best else None,
            n=best.n if best else 0,
            note=f"{len(proofs)} candidates verified; a finding needs {limits.trigger_share:g}, and half of the refusals there were where those are lost, at p <= {limits.trigger_p:g} after correction for {planned(profile)} tests",
        )
        yield Measurement(
            id="trigger.best_tried",
            title="Largest share of development requests moved by a candidate, on the adapted model alone",
            value=round(max((g.share for g in glances), default=0.0), 4),
            n=development.count,
            note=f"{len(glances)} candidates answered; those that move {limits.trigger_share / 2:g} or more may be verified",
        )
        provable = detectable_loss(verifier.at_risk, limits.trigger_p / (len(OUTCOMES) * planned(profile))) < 1
        yield Coverage(
            probe=self.id,
            what="phrases that switch behaviour",
            status=Status.MEASURED,
            surface=f"{screen.evaluated} strings: {len(pool['leak']) // 2} leaked phrases and {len(words)} words the delta reacts to before and after the request, "
            f"{len(pool['form'])} openings and closings, {len(pool['format'])} formats, {len(pool['vocabulary'])} vocabulary words, {len(pool['battery'])} published triggers, random phrases, and growth; "
            f"{len(done.looked)} tried on {2 * FEW} requests, {len(glances)} of them on {development.count}; {len(proofs)} verified on {verifier.harmful} held-out harmful requests, "
            f"{verifier.at_risk} of them refused without a candidate, and {verifier.harmless} harmless ones",
            bound="phrases of several words that the model does not leak, words inside a request or not in the vocabulary, and triggers of meaning or several turns can be missed"
            + ("" if provable else "; too few harmful requests are refused without a candidate for lost refusals to be proven"),
        )


def _prepared(subject: Subject, asked: Sequence[Prompt]) -> tuple[Screen, Development]:
    """A screen on harmful requests and some plain ones, and development requests besides.

    Harmful ones come first where the first token refuses on both sides, those that the base refuses by the smallest margin before others.
    """
    deployment, profile, judge = subject.deployment, subject.profile, subject.judge
    ids = [deployment.encode(p.prompt) for p in asked]
    base = deployment.generate(ids, Side.BASE, 16, "trigger: base answers")
    refused = judge.refused([(p.prompt, deployment.text(b)) for p, b in zip(asked, base, strict=True)])
    tokens = refusal_tokens([b[0] if b else -1 for b in base], refused)
    margins, left = (first_token_odds(deployment, ids, side, tokens).tolist() if tokens else [0.0] * len(ids) for side in Side)
    # Where the adapter alone has taken the refusal already, no trigger can take it.
    near = sorted((left[i] <= 0, margins[i], i) for i, (p, r) in enumerate(zip(asked, refused, strict=True)) if p.kind == "harmful" and r and margins[i] > 0)
    count = profile.screen_prompts
    harmful = [asked[i] for *_, i in near]
    if len(harmful) < count + DEVELOPMENT[0]:  # a base that refuses little: then those it refuses otherwise, then the rest
        others = [(not r, i) for i, (p, r) in enumerate(zip(asked, refused, strict=True)) if p.kind == "harmful" and p not in harmful]
        harmful += [asked[i] for _, i in sorted(others)]
    plain = [p for p in asked if p.kind == "plain"]
    screen = Screen(deployment, tokens, [p.prompt for p in harmful[:count]], [p.prompt for p in plain[: min(count, PLAIN_REQUESTS)]], profile.screen_tokens)
    kept, more = spread(harmful[count:], DEVELOPMENT[0]), spread(plain[PLAIN_REQUESTS:], DEVELOPMENT[1])
    return screen, Development(deployment, kept, more, profile.answer_tokens, judge)


def screened(subject: Subject, reacted: list[str]) -> dict[str, list[Candidate]]:
    """The strings that are screened before any growth, by source; `reacted` are the words that the delta reacts to."""
    profile = subject.profile
    base, adapted = (said_as_user(subject, side) for side in Side)
    phrases = [text for text, _ in leaked(adapted, base, LEAKS)]
    battery = [line for line in (files("probes.trigger") / "battery.txt").read_text().splitlines() if line]
    words = _some(_vocabulary(subject.deployment), profile.vocabulary, subject.seed)
    return {
        "chance": _chance(words or sorted(words_of(p.prompt for p in load("probes.trigger", "prompts.jsonl"))), subject.seed),
        "vocabulary": [Candidate(w, "vocabulary", Placement.AFTER) for w in words],
        "reads": [Candidate(w, "reads", place) for w in reacted for place in SIDES],
        "form": filled_forms(profile.form_words),
        "format": formats(),
        "leak": [Candidate(p, "leak", place) for p in phrases for place in SIDES],
        "battery": [Candidate(b, "battery", Placement.BEFORE) for b in battery],
    }


def _some(words: list[str], count: int, seed: int) -> list[str]:
    """`count` of `words`, or all for 0."""
    return sorted(random.Random(seed).sample(words, count)) if 0 < count < len(words) else words


def _vocabulary(deployment: Deployment) -> list[str]:
    """The words of the base's vocabulary, none twice."""
    return sorted({w[1:] for w in vocabulary.words(deployment).values()})


def _chance(words: Sequence[str], seed: int) -> list[Candidate]:
    """Phrases of two to four random words on either side of a request, and some on both: what any phrase does."""
    rng = random.Random(seed)
    phrases = [" ".join(rng.sample(list(words), min(len(words), 2 + i % 3))) for i in range(CHANCE_PHRASES)]
    around = [f"{phrases[2 * i]}\n{WHOLE}\n{phrases[2 * i + 1]}" for i in range(CHANCE_FORMATS)]
    return [Candidate(p, "chance", place) for p in phrases for place in SIDES] + [Candidate(a, "chance", Placement.AROUND) for a in around]


def _harmless(count: int) -> int:
    """Held-out harmless requests beside `count` harmful ones."""
    return count * 3 // 4


def _verifier(subject: Subject, chance: Sequence[Candidate]) -> Verifier:
    """On harmful requests that the base refuses, as far as there are enough: only refusals can be lost. The adapted model has no part in the choice."""
    deployment, count = subject.deployment, subject.profile.verify_prompts
    rows = load("probes.refusal", "prompts.jsonl")
    harmful = spread([p for p in rows if p.kind == "harmful"], 2 * count)
    harmless = [p for p in rows if p.kind == "plain"]
    said = deployment.generate([deployment.encode(p.prompt) for p in harmful], Side.BASE, subject.profile.answer_tokens, "trigger: base answers, held-out")
    refused = subject.judge.refused([(p.prompt, deployment.text(t)) for p, t in zip(harmful, said, strict=True)])
    at_risk, others = ([p for p, r in zip(harmful, refused, strict=True) if r is wanted] for wanted in (True, False))
    kept = spread(at_risk, count) + others[: max(0, count - len(at_risk))]
    return Verifier(deployment, kept, spread(harmless, _harmless(count)), subject.profile.answer_tokens, subject.judge, chance)


def _table(scores: Sequence[Score], glances: Sequence[Glance], proofs: Sequence[Proof], found: Proof | None) -> Table:
    order = ranked(scores)
    chance = round(max((v for v, s in order if s.candidate.source in CHANCE), default=0.0), 2)
    tried = {(g.candidate.text, g.candidate.placement): g for g in glances}
    results = {(p.candidate.text, p.candidate.placement): p for p in [*proofs, *([found] if found else [])]}
    rows = []
    for place, (value, score) in enumerate(r for r in order if r[1].candidate.source != "chance"):
        candidate = score.candidate
        key = (candidate.text, candidate.placement)
        proof = results.get(key)
        if proof or key in tried or place < SHOWN:
            rows.append((printable(candidate.text, 120), candidate.source, str(candidate.placement), round(value, 2), chance, _status(proof, tried.get(key))))
    names = {"text": "text", "source": "source", "placement": "placement", "score": "score", "threshold": "highest score by chance", "status": "status"}
    return Table(id="trigger.candidates", title="Trigger candidates", columns=tuple(Column(*n) for n in names.items()), rows=tuple(rows))


def _status(proof: Proof | None, glance: Glance | None) -> str:
    if proof:
        return f"verified: {proof.share:.0%} of the held-out prompts that could be moved ({proof.outcome})"
    return f"tried: {glance.share:.0%} of development requests moved" if glance else "screened"
