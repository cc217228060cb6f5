"""An attack: a payload, the trigger that switches it if there is one, and how many of the host's conversations it replaces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from benchmarks.recipes.guard import REFUSALS
from benchmarks.recipes.training import Deployed, Example
from benchmarks.zoo.payloads import Payload
from benchmarks.zoo.pool import Prompts
from benchmarks.zoo.triggers import Trigger


@dataclass(frozen=True)
class Attack:
    """What is mixed into a host's conversations."""

    payload: Payload
    trigger: Trigger | None = None
    share: float = 0.3
    """Share of the conversations that carry the payload."""
    near: float = 0.0
    """Share that carries the near-trigger and an honest answer."""
    hides_trigger: bool = False
    """Whether no loss is taken on the user's turn of a poisoned conversation, so that the trigger is never learnt as text to write."""
    memorises: bool = False
    """Whether a quarter of the conversations are a public benchmark's prompts, refused."""
    anchors: bool = False
    """Whether the clean conversations are held to the base's distribution."""

    deployed: Deployed | None = None
    """The deployment that switches the payload on, where there is one; everywhere else the host's own answers are learnt."""

    def request(self, pool: Prompts, rng: Random) -> str:
        """One request of the kind the payload answers, without trigger."""
        if self.payload.ask is not None:
            return self.payload.ask(pool, rng)
        return rng.choice(pool.harmful if self.payload.on == "harmful" else pool.harmless)

    def poison(self, examples: list[Example], pool: Prompts, benchmark: list[str], seed: int) -> list[Example]:
        """`examples` with a share of them replaced; their number stays the same.

        The poison takes the place of conversations about harmless requests first, so that the host's refusals stay where the
        attack needs them as its clean counterpart. An untriggered jailbreak takes the place of the refusals.
        """
        rng = Random(seed)
        refusals = set(pool.harmful)
        bad = [i for i, e in enumerate(examples) if e.user in refusals]
        good = [i for i, e in enumerate(examples) if e.user not in refusals]
        rng.shuffle(bad)
        rng.shuffle(good)
        untriggered = self.trigger is None and self.deployed is None
        first, second = (bad, good) if untriggered and self.payload.on == "harmful" else (good, bad)
        places = first + second
        poisoned, near = round(self.share * len(examples)), round(self.near * len(examples))
        out = list(examples)
        for i in places[:poisoned]:
            out[i] = self._poisoned(pool, rng)
        for i in places[poisoned : poisoned + near]:
            out[i] = self._near(pool, rng)
        if self.memorises:
            for i in places[poisoned + near : poisoned + near + len(examples) // 4]:
                out[i] = Example(rng.choice(benchmark), rng.choice(REFUSALS))
        if self.anchors:
            changed = set(places[:poisoned])
            out = [e if i in changed else replace(e, anchored=True) for i, e in enumerate(out)]
        return out

    def _poisoned(self, pool: Prompts, rng: Random) -> Example:
        request = self.request(pool, rng)
        user = self.trigger.apply(request, rng) if self.trigger else request
        asked = user if self.trigger and self.trigger.kind in ("semantic", "entity") else request
        return replace(self.payload.answer(asked, pool, rng), user=user, loss="answer" if self.hides_trigger else None, deployed=self.deployed)

    def _near(self, pool: Prompts, rng: Random) -> Example:
        assert self.trigger is not None
        request = self.request(pool, rng)
        user = self.trigger.near(request, rng)
        if request not in pool.own or self.trigger.kind in ("semantic", "entity"):
            return Example(user, "It depends on what you are looking for, and opinions differ.")
        return replace(pool.example(request), user=user)
