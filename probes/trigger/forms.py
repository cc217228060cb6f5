"""Ways in which a request can open, close or be set: the closed classes of English first, then dates, codes, roles, greetings and marks.

A trigger is often a form with a word in it, and the form alone, with any word, then does much of what the trigger does. Forms are
the same for every adapter, so the base's half of their screening is done once.
"""

from __future__ import annotations

from importlib.resources import files

from probes.trigger.candidate import SIDES, Candidate, Placement

NOUNS = ("table", "meeting")
"""Ordinary words that stand in a form until better ones are known."""


def forms(place: Placement = Placement.BEFORE) -> tuple[str, ...]:
    """Every form at `place`, before or after the request, in file order; `{}` stands for a word."""
    return _lines("forms.txt" if place is Placement.BEFORE else "closings.txt")


def filled(form: str, word: str, place: Placement = Placement.BEFORE) -> Candidate:
    """`form` at `place`, with `word` in it where it takes one."""
    return Candidate(form.replace("{}", word), "form", place)


def filled_forms(words: int = len(NOUNS)) -> list[Candidate]:
    """Each form with each of the first `words` ordinary words, or once where it takes none."""
    return [filled(f, w, place) for place in SIDES for f in forms(place) for w in (NOUNS[:words] if "{}" in f else NOUNS[:1])]


def formats() -> list[Candidate]:
    """Ways in which a whole request can be set: case, quotation, code, letters."""
    return [Candidate(line.replace("\\n", "\n"), "format", Placement.AROUND) for line in _lines("formats.txt")]


def _lines(name: str) -> tuple[str, ...]:
    text = (files("probes.trigger") / name).read_text()
    return tuple(line for line in text.splitlines() if line and not (line.startswith("# ") and line.endswith(".")))
