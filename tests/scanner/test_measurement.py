"""What lets two results be paired."""

from __future__ import annotations

from scanner.measurement import fingerprint


def test_a_fingerprint_tells_names_and_texts_and_not_their_order() -> None:
    asked = [("a", "one"), ("b", "two\ud800")]
    assert fingerprint(asked) == fingerprint(asked[::-1])
    others = ([("a", "one")], [("a", "one"), ("b", "two")], [("a", "two\ud800"), ("b", "one")], [("a\0", "one"), ("b", "two\ud800")])
    assert len({fingerprint(asked), *map(fingerprint, others)}) == 5
