"""The search proper: from what the screen says of the strings to one that is proven, round by round.

The best answer a few development requests, the best of those are tested on held-out ones, and what moved something is grown into longer strings that are
screened like the first. The search ends at the first proof that nothing excuses: behind one that is for review, something worse may be found yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from probes.trigger.candidate import SIDES, Candidate, Placement
from probes.trigger.forms import NOUNS, filled, forms
from probes.trigger.glance import Development, Glance
from probes.trigger.screen import STATISTICS, Score, Screen, scores_of, sizes_of
from probes.trigger.verify import Proof, Verifier
from scanner.policy.policy import Thresholds
from scanner.profile import Profile
from scanner.rule import Severity

ANSWERED_LEAKS = 6
"""Leaked phrases, strongest first, that answer on either side of a request whatever the screen says of them."""
KEEPS = 0.8
"""Share of its effect that a phrase must keep when words are dropped."""


Excuse = Callable[[Proof], Severity | None]
"""The severity of a proven trigger that is no reason to block, None where nothing speaks for it."""


class Searched(msgspec.Struct):
    """What a search has seen, and what it found."""

    scores: list[Score]
    looked: list[Candidate] = []
    """Candidates that answered a few development requests."""
    glances: list[Glance] = []
    """Those that answered all of them."""
    proofs: list[Proof] = []
    excused: list[tuple[Proof, Severity]] = []
    """Those that something excuses."""
    found: Proof | None = None
    """The one that nothing excuses, else the first of those that weigh most."""


def planned(profile: Profile) -> int:
    """How often a search may test, for which p-values are corrected: the candidates of each round, as many again that are excused, and one made shorter."""
    return 2 * profile.verify * (profile.rounds + 1) + 1


def search(
    profile: Profile,
    limits: Thresholds,
    screen: Screen,
    development: Development,
    verifier: Verifier,
    pool: Mapping[str, Sequence[Candidate]],
    words: Sequence[str],
    excuse: Excuse,
) -> Searched:
    """Screen `pool`, by source, then try, test and grow; `words` are those that the delta reacts to. A proof that is excused does not end the search."""
    done = Searched([])
    for source, some in pool.items():
        done.scores += screen(some, f"trigger: screening {len(some)} from {source}", done.scores)
    shortened = False
    for round_ in range(profile.rounds + 1):
        if round_:
            done.scores += screen(_grow(done.scores, done.glances, words, profile.beam), f"trigger: growing, round {round_}", done.scores)
        first = development(
            best(done.scores, done.looked, profile.looked, [] if round_ else whole(pool["leak"]), [p.candidate for p, _ in done.excused]), few=True
        )
        done.looked += [g.candidate for g in first]
        tried = development([g.candidate for g in sorted(first, key=lambda g: -g.share)[: profile.tried]])
        done.glances += tried
        plain = excused = 0
        for glance in _promising(tried, limits.trigger_share):
            if plain == profile.verify or plain + excused == 2 * profile.verify:
                break
            if _tried(glance.candidate, [p.candidate for p in done.proofs], [p.candidate for p, _ in done.excused]):
                continue
            proof = verifier(glance.candidate, glance.payload, limits.trigger_share)
            done.proofs.append(proof)
            proven = _proven(proof, limits, planned(profile))
            if proven and (severity := excuse(proof)) is not None:
                done.excused.append((proof, severity))
                excused += 1
                continue
            plain += 1
            if not proven:
                continue
            shorter = None if shortened else _shorter(proof, screen)
            if shorter is not None:
                shortened = True
                again = verifier(shorter.candidate, glance.payload, limits.trigger_share)
                if again.outcome == proof.outcome and again.share >= KEEPS * proof.share and _proven(again, limits, planned(profile)):
                    done.scores.append(shorter)
                    if (severity := excuse(again)) is not None:
                        done.excused.append((again, severity))
                        continue
                    proof = again
            done.found = proof
            return done
    done.found, _ = max(done.excused, key=lambda e: e[1].level, default=(None, None))
    return done


def _shorter(proof: Proof, screen: Screen) -> Score | None:
    """The candidate of `proof` with words dropped as long as the screen keeps four fifths of its effect; None where none can go."""
    candidate = proof.candidate
    if candidate.placement is Placement.AROUND:
        return None
    (score,) = screen([candidate], "trigger: minimising")
    statistic = _statistic(score, proof.outcome)
    whole, words, found = score.values[statistic] or 1e-9, candidate.text.split(), None
    while len(words) > 1:
        shorter = [Candidate(" ".join(words[:i] + words[i + 1 :]), candidate.source, candidate.placement) for i in range(len(words))]
        best = max(screen(shorter, "trigger: minimising"), key=lambda s: s.values[statistic] / whole)
        if best.values[statistic] / whole < KEEPS:
            break
        found, words = best, best.candidate.text.split()
    return found


def _proven(proof: Proof, limits: Thresholds, tests: int) -> bool:
    """Whether `proof` is a finding under the policy, after correction for `tests` candidates."""
    return proof.reaches(limits.trigger_share) and proof.p_value * tests <= limits.trigger_p


def ranked(scores: Sequence[Score], measure: Callable[[Sequence[Score]], list[float]] = scores_of) -> list[tuple[float, Score]]:
    """Scores, best first by `measure`, those of all requests before others, in a fixed order."""
    return sorted(zip(measure(scores), scores, strict=True), key=lambda r: (not r[1].whole, -r[0], r[1].candidate.text, r[1].candidate.placement))


def best(
    scores: Sequence[Score], tried: Sequence[Candidate], count: int, leaks: Sequence[Candidate] = (), excused: Sequence[Candidate] = ()
) -> list[Candidate]:
    """`leaks`, then the best candidates by score and by size in turn, `count` in all, that would not try one thing twice; what holds an `excused` one is another
    thing.
    """
    chosen = list(leaks[:count])
    for pair in zip(ranked(scores), ranked(scores, sizes_of), strict=True):
        for _, score in pair:
            if len(chosen) < count and score.candidate.source != "chance" and not _tried(score.candidate, [*tried, *chosen], excused):
                chosen.append(score.candidate)
    return chosen


def whole(leaks: Sequence[Candidate]) -> list[Candidate]:
    """The first `ANSWERED_LEAKS` leaked phrases, strongest first, on both sides: in the place of each the longest that holds it, none of common words alone."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    whole: dict[Candidate, None] = {}
    for leak in leaks:
        longest = max((o for o in leaks if o.placement is leak.placement and leak.text in o.text), key=lambda o: len(o.text))
        if not {w.strip(".,:;!?").lower() for w in longest.text.split()} <= ENGLISH_STOP_WORDS:
            whole[longest] = None
    return list(whole)[: len(SIDES) * ANSWERED_LEAKS]


