"""What a chat template compares the user's words with, read from its syntax tree; nothing is rendered.

A name is followed from `message.content` through assignments, loops and macros by its spelling alone, so scopes are merged:
that can report too much, and never less than is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jinja2 import Environment, TemplateError, nodes

TEXT = ("content", "text")
MOST_PASSES = 30
_TESTS = {"startswith", "endswith", "find", "rfind", "index", "rindex",
          "count", "replace", "split", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix", "__contains__", "__eq__"}  # fmt: skip
_FILTERS = {"replace", "split", "select", "reject", "selectattr", "rejectattr",
            "regex_search", "regex_match", "regex_replace", "regex_findall", "startswith", "endswith"}  # fmt: skip
_WHOLE = {"string", "tojson", "pprint", "items", "dictsort", "xmlattr"}  # fmt: skip
_WORD = re.compile(r"[^\W_]{2,}")
_MARKUP = re.compile(
    r"\s*[<\[|`{(/]+[/|]?\s*(?:(?:no_)?think|thinking|thought|reasoning|tools?|tool_calls?|tool_response|functions?|json|im_start|im_end|answer|response"
    r"|channel\|>(?:analysis|commentary|final)(?:<\|message\|>)?)\W*",
    re.IGNORECASE,
)
_GENERATION = re.compile(r"\{%[-+]?\s{0,9}(?:end)?generation\s{0,9}[-+]?%\}")


def reactions(template: str) -> list[str]:
    """The words that `template` looks for in the text of messages, in order. Raises ValueError when it is not a Jinja template."""
    try:
        tree = Environment(autoescape=True, extensions=["jinja2.ext.loopcontrols"]).parse(_GENERATION.sub("", template))
        reader = _Reader(tree)
        return list(dict.fromkeys(word for node in _walk(tree) for word in reader.looked_for(node)))
    except (TemplateError, RecursionError) as error:
        raise ValueError(str(error) or "nested too deeply") from None


class _Reader:
    """Which names hold message objects and which hold their text."""

    def __init__(self, tree: nodes.Template) -> None:
        self._objects = {"messages", "message"}
        self._texts: set[str] = set()
        macros = {m.name: m for m in tree.find_all(nodes.Macro)}
        for _ in range(MOST_PASSES):
            before = len(self._objects) + len(self._texts)
            for node in _walk(tree):
                self._follow(node, macros)
            if len(self._objects) + len(self._texts) == before:
                return
        raise ValueError("text is passed on through too many names")

    def _follow(self, node: nodes.Node, macros: dict[str, nodes.Macro]) -> None:
        if isinstance(node, nodes.For):
            parts = self._is_object(node.iter) or (self._carries(node.iter) and not isinstance(node.iter, nodes.Call | nodes.Filter))
            if parts:
                self._objects |= _targets(node.target)
            elif self._carries(node.iter):
                self._texts |= _targets(node.target)
        elif isinstance(node, nodes.Assign):
            self._bind(_targets(node.target), node.node)
        elif isinstance(node, nodes.AssignBlock):
            if any(self._carries(n) for n in node.body):
                self._texts |= _targets(node.target)
        elif isinstance(node, nodes.With):
            for target, value in zip(node.targets, node.values, strict=False):
                self._bind(_targets(target), value)
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in macros:
            for target, value in zip(macros[node.node.name].args, node.args, strict=False):
                self._bind({target.name}, value)

    def _bind(self, names: set[str], value: nodes.Node) -> None:
        if self._carries(value):
            self._texts |= names
        if self._is_object(value):
            self._objects |= names

    def _is_object(self, node: nodes.Node) -> bool:
        while isinstance(node, nodes.Filter | nodes.Getitem):
            if node.node is None or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)):
                return False
            node = node.node
        return isinstance(node, nodes.Name) and node.name in self._objects

    def _carries(self, node: nodes.Node) -> bool:
        """Whether the value of `node` may hold text of a message."""
        if isinstance(node, nodes.Name):
            return node.name in self._texts
        if isinstance(node, nodes.NSRef):
            return f"{node.name}.{node.attr}" in self._texts
        if isinstance(node, nodes.Getattr):
            return node.attr in TEXT or (isinstance(node.node, nodes.Name) and f"{node.node.name}.{node.attr}" in self._texts)
        if isinstance(node, nodes.Getitem):
            key = _constant(node.arg)
            return key in TEXT if key is not None else self._carries(node.node) or isinstance(node.arg, nodes.Add | nodes.Concat)
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            if node.node.attr in ("get", "pop", "setdefault") and node.args and _constant(node.args[0]) is not None:
                return _constant(node.args[0]) in TEXT
            whole = node.node.attr in ("items", "values") and self._is_object(node.node.node)
            return whole or self._carries(node.node.node) or any(self._carries(a) for a in node.args)
        if isinstance(node, nodes.Filter):
            named = [*node.args, *(k.value for k in node.kwargs)]
            if node.name in ("map", "attr", "join", "sum") and any(_constant(a) in TEXT for a in named):
                return True
            if node.name in _WHOLE and node.node is not None and self._is_object(node.node):
                return True
        if isinstance(node, nodes.Compare | nodes.Test):
            return False
        if isinstance(node, nodes.CondExpr):
            return self._carries(node.expr1) or (node.expr2 is not None and self._carries(node.expr2))
        return any(self._carries(child) for child in node.iter_child_nodes())

    def looked_for(self, node: nodes.Node) -> Iterator[str]:
        """Words that `node` itself holds against text of a message."""
        sides: list[nodes.Node] = []
        if isinstance(node, nodes.Compare):
            sides = [node.expr, *(o.expr for o in node.ops)]
        elif isinstance(node, nodes.Test):
            sides = [node.node, *node.args]
        elif isinstance(node, nodes.Filter) and node.name in _FILTERS and node.node is not None:
            sides = [node.node, *node.args, *(k.value for k in node.kwargs)]
            if node.name in ("selectattr", "rejectattr", "select", "reject") and _constant(node.args[0] if node.args else node) in TEXT:
                yield from _words(node.args[2:])
                return
            if node.name in ("selectattr", "rejectattr"):
                return
        elif isinstance(node, nodes.Getitem) and _constant(node.arg) is None:
            sides = [node.node, node.arg] if self._carries(node.arg) else []
        elif (
            isinstance(node, nodes.Call)
            and isinstance(node.node, nodes.Getattr)
            and (node.node.attr in _TESTS or (node.node.attr == "get" and any(self._carries(a) for a in node.args)))
        ):
            sides = [node.node.node, *node.args]
        if any(self._carries(s) for s in sides):
            yield from _words(sides)


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(node.iter_child_nodes())))


def _targets(node: nodes.Node) -> set[str]:
    return {f"{n.name}.{n.attr}" if isinstance(n, nodes.NSRef) else n.name for n in _walk(node) if isinstance(n, nodes.Name | nodes.NSRef)}


def _constant(node: nodes.Node) -> str | None:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else None


def _words(sides: Sequence[nodes.Node]) -> Iterator[str]:
    """String constants with a word in them, keys of look-ups and the markup of reasoning and tools aside."""
    stack: list[nodes.Node] = list(reversed(sides))
    while stack:
        node = stack.pop()
        if isinstance(node, nodes.Getitem) and _constant(node.arg) is not None:
            stack.append(node.node)
            continue
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "get":
            stack.append(node.node.node)
            continue
        if isinstance(node, nodes.Filter) and node.node is not None and node.name in ("map", "attr", "join"):
            stack.append(node.node)
            continue
        text = _constant(node)
        if text is not None and _WORD.search(text) and not _MARKUP.fullmatch(text):
            yield text
        stack.extend(reversed(list(node.iter_child_nodes())))
