"""A reference population: what honest adapters of one base look like, and how far an adapter lies from those made the same way."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from scanner.delta.delta import Delta
from scanner.delta.family import kind
from scanner.delta.measure import ModuleStatistics
from scanner.delta.summary import summary
from scanner.errors import ScanError
from scanner.files.adapter import Adapter
from scanner.files.text import printable
from scanner.model.base import Base
from scanner.statistics import conformal_p

LARGEST = 256 * 1024 * 1024
SHIPPED = Path(str(files("scanner") / "populations"))
FLOOR = 1e-6


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What two adapters must share to be compared."""

    method: str
    ranks: tuple[int, ...]
    """Ranks of all modules, each named once, ascending."""
    modules: dict[str, int]
    """How many modules of each kind, kinds in the order of their names."""

    def __str__(self) -> str:
        kinds = ", ".join(f"{k.rsplit('.', 1)[-1]} x {n}" for k, n in self.modules.items())
        return printable(f"{self.method} of rank {', '.join(map(str, self.ranks))} on {kinds}", 300)


class Member(msgspec.Struct, frozen=True):
    """One honest adapter: the hash of its folder, and the values of its cell's features."""

    sha256: str
    values: tuple[float, ...]


class Deviant(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of an adapter beside the population's."""

    feature: str
    value: float
    low: float
    high: float
    """5 % and 95 % quantiles of the population."""
    z: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One adapter among those made the same way."""

    p_value: float
    n: int
    """Adapters it was compared with; itself is left out."""
    score: float
    """Largest |z| over all features."""
    scores: tuple[float, ...]
    """Those of the others, ascending."""
    deviants: tuple[Deviant, ...]
    """All features, furthest first."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """The adapters of one recipe."""

    recipe: Recipe
    features: tuple[str, ...]
    members: tuple[Member, ...]

    def compare(self, values: dict[str, float], sha256: str) -> Comparison:
        """Conformal p-value of the adapter with these feature values.

        The score is max |x - median| / spread over features, the spread being the 90 % quantile of |x - median| over 1.645. Median and spread
        are taken over the population and the adapter together, so that the score treats all alike and the p-value is exact
        (full conformal prediction).
        """
        others = np.array([m.values for m in self.members if m.sha256 != sha256]).reshape(-1, len(self.features))
        table = np.vstack([others, [values[f] for f in self.features]])
        centre = np.median(table, axis=0)
        spread = np.maximum(np.quantile(np.abs(table - centre), 0.9, axis=0) / 1.645, FLOOR)
        z = (table - centre) / spread
        scores = np.abs(z).max(axis=1)
        low, high = np.quantile(table, [0.05, 0.95], axis=0)
        deviants = [
            Deviant(feature=f, value=float(table[-1, i]), low=float(low[i]), high=float(high[i]), z=float(z[-1, i])) for i, f in enumerate(self.features)
        ]
        return Comparison(
            p_value=conformal_p(float(scores[-1]), scores[:-1].tolist()),
            n=len(others),
            score=float(scores[-1]),
            scores=tuple(sorted(scores[:-1].tolist())),
            deviants=tuple(sorted(deviants, key=lambda d: (-abs(d.z), d.feature))),
        )


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """A population file: statistics, no weights."""

    format: Literal["unmask population 1"] = "unmask population 1"
    tool: str
    """The unmask that made it."""
    base: str
    base_sha256: str
    base_names: tuple[str, ...]
    """What adapters call this base."""
    cells: tuple[Cell, ...]

    @classmethod
    def open(cls, path: Path) -> Population:
        """Read a population file. Raises ScanError with one line when it is not one."""
        where = printable(path)
        try:
            if path.stat().st_size > LARGEST:
                raise ScanError(f"{where}: over {LARGEST:,} bytes")
            found = msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise ScanError(f"{where}: cannot be read ({error.strerror})") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ScanError(f"{where}: not a population made by `unmask calibrate` ({printable(error, 120)})") from None
        if any(len(m.values) != len(c.features) for c in found.cells for m in c.members):
            raise ScanError(f"{where}: a member has more or fewer values than there are features")
        return found

    def is_of(self, declared: str, base: Base | None) -> bool:
        """Whether this is the population of the base: the same files, or, where no base is given, the name the adapter declares."""
        return base.sha256 == self.base_sha256 if base is not None else declared in self.base_names

    def cell(self, recipe: Recipe) -> Cell | None:
        """The adapters made like this, or None."""
        return next((c for c in self.cells if c.recipe == recipe), None)


def recipe(delta: Delta) -> Recipe:
    """How an adapter was made, as far as its tensors tell."""
    kinds: dict[str, int] = {}
    for name in sorted(kind(m.module) for m in delta.modules):
        kinds[name] = kinds.get(name, 0) + 1
    return Recipe(method=delta.method, ranks=tuple(sorted({m.rank for m in delta.modules})), modules=kinds)


def gather(adapters: Sequence[tuple[str, Delta, Sequence[ModuleStatistics]]], base: Base, tool: str) -> Population:
    """The population of `adapters`: SHA-256 of the folder, delta and statistics of each. One that is there twice counts once."""
    cells: dict[bytes, tuple[Recipe, dict[str, tuple[float, ...]], tuple[str, ...]]] = {}
    for sha256, delta, statistics in adapters:
        made, values = recipe(delta), summary(statistics)
        _, members, _ = cells.setdefault(msgspec.json.encode(made), (made, {}, tuple(values)))
        members[sha256] = tuple(float(f"{v:.6g}") for v in values.values())
    return Population(
        tool=tool,
        base=base.name,
        base_sha256=base.sha256,
        base_names=tuple(dict.fromkeys((base.name, *base.origin, *_own_name(base)))),
        cells=tuple(
            Cell(recipe=made, features=features, members=tuple(Member(s, v) for s, v in sorted(members.items())))
            for _, (made, members, features) in sorted(cells.items())
        ),
    )


def _own_name(base: Base) -> tuple[str, ...]:
    name = base.config.get("_name_or_path")
    return (name,) if isinstance(name, str) and name else ()


def shipped(adapter: Adapter, base: Base | None, folder: Path = SHIPPED) -> Population | None:
    """The population in `folder` that is of this base, or None."""
    declared = adapter.config.base_model_name_or_path or ""
    found = (Population.open(path) for path in sorted(folder.glob("*.json")))
    return next((p for p in found if p.is_of(declared, base)), None)
