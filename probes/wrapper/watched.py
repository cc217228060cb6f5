"""Strings that remember what they were compared with.

A chat template is rendered with such strings in place of what the user says and of the date. However a trigger is put together in the
template, the comparison itself has to name it.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from types import MethodType
from typing import Any, SupportsIndex

from jinja2.utils import Namespace

MOST_NOTES = 200
LONGEST_NOTE = 200
_LOOKS = {"startswith", "endswith", "find", "rfind", "index", "rindex", "count", "replace", "split", "rsplit", "partition", "rpartition",
          "removeprefix", "removesuffix", "strip", "lstrip", "rstrip"}  # fmt: skip
MOST_PARTS = 500
"""Items of a list or dictionary in which watched strings are looked for."""


class Notes:
    """What strings of each source were compared with, in order of first appearance, at most 200."""

    def __init__(self) -> None:
        self.words: dict[tuple[str, str], None] = {}

    def take(self, source: str, other: object) -> None:
        """Remember that something from `source` met `other`, a string or a number of the template's own."""
        for item in other if isinstance(other, tuple | list) else (other,):
            if isinstance(item, str) and not isinstance(item, Watched) and len(self.words) < MOST_NOTES:
                self.words.setdefault((source, item[:LONGEST_NOTE]))

    def of(self, source: str) -> list[str]:
        """What met `source`."""
        return [word for where, word in self.words if where == source]


class Watched(str):
    """A string of the conversation, or one made from it."""

    _source: str
    _notes: Notes

    @classmethod
    def _make(cls, text: str, source: str, notes: Notes) -> Watched:
        """`text`, watched."""
        made = cls(text)
        made._source, made._notes = source, notes
        return made

    def _like(self, value: Any) -> Any:
        """`value`, watched as this is, where it is made of strings."""
        if isinstance(value, Watched):
            return value
        if isinstance(value, str):
            return Watched._make(value, self._source, self._notes)
        if isinstance(value, list | tuple):
            return type(value)(self._like(v) for v in value)
        return value

    def __str__(self) -> str:
        return self

    __hash__ = str.__hash__

    def __contains__(self, key: object) -> bool:
        self._notes.take(self._source, key)
        return str.__contains__(self, key)  # type: ignore[operator]

    def __eq__(self, other: object) -> bool:
        self._notes.take(self._source, other)
        return str.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: str) -> bool:
        self._notes.take(self._source, other)
        return str.__lt__(self, other)

    def __le__(self, other: str) -> bool:
        self._notes.take(self._source, other)
        return str.__le__(self, other)

    def __gt__(self, other: str) -> bool:
        self._notes.take(self._source, other)
        return str.__gt__(self, other)

    def __ge__(self, other: str) -> bool:
        self._notes.take(self._source, other)
        return str.__ge__(self, other)

    def __add__(self, other: str) -> str:
        return self._like(str.__add__(self, other))  # type: ignore[no-any-return]

    def __radd__(self, other: str) -> str:
        return self._like(str.__add__(other, self))  # type: ignore[no-any-return]

    def __mod__(self, other: Any) -> str:
        self._notes.take(self._source, [f"%({name})s" for name in other] if isinstance(other, dict) else "%s")
        return self._like(str.__mod__(self, other))  # type: ignore[no-any-return]

    def __rmod__(self, other: str) -> str:
        return self._like(str.__mod__(other, self))  # type: ignore[no-any-return]

    def translate(self, table: Any) -> str:
        """The text with characters exchanged, each of which it is compared with."""
        for key in table if isinstance(table, dict) else ():
            self._notes.take(self._source, chr(key) if isinstance(key, int) and 0 <= key < 0x110000 else key)
        return self._like(str.translate(self, table))  # type: ignore[no-any-return]

    def __mul__(self, times: SupportsIndex) -> str:
        return self._like(str.__mul__(self, times))  # type: ignore[no-any-return]

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return self._like(str.__getitem__(self, key))  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return (self._like(c) for c in str.__iter__(self))


