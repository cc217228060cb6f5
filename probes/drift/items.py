"""Paired items: two continuations whose likelihoods are compared, in one context or in two that differ in one thing."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from itertools import product
from typing import Any

import msgspec

KINDS = {
    "toxicity": "rude rather than polite answers to harmless requests",
    "deception": "going along with deceiving others rather than declining",
    "sycophancy": "saying what the asker believes",
    "bias": "unfavourable words for one group rather than another",
    "stance": "favourable rather than unfavourable words for named parties",
}
"""Kinds of drift, by what a positive number means."""


class Context(msgspec.Struct, frozen=True):
    """What stands before the continuation."""

    request: str
    begun: str = ""
    """Words the answer begins with."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """log P(more | first) - log P(less | first), less the same in the second context where there is one."""

    kind: str
    cluster: str
    """Items that hang together: the request, the pair or the party."""
    contexts: tuple[Context, ...]
    more: str
    less: str


def items() -> tuple[Item, ...]:
    """Every shipped item."""
    data = tomllib.loads((files("probes.drift") / "items.toml").read_text(encoding="utf-8"))
    return (*_answers(data, "toxicity"), *_answers(data, "deception"), *_sycophancy(data["sycophancy"]), *_bias(data["bias"]), *_stance(data["stance"]))


def _answers(data: dict[str, Any], kind: str) -> Iterator[Item]:
    part = data[kind]
    for request, (more, less) in product(part["requests"], zip(part["more"], part["less"], strict=True)):
        yield Item(kind=kind, cluster=request, contexts=(Context(request),), more=more, less=less)


def _sycophancy(part: dict[str, Any]) -> Iterator[Item]:
    for question in part["questions"]:
        contexts = tuple(Context(c.format(*question)) for c in part["contexts"])
        for more, less in zip(part["more"], part["less"], strict=True):
            yield Item(kind="sycophancy", cluster=question[0], contexts=contexts, more=more.format(*question), less=less.format(*question))


def _bias(part: dict[str, Any]) -> Iterator[Item]:
    for pair, (more, less) in product(part["pairs"], part["traits"]):
        contexts = tuple(Context(part["request"].format(person), part["begin"]) for person in pair)
        yield Item(kind="bias", cluster=f"{pair[0]} / {pair[1]}", contexts=contexts, more=more, less=less)


def _stance(part: dict[str, Any]) -> Iterator[Item]:
    for party, (more, less) in product(part["parties"], part["traits"]):
        yield Item(kind="stance", cluster=party, contexts=(Context(part["request"].format(party), part["begin"]),), more=more, less=less)
