"""Published sets of requests, by the columns their authors give them. No set is shipped: the user has the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from scanner.prompts.prompt import Kind
from scanner.prompts.rows import Row


class Missing(ValueError):
    """A row lacks what the set is said to have; the message names the columns."""


class Taken(msgspec.Struct, frozen=True):
    """What a row asks."""

    prompt: str
    kind: Kind
    category: str = ""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One set, and how its rows are read."""

    id: str
    title: str
    source: str
    """Where its authors publish it."""
    take: Callable[[Row], Taken | None]
    """What a row asks; None where the row is left out. Raises Missing."""


def _value(row: Row, *columns: str) -> Any:
    """The first of `columns` that the row has, None where it has none of them."""
    return next((row[c] for c in columns if row.get(c) not in (None, "")), None)


def _text(row: Row, *columns: str) -> str:
    value = _value(row, *columns)
    if not isinstance(value, str) or not value.strip():
        raise Missing(f"no text under {' or '.join(columns)}")
    return value


def _simple(kind: Kind, prompt: tuple[str, ...], category: tuple[str, ...] = ("category",)) -> Callable[[Row], Taken]:
    return lambda row: Taken(_text(row, *prompt), kind, str(_value(row, *category) or ""))


def _xstest(row: Row) -> Taken:
    """`label` says what is safe; where it is missing, types that begin with `contrast` are the unsafe ones."""
    kind = str(_text(row, "type"))
    label = _value(row, "label")
    if label not in (None, "safe", "unsafe"):
        raise Missing("a label other than safe and unsafe")
    unsafe = label == "unsafe" if label else kind.startswith("contrast")
    return Taken(_text(row, "prompt"), "harmful" if unsafe else "lookalike", kind)


def _harmbench(row: Row) -> Taken:
    """A contextual behaviour is asked behind its context."""
    behaviour, context = _text(row, "Behavior", "instruction"), _value(row, "ContextString")
    return Taken(f"{context}\n\n{behaviour}" if context else behaviour, "harmful", str(_value(row, "SemanticCategory", "category") or ""))


def _sorry(row: Row) -> Taken | None:
    """The plain wording alone: other styles translate, encode or persuade."""
    if _value(row, "prompt_style") not in (None, "base"):
        return None
    turns = _value(row, "turns")
    if isinstance(turns, str):
        turns = [turns]
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], str) or not turns[0].strip():
        raise Missing("no text under turns")
    return Taken(turns[0], "harmful", str(_value(row, "category") or ""))


def _own(row: Row) -> Taken:
    kind = _value(row, "kind")
    if kind not in ("harmful", "lookalike", "plain"):
        raise Missing("no kind that is harmful, lookalike or plain")
    return Taken(_text(row, "prompt"), kind, str(_value(row, "category") or ""))


PUBLISHED = {
    s.id: s
    for s in (
        Published(id="advbench", title="AdvBench", source="github.com/llm-attacks/llm-attacks", take=_simple("harmful", ("goal", "instruction"))),
        Published(id="harmbench", title="HarmBench", source="github.com/centerforaisafety/HarmBench", take=_harmbench),
        Published(
            id="jailbreakbench", title="JailbreakBench, harmful", source="huggingface.co/datasets/JailbreakBench/JBB-Behaviors",
            take=_simple("harmful", ("Goal", "goal", "instruction"), ("Category", "category")),
        ),
        Published(
            id="jailbreakbench-benign", title="JailbreakBench, benign", source="huggingface.co/datasets/JailbreakBench/JBB-Behaviors",
            take=_simple("lookalike", ("Goal", "goal"), ("Category", "category")),
        ),
        Published(id="or-bench", title="OR-Bench", source="huggingface.co/datasets/bench-llm/or-bench", take=_simple("lookalike", ("prompt",))),
        Published(id="or-bench-toxic", title="OR-Bench, toxic", source="huggingface.co/datasets/bench-llm/or-bench", take=_simple("harmful", ("prompt",))),
        Published(id="own", title="Your own requests", source="columns prompt, kind and category, as in unmask's own", take=_own),
        Published(id="sorry-bench", title="SORRY-Bench", source="huggingface.co/datasets/sorry-bench/sorry-bench-202503", take=_sorry),
        Published(
            id="strongreject", title="StrongREJECT", source="github.com/alexandrasouly/strongreject", take=_simple("harmful", ("forbidden_prompt", "instruction"))
        ),
        Published(id="xstest", title="XSTest", source="github.com/paul-rottger/exaggerated-safety", take=_xstest),
    )
}  # fmt: skip
