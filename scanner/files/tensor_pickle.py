"""The pickle inside a torch file, understood without running it: only what torch.save writes for a map of tensors.

A symbolic machine over the opcodes. It knows dictionaries, tuples, numbers, text, storages and the two functions that
rebuild tensors; any other import, and any other call, ends the reading. Nothing is imported and nothing is called.
"""

from __future__ import annotations

import io
import math
from typing import Any

import msgspec

from scanner.files.opcodes import opcodes
from scanner.files.text import printable

MOST_OPCODES = 5_000_000
MOST_DIMENSIONS = 8
STORAGES = {
    "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64", "LongStorage": "I64", "IntStorage": "I32",
    "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
}  # fmt: skip


class NotTensors(ValueError):
    """The pickle holds something other than tensors by name; the message says what, in one printable line."""


class Storage(msgspec.Struct, frozen=True):
    """Flat memory of a torch file: `data/KEY` of the archive."""

    dtype: str
    key: str
    count: int


class View(msgspec.Struct, frozen=True):
    """A tensor as a window on a storage; offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Import(msgspec.Struct, frozen=True):
    module: str
    name: str


_MARK = object()
_MAP, _TENSOR, _PARAMETER = _Import("collections", "OrderedDict"), _Import("torch._utils", "_rebuild_tensor_v2"), _Import("torch._utils", "_rebuild_parameter")
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(["BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"])
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def tensors(data: bytes) -> tuple[dict[str, View], tuple[str, ...]]:
    """Tensors by name, and the names that were written twice (the last one counts, as in torch).

    Raises NotTensors for anything that is not a map of names to tensors, for a tensor that reaches beyond its
    storage or repeats it, and over 5,000,000 opcodes.
    """
    machine = _Machine()
    try:
        for count, (name, argument) in enumerate(opcodes(io.BytesIO(data))):
            if count > MOST_OPCODES:
                raise NotTensors(f"more than {MOST_OPCODES:,} opcodes")
            machine.step(name, argument)
    except NotTensors:
        raise
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise NotTensors(f"its opcodes do not make sense ({printable(error, 80) or type(error).__name__})") from None
    return machine.result()


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.twice: dict[int, list[str]] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _TUPLES:
            count = _TUPLES[name]
            taken = tuple(stack[len(stack) - count :]) if count else ()
            if len(taken) != count or any(t is _MARK for t in taken):
                raise ValueError("a tuple of nothing")
            del stack[len(stack) - count :]
            stack.append(taken)
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(self._marked()))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("APPEND", "APPENDS"):
            items = self._marked() if name == "APPENDS" else [stack.pop()]
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._marked() if name == "SETITEMS" else [stack.pop() for _ in range(2)][::-1]
            self._fill(self._top(dict), items)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name == "GLOBAL":
            module, _, attribute = str(argument).partition(" ")
            stack.append(_known(_Import(module, attribute)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(_Import(str(module), str(attribute))))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            if not isinstance(stack.pop(), dict) or not isinstance(stack[-1], dict):
                raise NotTensors("it sets the state of something that is not a map")
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise NotTensors(f"it uses the opcode {name}, which torch does not write for tensors")

    def result(self) -> tuple[dict[str, View], tuple[str, ...]]:
        if len(self.stack) != 1 or not isinstance(self.stack[0], dict):
            raise NotTensors("it is not a map of tensors")
        found = self.stack[0]
        for key, value in found.items():
            if not isinstance(key, str) or not isinstance(value, View):
                raise NotTensors(f"under {printable(key, 80)!r} there is no tensor")
        return found, tuple(self.twice.get(id(found), ()))

    def _marked(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise NotTensors(f"it fills something that is not a {kind.__name__}")
        return self.stack[-1]

    def _fill(self, target: dict[Any, Any], items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise NotTensors("a key that is neither text nor a number")
            if isinstance(key, str) and key in target:
                self.twice.setdefault(id(target), []).append(key)
            target[key] = value


def _known(name: _Import) -> _Import:
    if name not in (_MAP, _TENSOR, _PARAMETER) and not (name.module == "torch" and name.name in STORAGES):
        raise NotTensors(f"it imports {printable(f'{name.module}.{name.name}', 120)}, which a map of tensors does not need")
    return name


def _storage(handle: Any) -> Storage:
    match handle:
        case ("storage", _Import(module="torch", name=kind), str(key), str(), int(count)) if kind in STORAGES and 0 <= count < 2**48:
            return Storage(STORAGES[kind], key, count)
    raise NotTensors("it holds a reference that is not a storage")


def _call(function: Any, arguments: Any) -> Any:
    if function == _MAP and arguments == ():
        return {}
    if function == _PARAMETER:
        match arguments:
            case (View() as view, bool(), dict()):
                return view
    if function == _TENSOR:
        match arguments:
            case (Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict(), *_):
                return _view(storage, offset, shape, strides)
    raise NotTensors("it calls something that does not rebuild a tensor")


def _view(storage: Storage, offset: int, shape: tuple[Any, ...], strides: tuple[Any, ...]) -> View:
    if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS or not all(type(v) is int and 0 <= v < 2**48 for v in (offset, *shape, *strides)):
        raise NotTensors("a tensor whose shape and strides make no sense")
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= storage.count:
        raise NotTensors("a tensor that reaches beyond its storage")
    if math.prod(shape) > storage.count:
        raise NotTensors("a tensor larger than its storage")
    return View(storage, offset, shape, strides)
