"""What probes are given: the adapter, its delta, the base and, when it is needed, the loaded deployment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scanner.delta.change import finite
from scanner.delta.delta import Delta
from scanner.delta.lowrank import ModuleDelta
from scanner.delta.measure import ModuleStatistics, measure
from scanner.delta.stream import each
from scanner.files.adapter import Adapter
from scanner.judge import Judge, installed
from scanner.known import Index
from scanner.model.base import Base
from scanner.policy import Policy
from scanner.population import Population
from scanner.profile import Profile
from scanner.progress import Reporter
from scanner.prompts.set import PromptSet
from scanner.trust import Trust

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

LARGEST_FLOAT = float(np.finfo(np.float32).max)


class Subject:
    """One deployment under examination."""

    def __init__(
        self,
        adapter: Adapter,
        delta: Delta,
        base: Base | None,
        profile: Profile,
        policy: Policy,
        seed: int,
        reporter: Reporter,
        load: Callable[[], Deployment] | None = None,
        trust: Trust | None = None,
        known: Index | None = None,
        population: Population | None = None,
        prompt_sets: tuple[PromptSet, ...] = (),
        judge: Judge | None = None,
        tasks: tuple[str, ...] = (),
        allow_hub: bool = False,
    ) -> None:
        """`load` loads the deployment on first use; `known` holds adapters to look for copies of, `population` honest ones to compare with.

        `prompt_sets` are asked besides the shipped requests; `judge` says what is a refusal, the installed one where it is None.
        `tasks` are lm-eval's, whose data may come from the Hub where `allow_hub` says so.
        """
        self.adapter, self.delta, self.base = adapter, delta, base
        self.profile, self.policy, self.seed, self.reporter = profile, policy, seed, reporter
        self.trust = trust or Trust()
        self.known, self.population = known, population
        self.prompt_sets, self._judge = prompt_sets, judge
        self.tasks, self.allow_hub = tasks, allow_hub
        self._load = load

    @cached_property
    def statistics(self) -> tuple[ModuleStatistics, ...]:
        """Statistics of every module's delta, in the order of `delta.modules`, from one pass over the factors."""
        return tuple(each(self.delta.modules, measure))

    @cached_property
    def nonfinite(self) -> tuple[str, ...]:
        """Modules of which a stored value is NaN or infinite, or whose factors multiply to more than float32 holds, sorted."""
        bad = {m.module for m in self.statistics if not m.finite or m.frobenius > LARGEST_FLOAT}
        bad |= {c.module for c in self.delta.changes if not isinstance(c, ModuleDelta) and not finite(c)}
        return tuple(sorted(bad))

    @cached_property
    def judge(self) -> Judge:
        """Who says what is a refusal. Raises ScanError when no judge is installed."""
        return self._judge or installed()

    @cached_property
    def deployment(self) -> Deployment:
        """The loaded deployment. Raises RuntimeError when the scan has no base."""
        if self._load is None:
            raise RuntimeError("this scan has no base")
        return self._load()

    @property
    def loaded(self) -> bool:
        """Whether the deployment was loaded already."""
        return "deployment" in self.__dict__
