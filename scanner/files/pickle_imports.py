"""What a pickle would import and call, told from its opcodes: a symbolic machine that imports nothing and calls nothing."""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO

import msgspec

from scanner.files.opcodes import opcodes

MOST_OPCODES = 5_000_000
MOST_MEMORIES = 500_000
UNKNOWN = "unknown"
_PLAIN = re.compile(r"[\w.<>-]+", re.ASCII)
_MEMBER = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


class Import(msgspec.Struct, frozen=True):
    """A name that the pickle imports: `module`, and a name in it that may have dots."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Imports(msgspec.Struct):
    """What was found in one pickle, or in several that follow each other."""

    names: set[Import] = msgspec.field(default_factory=set)
    members: set[Import] = msgspec.field(default_factory=set)
    """Attributes that are taken off an imported name with getattr, such as the member of an enumeration."""
    odd: set[str] = msgspec.field(default_factory=set)
    """What no pickler writes: a call of something that was not imported, a change of an imported thing."""
    problem: str = ""
    """Why it was not read to its end, where it was not."""
    bytes: int = 0
    """Up to the end of the last pickle."""


class _Text(msgspec.Struct, frozen=True):
    value: str


class _Member(msgspec.Struct, frozen=True):
    """The result of getattr: a value, which must not be called or looked into again."""

    of: Import


_MARK, _VALUE = object(), object()
_GETATTR = {"builtins.getattr", "__builtin__.getattr"}
_PUSH = {
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8", "NEXT_BUFFER", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET", "PERSID",
}  # fmt: skip
_TEXTS = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARKED_VALUE = {"LIST", "DICT", "FROZENSET"}
_FILL = {"APPENDS", "SETITEMS", "ADDITEMS"}


def imports(data: bytes) -> Imports:
    """What the pickle at the start of `data` imports and calls, and those that follow it; what is no pickle ends the reading.

    At most 5,000,000 opcodes are read. A name that is not written plainly is `unknown.unknown`.
    """
    found, stream, left = Imports(), io.BytesIO(data), MOST_OPCODES
    while stream.tell() < len(data):
        machine, first = _Machine(found), not found.bytes
        try:
            left = machine.run(stream, left)
        except _TooLong:
            found.problem = f"more than {MOST_OPCODES:,} opcodes or {MOST_MEMORIES:,} memories, the rest was not examined"
            return found
        except Exception:  # what follows is no pickle; torch's old format keeps raw numbers there
            if first and found.names:
                found.problem = "its opcodes do not parse"
            return found
        found.bytes = stream.tell()
    return found


class _TooLong(Exception):
    """The limit on opcodes, or on what is remembered, was reached."""


class _Machine:
    """The unpickler's stack and memo, of which only texts, imports and tuples of these are kept."""

    def __init__(self, found: Imports) -> None:
        self.found = found
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO, left: int) -> int:
        """Read up to STOP; returns how many opcodes may still be read. Raises ValueError or IndexError where an unpickler would stop."""
        for name, argument in opcodes(stream):
            left -= 1
            if left < 0:
                raise _TooLong
            self._step(name, argument)
        return left

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _PUSH:
            stack.append(_VALUE)
        elif name in _TEXTS:
            stack.append(_Text(argument) if isinstance(argument, str) and len(argument) <= 1000 else _VALUE)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            if isinstance(argument, int):
                self._remember(argument)
        elif name == "MEMOIZE":
            self._remember(len(self.memo))
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _TUPLES:
            count = _TUPLES[name]
            items = tuple(self._pop() for _ in range(count))[::-1]
            stack.append(items if count in (1, 2) else _VALUE)
        elif name == "TUPLE":
            items = tuple(self._marked())
            stack.append(items if 0 < len(items) <= 3 else _VALUE)
        elif name in _MARKED_VALUE:
            self._marked()
            stack.append(_VALUE)
        elif name in _FILL:
            self._marked()
            self._changed(stack[-1])
        elif name in ("APPEND", "SETITEM"):
            for _ in range(2 if name == "SETITEM" else 1):
                self._pop()
            self._changed(stack[-1])
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._marked()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "GLOBAL":
            module, _, attribute = str(argument).partition(" ")
            stack.append(self._import(module, attribute))
        elif name == "STACK_GLOBAL":
            attribute, module = self._pop(), self._pop()
            stack.append(self._import(*(v.value if isinstance(v, _Text) else "" for v in (module, attribute))))
        elif name in ("EXT1", "EXT2", "EXT4"):
            stack.append(self._import("", ""))
        elif name == "REDUCE":
            arguments, function = self._pop(), self._pop()
            stack.append(self._called(function, arguments))
        elif name == "NEWOBJ":
            self._pop()
            stack.append(self._called(self._pop(), None))
        elif name == "NEWOBJ_EX":
            self._pop(), self._pop()
            stack.append(self._called(self._pop(), None))
        elif name == "OBJ":
            function, *_ = self._marked()
            stack.append(self._called(function, None))
        elif name == "INST":
            self._marked()
            module, _, attribute = str(argument).partition(" ")
            stack.append(self._called(self._import(module, attribute), None))
        elif name == "BUILD":
            self._pop()
            self._changed(stack[-1])
        elif name == "BINPERSID":
            self._pop()
            stack.append(_VALUE)
        elif name not in ("PROTO", "FRAME", "STOP", "READONLY_BUFFER"):
            raise ValueError(f"{name} is not understood")

    def _remember(self, at: int) -> None:
        if len(self.memo) >= MOST_MEMORIES:
            raise _TooLong
        self.memo[at] = self.stack[-1]

    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def _marked(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _import(self, module: str, name: str) -> Import:
        found = Import(module, name) if module and name and _PLAIN.fullmatch(f"{module}{name}") else Import(UNKNOWN, UNKNOWN)
        self.found.names.add(found)
        return found

    def _called(self, function: Any, arguments: Any) -> Any:
        if isinstance(function, Import) and str(function) in _GETATTR:
            match arguments:
                case (Import() as of, _Text(value=name)) if _MEMBER.fullmatch(name):
                    member = Import(of.module, f"{of.name}.{name}")
                    self.found.members.add(member)
                    return _Member(member)
            self.found.odd.add("getattr of something that was not imported, or of a hidden name")
        elif isinstance(function, _Member):
            self.found.odd.add(f"calls {function.of}")
        elif not isinstance(function, Import):
            self.found.odd.add("calls something that was not imported")
        return _VALUE

    def _changed(self, target: Any) -> None:
        if isinstance(target, Import | _Member):
            self.found.odd.add(f"changes {target if isinstance(target, Import) else target.of}")
