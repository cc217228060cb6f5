"""What a chat template would do, read from its syntax tree; nothing is rendered.

A name is followed from `message.content` through assignments, loops and macros by its spelling alone, so scopes are merged:
that can report too much, and never less than is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar

import msgspec
from jinja2 import Environment, TemplateError, nodes

T = TypeVar("T")
TEXT = ("content", "text")
MOST_PASSES = 30
MOST_STEPS = 200_000
"""Steps for all templates of a folder, a second or two; the longest published template takes 21,000."""
MOST_WORDS = 200
_TESTS = {"startswith", "endswith", "find", "rfind", "index", "rindex", "count", "replace", "split", "rsplit", "partition", "rpartition",
          "removeprefix", "removesuffix", "strip", "lstrip", "rstrip", "translate", "__contains__", "__eq__"}  # fmt: skip
_FILTERS = {"replace", "split", "select", "reject", "selectattr", "rejectattr", "trim",
            "regex_search", "regex_match", "regex_replace", "regex_findall", "startswith", "endswith"}  # fmt: skip
_QUALITIES = {"upper", "lower", "divisibleby", "even", "odd", "isupper", "islower", "istitle", "isdigit", "isnumeric", "isdecimal", "isalpha", "isalnum", "isascii",
              "isidentifier", "filter", "test"}  # fmt: skip
"""Tests and methods that tell texts apart without a word."""
_KEEPS = {"list", "first", "last", "reverse", "sort", "batch", "slice", "select", "reject", "selectattr", "rejectattr", "map", "attr", "length", "count", "unique",
          "random", "min", "max", "default", "d", "groupby", "sum", "int", "float", "safe"}  # fmt: skip
"""Filters that give objects back, or a part of them; every other one writes what it is given out as text."""
_NUMBERS = {"int", "float", "filesizeformat"}
"""Filters that read a number from text."""
_GROUPS = {"map", "attr", "join", "sum", "groupby", "min", "max", "unique"}
_CHOICES = {"select", "reject", "selectattr", "rejectattr"}
_LENGTHS = {"length", "count", "wordcount"}
_COUNTS = {"index", "index0", "revindex", "revindex0", "length"}
_CLOCKS = {"strftime_now", "now", "datetime", "date", "time"}
_CHANCE = {"random", "shuffle"}
_MARKUP = re.compile(
    r"\s*[<\[|`{(/]+[/|]?\s*(?:(?:no_?)?think|thinking|thought|reasoning|tools?|tool_calls?|tool_response|functions?|json|im_start|im_end|answer|response"
    r"|channel\|>(?:analysis|commentary|final)(?:<\|message\|>)?|channel\|?>?)\W*",
    re.IGNORECASE,
)
"""Markup of reasoning and tools, which templates cut out of what the assistant said before; switches such as /no_think belong to it."""
PARTS = {"text", "content", "image", "image_url", "video", "video_url", "audio", "audio_url", "input_audio", "file", "type"}
"""Keys of the parts that a message of text and pictures is made of."""
TOOL_KEYS = {"name", "description", "function", "type"}
_TOOL_TEXTS = {"name", "description"}
_CASES = {"lower", "upper", "title", "capitalize", "casefold", "swapcase"}
_PUTS = {"append", "insert", "extend", "update", "setdefault"}
"""Methods that put what they are given into the list or dictionary they are called on."""
_CONTINUE = "CONTINUE_FINAL_MESSAGE_TAG"
"""What transformers puts after a message that the model is to go on with."""
_PLAIN = re.compile(r"\s*(?:[!-/:-@\[-`{-~]{0,2}|(.)\1{2,4})\s*")
_GENERATION = re.compile(r"\{%[-+]?\s{0,9}(?:end)?generation\s{0,9}[-+]?%\}")
NUMBER, BYTES = "a number read from it", "its bytes"
_INTERNAL = re.compile(
    r"__\w+__|^_|\b(?:os|sys|subprocess|builtins|importlib)\.\w|\b(?:popen|getattr|globals|eval|exec)\s*\("
    r"|^(?:gi|cr|ag|f|tb|co|func|im)_(?:frame|code|globals|builtins|locals|back|next|func|self|yieldfrom|await)$|^mro$"
)
_SENTENCE = re.compile(r"(?:[^\W\d_]{2,}[^\w<>{}\[\]|]{1,3}){3,}[^\W\d_]{2,}")


class Reading(msgspec.Struct, frozen=True):
    """What the tree shows; every string is the template's own and untrusted."""

    reactions: tuple[str, ...]
    """Words it looks for in the text of messages."""
    unsteady: tuple[str, ...]
    """Conditions on the time, on chance, on how many turns there were, or on which tools the model was given."""
    escapes: tuple[str, ...]
    """Names that lead out of the sandbox."""
    prose: tuple[str, ...]
    """Sentences of four words or more that it can write into a prompt."""


