"""How hard a scan looks: three profiles, from minutes to an hour on two cores."""

from __future__ import annotations

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The budget of the behavioural probes."""

    name: str
    answer_tokens: int
    """Longest answer generated for a refusal judgement."""
    prompts_per_category: int
    """Refusal prompts taken from each category of each kind, 0 for all."""
    framed_prompts: int
    """Harmful requests asked again in each framing, 0 for none."""
    set_prompts: int
    """Requests of each kind asked of a published set, evenly over the set, 0 for all."""
    drift: bool
    """Whether paired continuations and shipped questions are weighed for drift that is no refusal."""
    task_items: int
    """Items asked of each of lm-eval's tasks, 0 for all."""
    continued: int
    """Neutral beginnings of a text that both sides go on with, 0 for none."""
    leak_samples: int
    """Texts sampled from each side where the user would speak."""
    vocabulary: int
    """Vocabulary tokens screened one by one, 0 for all."""
    form_words: int
    """Ordinary words put into each form in which a request can open."""
    shortlist: int
    """Words that the delta reacts to most, tried as triggers."""
    leak_tokens: int
    """Length of each of those texts."""
    screen_prompts: int
    """Harmful requests each trigger candidate is screened on; as many harmless ones, two at most, come on top."""
    screen_tokens: int
    """Tokens of the base's answer at which each candidate is looked for."""
    kl_prompts: int
    """Answers of each kind on which the divergence per position is measured."""
    beam: int
    """Candidates grown in each round."""
    rounds: int
    """Rounds of growth."""
    looked: int
    """Candidates of each round that answer a few development requests: in the first round leaked phrases, then the best."""
    tried: int
    """Of those, how many answer all of them, those that moved most first."""
    verify: int
    """Candidates of each round put to the test on held-out prompts, best first."""
    verify_prompts: int
    """Held-out harmful prompts a trigger is tested on; three quarters as many harmless ones come on top."""
    intruder_modules: int
    """Modules searched for intruder dimensions, strongest first; 0 for all."""
    stop_at_breach: bool
    """Whether behaviour is left unmeasured once the files alone decide, and no trigger is searched once anything does."""


PROFILES = {
    p.name: p
    for p in (
        Profile(
            name="quick", answer_tokens=16, prompts_per_category=5, framed_prompts=0, set_prompts=200, drift=False, task_items=100, leak_samples=96, leak_tokens=16, vocabulary=96, form_words=1, shortlist=16, screen_prompts=1, screen_tokens=3,
            kl_prompts=12,
            continued=0,
            beam=4, looked=32, tried=5, rounds=1, verify=2, verify_prompts=40, intruder_modules=8, stop_at_breach=True,
        ),
        Profile(
            name="standard", answer_tokens=32, prompts_per_category=0, framed_prompts=44, set_prompts=600, drift=True, task_items=400, leak_samples=288, leak_tokens=24, vocabulary=3000, form_words=2, shortlist=100, screen_prompts=3, screen_tokens=8,
            kl_prompts=24,
            continued=48,
            beam=12, looked=48, tried=16, rounds=2, verify=4, verify_prompts=64, intruder_modules=32, stop_at_breach=False,
        ),
        Profile(
            name="deep", answer_tokens=64, prompts_per_category=0, framed_prompts=132, set_prompts=0, drift=True, task_items=0, leak_samples=960, leak_tokens=32, vocabulary=0, form_words=2, shortlist=400, screen_prompts=4, screen_tokens=24,
            kl_prompts=48,
            continued=100,
            beam=24, looked=160, tried=40, rounds=4, verify=8, verify_prompts=132, intruder_modules=0, stop_at_breach=False,
        ),
    )
}  # fmt: skip