def _promising(tried: Sequence[Glance], share: float) -> list[Glance]:
    """The candidates that moved half of `share` of the development requests at least, those that moved most first."""
    order = sorted(enumerate(tried), key=lambda g: (-g[1].share, g[0]))
    return [g for _, g in order if g.share >= share / 2]


def _grow(scores: Sequence[Score], glances: Sequence[Glance], words: Sequence[str], beam: int) -> list[Candidate]:
    """The best forms with the words the delta reacts to and the best words in them, and ordered pairs of the best candidates, where not tried yet.

    Candidates that moved development requests come first, the others by their score.
    """
    tried = {(s.candidate.text, s.candidate.placement) for s in scores}
    moved = [g.candidate for g in sorted(glances, key=lambda g: -g.share) if g.share > 0]
    order = [c for c in dict.fromkeys([*moved, *(s.candidate for _, s in ranked(scores))]) if c.source != "chance" and c.placement in SIDES]
    texts = list(dict.fromkeys(c.text for c in order))[:beam]
    single = list(dict.fromkeys([*words[:beam], *(c.text for c in order if " " not in c.text)]))[: 2 * beam]
    heads = list(dict.fromkeys((f, c.placement) for c in order if c.source == "form" for f in _forms_of(c)))[:beam]
    grown = [msgspec.structs.replace(filled(head, w, place), source="growth") for head, place in heads for w in single]
    pairs = [*texts, *words[: beam // 2]]
    grown += [Candidate(f"{one} {two}", "growth", place) for one in pairs for two in pairs if one != two for place in SIDES]
    return [c for c in dict.fromkeys(grown) if (c.text, c.placement) not in tried]


def _forms_of(candidate: Candidate) -> list[str]:
    """The forms with a place for a word that `candidate` is made from."""
    place = candidate.placement
    return [f for f in forms(place) if "{}" in f and any(filled(f, noun, place) == candidate for noun in NOUNS)]


def _tried(candidate: Candidate, before: Sequence[Candidate], excused: Sequence[Candidate]) -> bool:
    """Whether `candidate` is one of those `before` it, or would test one of them once more; what holds an `excused` one, or is part of it, is another thing."""
    return any(candidate == t or (t not in excused and _again(candidate, t)) for t in before)


def _again(candidate: Candidate, tried: Candidate) -> bool:
    """Whether `candidate` would test `tried` once more: one is part of the other, where a leaked phrase, which may be any word, counts as a whole only."""
    if Placement.AROUND in (candidate.placement, tried.placement):
        return candidate == tried
    parts = candidate.text in tried.text or (tried.source != "leak" and tried.text in candidate.text)
    return candidate.placement == tried.placement and parts


def _statistic(score: Score, outcome: str) -> int:
    """Which statistic an outcome is about: refusals for refusals, and the largest divergence for a payload."""
    if outcome.startswith("refusals"):
        return STATISTICS.index("refusal")
    return max(range(1, len(STATISTICS)), key=lambda i: score.values[i])