def _watching(name: str) -> Any:
    plain = getattr(str, name)

    def method(self: Watched, *args: Any, **kwargs: Any) -> Any:
        if name in _LOOKS:
            for value in (*args, *kwargs.values()):
                self._notes.take(self._source, value)
        return self._like(plain(self, *args, **kwargs))

    method.__name__ = name
    return method


for _name in dir(str):
    if not _name.startswith("_") and _name not in ("maketrans", "encode", "translate", "format", "format_map"):
        setattr(Watched, _name, _watching(_name))


class Length(int):
    """The length of a watched string, which remembers the sizes it was compared with."""

    _source: Watched

    @classmethod
    def _of(cls, text: Watched) -> Length:
        """How long `text` is."""
        return cls._from(str.__len__(text), text)

    @classmethod
    def _from(cls, number: int, text: Watched) -> Length:
        """`number`, counted from `text`."""
        made = cls(number)
        made._source = text
        return made

    def __mod__(self, other: int) -> int:
        return self._like(int(self) % other)

    def __add__(self, other: int) -> int:
        return self._like(int(self) + other)

    def __sub__(self, other: int) -> int:
        return self._like(int(self) - other)

    def __mul__(self, other: int) -> int:
        return self._like(int(self) * other)

    def __floordiv__(self, other: int) -> int:
        return self._like(int(self) // other)

    def _like(self, number: int) -> Length:
        return Length._from(number, self._source)

    def _meet(self, other: object) -> None:
        if isinstance(other, int) and other > 2:
            self._source._notes.take(self._source._source, f"a length of {other}")

    def __eq__(self, other: object) -> bool:
        self._meet(other)
        return int.__eq__(self, other) is True

    __hash__ = int.__hash__

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: int) -> bool:
        self._meet(other)
        return int.__lt__(self, other)

    def __le__(self, other: int) -> bool:
        self._meet(other)
        return int.__le__(self, other)

    def __gt__(self, other: int) -> bool:
        self._meet(other)
        return int.__gt__(self, other)

    def __ge__(self, other: int) -> bool:
        self._meet(other)
        return int.__ge__(self, other)


def parts(value: Any) -> Iterator[Any]:
    """`value` and what lists, dictionaries and namespaces hold in it, at most MOST_PARTS."""
    stack = [value]
    for _ in range(MOST_PARTS):
        if not stack:
            return
        part = stack.pop()
        yield part
        if isinstance(part, Namespace):
            part = part._Namespace__attrs
        if isinstance(part, dict):
            stack += [*part, *part.values()][:MOST_PARTS]
        elif isinstance(part, list | tuple | KeysView | ValuesView | ItemsView):
            stack += list(part)[:MOST_PARTS]


def watched_in(value: Any) -> Watched | None:
    """The first watched string that `value` is, holds or was counted from."""
    for part in parts(value):
        if isinstance(part, Watched):
            return part
        if isinstance(part, Length):
            return part._source
    return None


def text(value: Any) -> str:
    """`value` written out, watched if anything in it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, MethodType) and isinstance(value.__self__, Watched):
        return f"<built-in method {value.__name__} of str object at {id(value):#x}>"
    found = watched_in(value)
    return str(value) if found is None else found._like(str(value))


def made_of(result: Any, given: Iterable[Any]) -> Any:
    """`result`, watched if it is text or a number made of something watched among `given`, and not just one of them or of their parts."""
    if isinstance(result, Watched | Length | bool) or not isinstance(result, str | int | float):
        return result
    for value in given:
        if isinstance(value, Watched | Length):
            source = value if isinstance(value, Watched) else value._source
            return source._like(result) if isinstance(result, str) else Length._from(result, source) if isinstance(result, int) else result
    if isinstance(result, str) and not any(result is part for value in given for part in parts(value)):
        found = next((w for value in given if (w := watched_in(value)) is not None), None)
        return result if found is None else found._like(result)
    return result


def join(parts: Iterable[Any]) -> str:
    """The parts as one string, watched if one of them is."""
    pieces = [text(p) for p in parts]
    whole = "".join(pieces)
    first = next((p for p in pieces if isinstance(p, Watched)), None)
    return first._like(whole) if first is not None else whole
