"""The base's vocabulary as text, read without loading the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.model.base import Base

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment

SHORTEST = 3
"""Letters of a word."""
SPACES = ("Ġ", "▁", " ")
"""What a token that begins a word begins with: byte-level pieces, SentencePiece's, and plain text."""


def pieces(base: Base) -> list[str] | None:
    """Text of every token, by id; None where the base has no tokenizer.json or the package `tokenizers` is not installed."""
    path = base.path / "tokenizer.json"
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    if not path.is_file():
        return None
    tokenizer = Tokenizer.from_file(str(path))
    decoded: list[str] = tokenizer.decode_batch([[i] for i in range(tokenizer.get_vocab_size())], skip_special_tokens=False)
    return decoded


def is_word(piece: str) -> bool:
    """Whether a token is a word by itself: a leading space, then three letters or more."""
    return piece[:1] == " " and len(piece) > SHORTEST and piece[1:].isalpha()


def words(deployment: Deployment) -> dict[int, str]:
    """The tokens that are a word by themselves, by id, with the space before them. Decoded once a deployment."""
    kept: dict[int, str] | None = deployment.__dict__.get("_words")
    if kept is None:
        tokenizer = deployment.tokenizer
        begin = [t for t, raw in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))) if raw and raw.startswith(SPACES)]
        # SentencePiece's decoder leaves out the space at the beginning of a text.
        decoded = ((t, f" {tokenizer.decode([t]).strip(' ')}") for t in begin)
        kept = deployment.__dict__["_words"] = {t: piece for t, piece in decoded if is_word(piece)}
    return kept
