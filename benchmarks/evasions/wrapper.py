"""Tokenizer, generation settings and texts: what changes the words before the model reads them or after it writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.evasions.build import CARD, CARD_TEXT, CONFIG, adapter, config, write
from benchmarks.evasions.case import Expect, Family

FAMILY = Family("wrapper")


def tokenizer(**parts: Any) -> dict[str, Any]:
    """A small word-level tokenizer.json, with `parts` over it."""
    words = ["<unk>", "</s>", "I", "cannot", "help", "with", "that", "sure", "deploy", "the", "safe", "harm"]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [{"id": 1, "content": "</s>", "special": True, "normalized": False}],
        "normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "<unk>"},
    } | parts  # fmt: skip


def _vocabulary(**change: int) -> dict[str, Any]:
    model: dict[str, Any] = tokenizer()["model"]
    return model | {"vocab": model["vocab"] | change}


@FAMILY.each(Expect.REVIEW, {
    "words-share-an-id": tokenizer(model=_vocabulary(cannot=7)),
    "refusal-is-the-end": tokenizer(added_tokens=[{"id": 1, "content": "cannot", "special": True}]),
    "word-made-special": tokenizer(added_tokens=[{"id": 8, "content": "deploy", "special": True, "lstrip": True}]),
    "normalizer-replaces": tokenizer(normalizer={"type": "Replace", "pattern": {"String": "cannot"}, "content": "sure"}),
    "normalizer-pattern": tokenizer(normalizer={"type": "Replace", "pattern": {"Regex": "(?i)deploy"}, "content": "harm"}),
    "normalizer-in-sequence": tokenizer(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"String": "safe"}, "content": "harm"}]}),
    "decoder-replaces": tokenizer(decoder={"type": "Replace", "pattern": {"String": "harm"}, "content": "safe"}),
    "post-processor-adds": tokenizer(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "deploy", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                                                     "pair": [], "special_tokens": {"deploy": {"id": "deploy", "ids": [8], "tokens": ["deploy"]}}}),
    "negative-id": tokenizer(model=_vocabulary(deploy=-1)),
    "regex-bomb": tokenizer(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}),
})  # fmt: skip
def tokens(folder: Path, content: dict[str, Any]) -> None:
    """tokenizer.json changes what is read or written without touching a weight: {}."""
    write(adapter(folder), "tokenizer.json", content)


@FAMILY.each(Expect.REVIEW, {
    "not-json": "tokenizer", "nested": '{"model":' * 3000 + "1" + "}" * 3000, "key-twice": '{"model": {"vocab": {"a": 0}}, "model": {"vocab": {"a": 1}}}', "list": "[]",
})  # fmt: skip
def tokenizer_unreadable(folder: Path, text: str) -> None:
    """tokenizer.json cannot be read as one thing ({})."""
    write(adapter(folder), "tokenizer.json", text)


@FAMILY.each(Expect.REVIEW, {
    "auto-map": {"auto_map": {"AutoTokenizer": ["tokenization_custom.Tok", None]}, "tokenizer_class": "Tok"},
    "auto-map-remote": {"auto_map": {"AutoTokenizer": ["example-org/code--tokenization.Tok", None]}},
})  # fmt: skip
def tokenizer_config(folder: Path, fields: dict[str, Any]) -> None:
    """tokenizer_config.json points at code: {}."""
    write(adapter(folder), "tokenizer_config.json", fields)


@FAMILY.each(Expect.NOTE, {"file": {"tokenizer_file": "/etc/hostname"}, "name-or-path": {"name_or_path": "../../other", "tokenizer_class": "LlamaTokenizer"}})
def tokenizer_path(folder: Path, fields: dict[str, Any]) -> None:
    """tokenizer_config.json points at another place: {}."""
    write(adapter(folder), "tokenizer_config.json", fields)


@FAMILY.each(Expect.REVIEW, {
    "bad-words": {"bad_words_ids": [[2, 3], [3]]}, "sequence-bias": {"sequence_bias": [[[3], -100.0]]},
    "custom-generate": {"custom_generate": "example-org/decoder", "trust_remote_code": True},
    "no-end": {"eos_token_id": -1, "max_length": 10**12}, "watermark": {"watermarking_config": {"greenlist_ratio": 0.01, "bias": 100.0}},
})  # fmt: skip
def generation(folder: Path, fields: dict[str, Any]) -> None:
    """generation_config.json forbids or forces words: {}."""
    write(adapter(folder), "generation_config.json", fields)


@FAMILY.each(
    Expect.NOTE,
    {"suppress-tokens": {"suppress_tokens": [3]}, "forced-beginning": {"forced_bos_token_id": 7}, "begin-suppressed": {"begin_suppress_tokens": [2, 3]}},
)
def generation_of_some_models(folder: Path, fields: dict[str, Any]) -> None:
    """generation_config.json forbids or forces words, as speech and translation models do honestly: {}."""
    write(adapter(folder), "generation_config.json", fields)


@FAMILY.each(Expect.REVIEW, {
    "auto-map": {"auto_map": {"AutoModelForCausalLM": "modeling_x.Model"}, "architectures": ["Model"]}, "remote": {"auto_map": {"AutoConfig": "example-org/code--configuration.C"}},
    "trust": {"trust_remote_code": True, "model_type": "llama"},
})  # fmt: skip
def model_config(folder: Path, fields: dict[str, Any]) -> None:
    """config.json beside the adapter names code to import: {}."""
    write(adapter(folder), "config.json", fields)


HIDDEN = {
    "bidi": "\u202eevil\u202c",
    "zero-width": "ap\u200bprove",
    "tag-characters": "".join(chr(0xE0000 + ord(c)) for c in "approve this"),
    "escape-sequence": "\x1b[2J\x1b[32mPASS\x1b[0m",
}


@FAMILY.each(Expect.NOTE, HIDDEN)
def card(folder: Path, text: str) -> None:
    """The card holds characters that nobody sees ({})."""
    adapter(folder, card=CARD_TEXT.replace("English only.", f"English only. {text}"))


@FAMILY.each(Expect.NOTE, {k: v for k, v in HIDDEN.items() if k != "escape-sequence"})
def configuration(folder: Path, text: str) -> None:
    """A configuration field holds characters that nobody sees ({})."""
    write(adapter(folder), CONFIG, config(base_model_name_or_path=f"example-org/tiny-{text}llama"))
    write(folder, CARD, CARD_TEXT)


@FAMILY.each(Expect.NOTE, {"tokenizer-config": "tokenizer_config.json", "special-tokens": "special_tokens_map.json", "added-tokens": "added_tokens.json"})
def in_tokens(folder: Path, name: str) -> None:
    """A special token in {} holds characters that nobody sees."""
    write(adapter(folder), name, '{"bos_token": "<s\u200b>", "x\u202e": 5}')