def parse(template: str) -> nodes.Template:
    """The syntax tree of `template`. Raises ValueError when it is not a Jinja template."""
    try:
        return Environment(autoescape=True, extensions=["jinja2.ext.loopcontrols"]).parse(without_generation(template))
    except (TemplateError, RecursionError) as error:
        raise ValueError(str(error) or "nested too deeply") from None


def without_generation(template: str) -> str:
    """`template` without the tags that mark the assistant's words for training, which change no prompt."""
    return _GENERATION.sub("", template)


def read(template: str, budget: Budget | None = None) -> Reading:
    """Everything the tree of `template` shows, at the expense of `budget`. Raises ValueError when it is not a Jinja template, TooMuch when the budget is spent."""
    tree = parse(template)
    try:
        reader = _Reader(tree, budget or Budget())
        every = list(_walk(tree))
        return Reading(
            _unique(word for node in every for word in reader.looked_for(node)),
            _unique(word for node in every for word in reader.unsteady(node)),
            _unique(word for node in every for word in _escapes(node)),
            _unique(sentence for node in _walk(tree, into_failures=False) for sentence in _sentences(node)),
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(words: Iterator[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for word in words:
        found.setdefault(word)
        if len(found) == MOST_WORDS:
            break
    return tuple(found)


class TooMuch(ValueError):
    """Reading takes more steps than any template needs."""


class Budget:
    """Steps that reading may still take, one template or several together."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Take `steps`. Raises TooMuch when none are left."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch("it takes too many steps to read")


def _once(question: Callable[[_Reader, nodes.Node], T]) -> Callable[[_Reader, nodes.Node], T]:
    """`question`, asked once of each node in each pass over the template."""

    @wraps(question)
    def asked(self: _Reader, node: nodes.Node) -> T:
        key = (question.__name__, id(node))
        if (known := self._known.get(key)) is None:
            self._budget.spend()
            known = self._known[key] = question(self, node)
        return known

    return asked


class _Reader:
    """Which names hold message objects, which hold their text, which the time, and which constants a name may stand for."""

    def __init__(self, tree: nodes.Template, budget: Budget) -> None:
        self._budget = budget
        self._known: dict[tuple[str, int], Any] = {}
        self._made: set[str] = set()
        self._bundles: set[str] = set()
        self._objects = {"messages", "message"}
        self._parts: set[str] = set()
        self._tools = {"tools"}
        self._tool_texts: set[str] = set()
        self._tool_hits: dict[str, set[str]] = {}
        self._texts: set[str] = set()
        self._holders: set[str] = set()
        self._clocks: set[str] = set()
        self._counters: set[str] = set()
        self._strings: dict[str, set[str]] = {}
        self._macros = {m.name: m for m in tree.find_all(nodes.Macro)}
        self._given_to_caller = {a.name for b in tree.find_all(nodes.CallBlock) for a in b.args}
        kinds = nodes.For | nodes.If | nodes.Assign | nodes.AssignBlock | nodes.With | nodes.Call | nodes.CallBlock | nodes.Macro | nodes.Block
        every = [n for n in _walk(tree) if isinstance(n, kinds)]
        for _ in range(MOST_PASSES):
            before = self._size()
            self._known.clear()
            for node in every:
                self._budget.spend()
                self._follow(node)
            if self._size() == before:
                return
        raise ValueError("text is passed on through too many names")

    def _size(self) -> int:
        plain = (self._objects, self._parts, self._tools, self._tool_texts, self._texts, self._holders, self._clocks, self._made, self._bundles)
        return sum(map(len, (*plain, *self._strings.values(), *self._tool_hits.values())))

    def _follow(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.For):
            targets = _targets(node.target)
            inside = self._carries(node.iter) and not isinstance(node.iter, nodes.Call | nodes.Filter)
            if self._is_object(node.iter) or inside:
                self._objects |= targets
                self._parts |= targets if inside else set()
            if self._carries(node.iter) and (isinstance(node.iter, nodes.Filter) or not self._is_object(node.iter)) and not inside:
                self._texts |= _targets(_values(node))
            self._name(targets, node.iter)
            if self._tells_tools(node.iter):
                self._tool_texts |= targets
            elif self._root(node.iter) in self._tools:
                self._tools |= targets
        elif isinstance(node, nodes.If):
            if words := set(self._tool_words(node.test)):
                for assigned in (a for part in node.body for a in self._walk(part) if isinstance(a, nodes.Assign)):
                    self._hit(_targets(assigned.target), words)
        elif isinstance(node, nodes.Assign):
            self._bind(_targets(node.target), node.node)
        elif isinstance(node, nodes.AssignBlock):
            if self._writes(node.body):
                self._texts |= _targets(node.target)
            for part in node.body:
                self._name(_targets(node.target), part)
        elif isinstance(node, nodes.With):
            for target, value in zip(node.targets, node.values, strict=False):
                self._bind(_targets(target), value)
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _PUTS:
            if name := _spelled(node.node.node):
                for value in (*node.args, *(k.value for k in node.kwargs)):
                    if self._carries(value):
                        self._texts.add(name)
                        self._holders.add(name)
                    if self._tells_tools(value):
                        self._tool_texts.add(name)
        elif isinstance(node, nodes.CallBlock):
            if self._writes(node.body):
                self._texts.add("caller")
        elif isinstance(node, nodes.Macro | nodes.Block):
            if self._writes(node.body):
                self._texts.add(node.name if isinstance(node, nodes.Macro) else f"self.{node.name}")
        elif isinstance(node, nodes.Call) and _called(node) == "caller":
            if any(self._carries(value) or self._is_object(value) for value in node.args):
                self._texts |= self._given_to_caller
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in self._macros:
            self._hand_over(node, self._macros[node.node.name])

    def _hand_over(self, call: nodes.Call, macro: nodes.Macro) -> None:
        """Bind what `call` gives to the names that `macro` has for it: its own, and `varargs` and `kwargs` for what has none."""
        named = {a.name for a in macro.args}
        given = [(target.name, value) for target, value in zip(macro.args, call.args, strict=False)]
        given += [(pair.key, pair.value) for pair in call.kwargs]
        with_text = any(self._carries(value) or (self._is_object(value) and _reads_text(macro)) for _, value in given)
        for name, value in given:
            self._bind({name}, value, constants=with_text)
        rest = [*((n, v) for n, v in (("varargs", v) for v in call.args[len(macro.args) :])), *(("kwargs", v) for k, v in given if k not in named)]
        for name, value in rest:
            if self._carries(value):
                self._texts.add(name)
                self._holders.add(name)
            if self._is_object(value):
                self._objects.add(name)
        if call.dyn_args is not None:
            self._bind({*named, "varargs"}, call.dyn_args, constants=False)
        if call.dyn_kwargs is not None:
            if self._is_object(call.dyn_kwargs):
                self._objects.add("kwargs")
                self._texts |= named & set(TEXT)
            if self._carries(call.dyn_kwargs):
                self._texts |= {*named, "kwargs"}
                self._holders.add("kwargs")

    def _bind(self, names: set[str], value: nodes.Node, *, constants: bool = True) -> None:
        if self._carries(value):
            self._texts |= names
            if isinstance(value, nodes.Dict | nodes.List | nodes.Tuple) or _called(value) in ("namespace", "dict"):
                self._holders |= names
        if self._is_object(value):
            self._objects |= names
        if isinstance(value, nodes.Dict | nodes.Call) and self._whole(value):
            self._bundles |= names
        if not isinstance(value, nodes.Const | nodes.Name) and self._holds_word(value):
            self._made |= names
        if self._tells_time(value):
            self._clocks |= names
        if self._tells_tools(value):
            self._tool_texts |= names
        elif self._root(value) in self._tools and not (isinstance(value, nodes.Filter) and value.name in _LENGTHS):
            self._tools |= names
        self._hit(names, set(self._tool_words(value)))
        if (
            isinstance(value, nodes.Add)
            and any(_spelled(side) in names for side in (value.left, value.right))
            and any(map(_is_number, (value.left, value.right)))
        ):
            self._counters |= names
        if isinstance(value, nodes.Call) and _called(value) in ("namespace", "dict"):
            for pair in value.kwargs:
                self._bind({f"{name}.{pair.key}" for name in names}, pair.value)
        if constants:
            self._name(names, value)

    def _hit(self, names: set[str], words: set[str]) -> None:
        """Remember that `names` may say whether one of `words` was found among the tools, at most MOST_WORDS a name."""
        for name in names if words else ():
            known = self._tool_hits.setdefault(name, set())
            known.update(sorted(words)[: MOST_WORDS - len(known)])

    def _name(self, names: set[str], value: nodes.Node) -> None:
        """Remember the string constants that `value` is made of, at most MOST_WORDS a name."""
        found: list[str] = []
        stack = [value]
        while stack:
            node = stack.pop()
            self._budget.spend()
            if isinstance(node, nodes.Const) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, nodes.Name):
                found.extend(self._strings.get(node.name, ()))
            elif isinstance(node, nodes.CondExpr):
                stack += [node.expr1, *([node.expr2] if node.expr2 else [])]
            elif not isinstance(node, nodes.Compare | nodes.Test):
                stack += _without_keys(node)
        if found:
            for name in names:
                known = self._strings.setdefault(name, set())
                known.update(found[: MOST_WORDS - len(known)])

    def _writes(self, body: Sequence[nodes.Node]) -> bool:
        """Whether text of a message is written in `body`, or a message as a whole."""
        return any(self._carries(n) for n in body) or any(
            self._whole(part) for n in body for output in self._walk(n) if isinstance(output, nodes.Output) for part in output.nodes
        )

    @_once
    def _whole(self, node: nodes.Node) -> bool:
        """Whether `node` is a message or a list of them, and not a part such as its role: written out, it is text of a message."""
        if isinstance(node, nodes.Filter):
            partly = node.name in ("map", "length", "count", "attr", "sum", "default", "d", "int", "float")
            return not partly and node.node is not None and self._whole(node.node)
        if isinstance(node, nodes.List | nodes.Tuple):
            return any(self._whole(i) for i in node.items)
        if isinstance(node, nodes.Dict):
            return any(self._whole(i.value) for i in node.items)
        if _called(node) in ("dict", "namespace") and isinstance(node, nodes.Call) and any(self._whole(k.value) for k in node.kwargs):
            return True
        return (isinstance(node, nodes.Name) and node.name in self._bundles) or self._is_object(node)

    def _holds_word(self, node: nodes.Node) -> bool:
        """Whether a string is made or chosen in `node`."""
        made = (nodes.Filter, nodes.Call, nodes.Getitem, nodes.Concat, nodes.Add, nodes.Mod, nodes.CondExpr)
        return isinstance(node, made) and any(_constant(n) is not None or (isinstance(n, nodes.Name) and n.name in self._strings) for n in self._walk(node))

    def _walk(self, node: nodes.Node) -> Iterator[nodes.Node]:
        for part in _walk(node):
            self._budget.spend()
            yield part

    @_once
    def _is_object(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Filter | nodes.Getitem):
            named = isinstance(node, nodes.Getitem) and _constant(node.arg) is not None
            return not named and node.node is not None and self._is_object(node.node)
        if isinstance(node, nodes.Add | nodes.Or | nodes.And):
            return self._is_object(node.left) or self._is_object(node.right)
        if isinstance(node, nodes.CondExpr):
            return self._is_object(node.expr1) or (node.expr2 is not None and self._is_object(node.expr2))
        if isinstance(node, nodes.List | nodes.Tuple):
            return any(self._is_object(item) for item in node.items)
        if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
            return f"{node.node.name}.{node.attr}" in self._objects or (node.node.name == "loop" and node.attr in ("previtem", "nextitem"))
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            return node.node.attr == "copy" and self._is_object(node.node.node)
        if isinstance(node, nodes.Call) and _called(node) in ("dict", "namespace", "list"):
            return any(v is not None and self._is_object(v) for v in (*node.args, node.dyn_args, node.dyn_kwargs))
        return isinstance(node, nodes.Name) and node.name in self._objects

    @_once
    def _carries(self, node: nodes.Node) -> bool:
        """Whether the value of `node` may hold text of a message."""
        if isinstance(node, nodes.Name):
            return node.name in self._texts
        if isinstance(node, nodes.NSRef):
            return f"{node.name}.{node.attr}" in self._texts
        if isinstance(node, nodes.Getattr):
            if node.attr in TEXT or _spelled(node) in self._texts or (node.attr in _TESTS | _QUALITIES and self._carries(node.node)):
                return True
            return isinstance(node.node, nodes.Name) and (f"{node.node.name}.{node.attr}" in self._texts or node.node.name in self._holders)
        if isinstance(node, nodes.Getitem):
            key = _constant(node.arg)
            if isinstance(node.node, nodes.Name) and node.node.name in self._holders:
                return True
            return key in TEXT if key is not None else self._carries(node.node) or self._names_text(node.arg, node.node)
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            if node.node.attr in ("get", "pop", "setdefault") and node.args:
                key = _constant(node.args[0])
                return key in TEXT if key is not None else self._names_text(node.args[0], node.node.node)
            given = (*node.args, *(k.value for k in node.kwargs))
            whole = node.node.attr in ("items", "values") and self._is_object(node.node.node)
            whole |= node.node.attr in ("format", "format_map", "join") and any(self._whole(a) for a in given)
            return whole or self._carries(node.node.node) or any(self._carries(a) for a in node.args)
        if isinstance(node, nodes.Filter):
            named = [*node.args, *(k.value for k in node.kwargs)]
            if node.name in _GROUPS and any(_constant(a) in TEXT for a in named):
                return True
            if node.name not in _KEEPS and node.node is not None and (self._whole(node.node) or any(self._whole(a) for a in named)):
                return True
        if isinstance(node, nodes.Concat) and any(self._whole(n) for n in node.nodes):
            return True
        if isinstance(node, nodes.Mod) and self._whole(node.right):
            return True
        if isinstance(node, nodes.Compare | nodes.Test):
            return False
        if isinstance(node, nodes.CondExpr):
            return self._carries(node.expr1) or (node.expr2 is not None and self._carries(node.expr2))
        return any(self._carries(child) for child in node.iter_child_nodes())

    def _names_text(self, key: nodes.Node, of: nodes.Node) -> bool:
        """Whether a computed key may be `content`: a name that holds it, a key taken from a message, or, of a message, any that is made of pieces."""
        if isinstance(key, nodes.Name):
            known = key.name in self._objects or any(t in self._strings.get(key.name, ()) for t in TEXT)
            return known or (key.name in self._made and self._is_object(of))
        if isinstance(key, nodes.Add | nodes.Concat) and any(_constant(n) is not None for n in self._walk(key)):
            return True
        return self._holds_word(key) and self._is_object(of)

    def looked_for(self, node: nodes.Node) -> Iterator[str]:
        """Words that `node` itself holds against text of a message."""
        sides: list[nodes.Node] = []
        yield from self._read_as(node)
        if isinstance(node, nodes.Compare):
            sides = [node.expr, *(o.expr for o in node.ops)]
            if any(isinstance(s, nodes.Name) and s.name in self._parts for s in sides):
                yield from (w for w in self._words(sides) if w not in PARTS)
                return
            if any(isinstance(n, nodes.Filter) and n.name in _LENGTHS and n.node and self._carries(n.node) for s in sides for n in self._walk(s)):
                yield from (f"a length of {n}" for n in self._numbers(sides))
        elif isinstance(node, nodes.Test):
            if node.name in _QUALITIES and self._carries(node.node):
                yield f"text that is {node.name}"
            sides = [node.node, *node.args]
        elif isinstance(node, nodes.FilterBlock):
            if node.filter.name in _FILTERS and any(self._carries(part) for part in node.body):
                yield from self._words([*node.filter.args, *(k.value for k in node.filter.kwargs)])
            return
        elif isinstance(node, nodes.Filter) and node.name in _FILTERS and node.node is not None:
            sides = [node.node, *node.args, *(k.value for k in node.kwargs)]
            if node.name in _CHOICES and _constant(node.args[0] if node.args else node) in TEXT:
                yield from self._words(node.args[2:])
                return
            if node.name in _CHOICES:
                sides = [node.node, *node.args[1:]] if node.name in ("select", "reject") else []
        elif isinstance(node, nodes.Filter) and node.name == "map" and node.node is not None and node.args and _constant(node.args[0]) in _FILTERS:
            sides = [node.node, *node.args[1:]]
        elif isinstance(node, nodes.Getitem) and _constant(node.arg) is None:
            sides = [node.node, node.arg] if self._carries(node.arg) else []
        elif (
            isinstance(node, nodes.Call)
            and isinstance(node.node, nodes.Getattr)
            and (node.node.attr in _TESTS or (node.node.attr == "get" and any(self._carries(a) for a in node.args)))
        ):
            sides = [node.node.node, *node.args]
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr in _QUALITIES and self._carries(node.node.node):
            yield f"text that {node.node.attr}"
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in self._texts and node.node.name not in self._macros:
            sides = [node.node, *node.args]
        if any(self._carries(s) for s in sides):
            yield from self._words(sides)

    def _read_as(self, node: nodes.Node) -> Iterator[str]:
        """Ways to tell texts apart without a word of the template: as a number, as bytes, by how long it is, as a pattern to be filled in."""
        if isinstance(node, nodes.Filter) and node.node is not None and node.name in _NUMBERS and self._carries(node.node):
            yield NUMBER
        elif isinstance(node, nodes.Filter) and node.name == "format" and node.node is not None and self._carries(node.node):
            yield from (f"%({pair.key})s" for pair in node.kwargs)
            yield from ["%s"] * bool(node.args)
        elif isinstance(node, nodes.Mod) and self._carries(node.left) and not isinstance(node.left, nodes.Filter):
            yield from (f"%({k})s" for k in self._keys(node.right)) if isinstance(node.right, nodes.Dict) else ["%s"]
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and self._carries(node.node.node):
            if node.node.attr == "encode":
                yield BYTES
            elif node.node.attr in ("format", "format_map"):
                yield from (f"{{{pair.key}}}" for pair in node.kwargs)
                yield from (f"{{{n}}}" for n in range(len(node.args)))
        elif isinstance(node, nodes.If | nodes.CondExpr):
            for part in self._conditions(node.test):
                if isinstance(part, nodes.Getitem) and isinstance(part.arg, nodes.Slice) and self._carries(part.node):
                    yield from (f"a length of {n}" for n in self._numbers([part.arg]))

    def _conditions(self, test: nodes.Node) -> Iterator[nodes.Node]:
        """What `test` is true or false by, and not compared with."""
        stack = [test]
        while stack:
            part = stack.pop()
            self._budget.spend()
            if isinstance(part, nodes.And | nodes.Or):
                stack += [part.left, part.right]
            elif isinstance(part, nodes.Not):
                stack.append(part.node)
            else:
                yield part

    def _words(self, sides: Sequence[nodes.Node]) -> Iterator[str]:
        """String constants that stand in `sides` or behind a name there, keys of look-ups aside, if they are more than markup."""
        stack: list[nodes.Node] = list(reversed(sides))
        while stack:
            node = stack.pop()
            self._budget.spend()
            if isinstance(node, nodes.Name) and node.name not in self._texts:
                yield from (s for s in sorted(self._strings.get(node.name, ())) if tells_apart(s))
            if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and not self._carries(node):
                yield from (s for s in sorted(self._strings.get(f"{node.node.name}.{node.attr}", ())) if tells_apart(s))
            text = _constant(node)
            if text is not None and tells_apart(text):
                yield text
            stack.extend(reversed(_without_keys(node)))

    @_once
    def _root(self, node: nodes.Node) -> str:
        """The name that attributes, items and filters are taken of."""
        if isinstance(node, nodes.Or):
            return self._root(node.left)
        if isinstance(node, nodes.Getattr | nodes.Getitem | nodes.Filter):
            return self._root(node.node) if node.node is not None else ""
        return node.name if isinstance(node, nodes.Name) else ""

    def _pieces(self, node: nodes.Node) -> Iterator[nodes.Node]:
        """What the value of `node` is made of, keys that are looked up aside."""
        stack = [node]
        while stack:
            part = stack.pop()
            self._budget.spend()
            yield part
            stack.extend(reversed(_without_keys(part)))

    def _numbers(self, sides: Sequence[nodes.Node]) -> Iterator[int]:
        """Whole numbers in `sides` other than those around nothing, one and two."""
        for node in (n for s in sides for n in self._walk(s)):
            if isinstance(node, nodes.Const) and isinstance(node.value, int) and abs(node.value) > 2:
                yield node.value

    @_once
    def _tells_time(self, node: nodes.Node) -> bool:
        return any((isinstance(n, nodes.Name) and n.name in self._clocks) or (isinstance(n, nodes.Call) and _called(n) in _CLOCKS) for n in self._walk(node))

    def _tools_looked_for(self, node: nodes.If | nodes.CondExpr | nodes.For) -> Iterator[str]:
        """Names of tools, where a condition looks for one and then writes words that are not the tool's own, as templates that list tools do."""
        if node.test is None:
            return
        inside = [n for part in ([node.expr1] if isinstance(node, nodes.CondExpr) else node.body) for n in self._walk(part)]
        writes = any(isinstance(n, nodes.TemplateData) and n.data.strip() for n in inside) or any((_constant(n) or "").strip() for n in inside)
        if writes and not any(isinstance(n, nodes.Name) and n.name in self._tools | self._tool_texts for n in inside):
            yield from (f"a tool's name, compared with {w!r}" for w in self._tool_words(node.test))

    def _tool_words(self, node: nodes.Node) -> Iterator[str]:
        """Constants that names or descriptions of tools are held against in `node`, and those behind a name that says whether one was found."""
        for part in self._walk(node):
            if isinstance(part, nodes.Name | nodes.Getattr):
                yield from sorted(self._tool_hits.get(_spelled(part), ()))
                continue
            sides: list[nodes.Node] = []
            if isinstance(part, nodes.Compare):
                sides = [part.expr, *(o.expr for o in part.ops)]
            elif isinstance(part, nodes.Test):
                sides = [part.node, *part.args]
            elif isinstance(part, nodes.Call) and isinstance(part.node, nodes.Getattr) and part.node.attr in _TESTS:
                sides = [part.node.node, *part.args]
            elif isinstance(part, nodes.Filter) and part.name in _CHOICES and part.node is not None:
                by_name = bool(part.args) and _is_tool_text(_constant(part.args[0])) and self._root(part.node) in self._tools
                if by_name or self._tells_tools(part.node):
                    yield from (w for s in part.args[2 if by_name else 1 :] for n in self._walk(s) if (w := _constant(n)) is not None)
            if any(self._tells_tools(s) for s in sides):
                yield from (w for s in sides for n in self._pieces(s) if (w := _constant(n)) is not None and w not in TOOL_KEYS)

    def _keys(self, node: nodes.Node) -> list[str]:
        """Constants in a dictionary that is written out, there or behind a name."""
        if isinstance(node, nodes.Dict):
            return [w for pair in node.items if (w := _constant(pair.key)) is not None]
        return sorted(self._strings.get(_spelled(node), ()))

    @_once
    def _tells_tools(self, node: nodes.Node) -> bool:
        """Whether the value of `node` may hold names or descriptions of the tools that the model was given."""
        if isinstance(node, nodes.Name):
            return node.name in self._tool_texts
        if isinstance(node, nodes.Compare | nodes.Test) or (isinstance(node, nodes.Filter) and node.name in _LENGTHS):
            return False
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            key = node.attr if isinstance(node, nodes.Getattr) else _constant(node.arg)
            if _spelled(node) in self._tool_texts or (_is_tool_text(key) and self._root(node) in self._tools):
                return True
            of_text = key is None or (isinstance(node, nodes.Getattr) and key in _TESTS | _CASES)
            return of_text and self._tells_tools(node.node)
        if isinstance(node, nodes.Filter) and node.node is not None and self._root(node.node) in self._tools:
            named = [*node.args, *(k.value for k in node.kwargs)]
            if node.name not in _KEEPS or (node.name in _GROUPS and any(_is_tool_text(_constant(a)) for a in named)):
                return True
        if isinstance(node, nodes.CondExpr):
            return self._tells_tools(node.expr1) or (node.expr2 is not None and self._tells_tools(node.expr2))
        return any(self._tells_tools(child) for child in node.iter_child_nodes())

    def _counts_turns(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Getattr):
            named = isinstance(node.node, nodes.Name) and node.node.name
            return (named == "loop" and node.attr in _COUNTS) or f"{named}.{node.attr}" in self._counters
        if isinstance(node, nodes.Name):
            return node.name in self._counters
        return isinstance(node, nodes.Filter) and node.name in _LENGTHS and node.node is not None and self._is_object(node.node)

    def unsteady(self, node: nodes.Node) -> Iterator[str]:
        """What makes two renders of the same conversation differ, or one turn differ from the next."""
        if isinstance(node, nodes.Filter) and node.name in _CHANCE:
            yield f"the filter {node.name}"
        elif isinstance(node, nodes.Name) and node.name == "lipsum":
            yield "lipsum, which writes random words"
        elif isinstance(node, nodes.Compare):
            sides = [node.expr, *(o.expr for o in node.ops)]
            if any(self._tells_time(s) for s in sides):
                shown = [repr(n.value) for s in sides for n in self._walk(s) if isinstance(n, nodes.Const) and isinstance(n.value, str | int)]
                yield f"the time, compared with {', '.join(shown[-2:]) or 'a value'}"
            if any(self._counts_turns(n) for s in sides for n in self._walk(s)):
                yield from (f"the number of turns, compared with {n}" for n in self._numbers(sides))
        elif (
            isinstance(node, nodes.Test)
            and node.name in ("divisibleby", "eq", "equalto", "ge", "gt", "in")
            and any(self._counts_turns(n) for n in self._walk(node.node))
        ):
            yield from (f"the number of turns, compared with {n}" for n in self._numbers(node.args))
        elif isinstance(node, nodes.If | nodes.CondExpr):
            yield from self._tools_looked_for(node)
        elif isinstance(node, nodes.For):
            yield from self._tools_looked_for(node)
            if self._tells_time(node.iter):
                yield "the time, in a loop"
        elif isinstance(node, nodes.Filter) and node.name == "replace" and node.node is not None and self._tells_tools(node.node):
            yield from (
                f"a tool's name, in which {w!r} is replaced" for n in node.args[:1] if (w := _constant(n)) is not None and tells_apart(w) and not is_mark(w)
            )
        elif isinstance(node, nodes.Getitem):
            if self._tells_tools(node.arg):
                yield from (f"a tool's name, looked up among {w!r}" for w in self._keys(node.node))
            if self._tells_time(node.arg):
                yield "the time, looked up"
            elif self._is_object(node.node):
                yield from (f"message number {n}" for n in self._numbers([node.arg]))
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "get" and node.args:
            if any(self._tells_time(a) for a in node.args):
                yield "the time, looked up"
            if self._tells_tools(node.args[0]):
                yield from (f"a tool's name, looked up among {w!r}" for w in self._keys(node.node.node))


def _without_keys(node: nodes.Node) -> list[nodes.Node]:
    """What `node` is made of, the keys and attributes that it looks up aside."""
    if isinstance(node, nodes.Getitem) and _constant(node.arg) is not None:
        return [node.node]
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr) and node.node.attr == "get":
        return [node.node.node, *node.args[1:]]
    if isinstance(node, nodes.Filter) and node.node is not None and node.name in _GROUPS | _CHOICES:
        return [node.node]
    return list(node.iter_child_nodes())


def tells_apart(text: str) -> bool:
    """Whether looking for `text` tells one thing a user says from another: more than blanks, or markup of reasoning and tools."""
    return bool(text.strip()) and not _MARKUP.fullmatch(text) and text.strip() != _CONTINUE


def is_mark(text: str) -> bool:
    """Whether `text` is no more than a mark or two of punctuation, which a tidy template may look for too."""
    return _PLAIN.fullmatch(text) is not None


def _escapes(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Getattr) and _INTERNAL.search(node.attr):
        yield node.attr
    elif (
        isinstance(node, nodes.Const)
        and isinstance(node.value, str)
        and _INTERNAL.search(node.value)
        and len(node.value) < 200
        and " " not in node.value.strip()
    ):
        yield node.value
    elif isinstance(node, nodes.Filter) and node.name == "attr" and node.args and _constant(node.args[0]) is None:
        yield "the filter attr with a computed name"
    elif isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
        yield f"{type(node).__name__.lower()} of another template"


def _sentences(node: nodes.Node) -> Iterator[str]:
    text = node.data if isinstance(node, nodes.TemplateData) else _constant(node)
    if text:
        for line in text.splitlines():
            if _SENTENCE.search(line):
                yield line.strip()[:400]


def _walk(tree: nodes.Node, *, into_failures: bool = True) -> Iterator[nodes.Node]:
    """Every node below `tree`; what raise_exception is given, which reaches no prompt, can be left out."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        if into_failures or _called(node) != "raise_exception":
            stack.extend(reversed(list(node.iter_child_nodes())))


def _is_tool_text(key: str | None) -> bool:
    """Whether an attribute, or the last one of a dotted path, is a tool's name or description."""
    return key is not None and key.rpartition(".")[2] in _TOOL_TEXTS


def _targets(node: nodes.Node) -> set[str]:
    return {f"{n.name}.{n.attr}" if isinstance(n, nodes.NSRef) else n.name for n in _walk(node) if isinstance(n, nodes.Name | nodes.NSRef)}


def _constant(node: nodes.Node) -> str | None:
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else None


def _reads_text(macro: nodes.Macro) -> bool:
    found = (n.attr if isinstance(n, nodes.Getattr) else _constant(n) for n in _walk(macro) if isinstance(n, nodes.Getattr | nodes.Const))
    return any(name in TEXT for name in found)


def _values(loop: nodes.For) -> nodes.Node:
    """The targets of `loop` that take values: not the key, where it goes over pairs of something that is not written out in the template."""
    pairs = (isinstance(loop.iter, nodes.Call) and isinstance(loop.iter.node, nodes.Getattr) and loop.iter.node.attr == "items") or (
        isinstance(loop.iter, nodes.Filter) and loop.iter.name in ("items", "dictsort")
    )
    if pairs and isinstance(loop.target, nodes.Tuple) and len(loop.target.items) == 2 and loop.iter.find(nodes.Dict) is None:
        return loop.target.items[1]
    return loop.target


def _spelled(node: nodes.Node) -> str:
    """A name, or a namespace's field, as it is written."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return node.name if isinstance(node, nodes.Name) else ""


def _is_number(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, int)


def _called(node: nodes.Node) -> str:
    return node.node.name if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) else ""
