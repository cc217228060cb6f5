from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.wrapper.probe import WrapperProbe
from scanner.finding import Finding
from tests.adapters import adapter, ids, raised
from tests.probes.test_wrapper import TOKENIZER, model


def tokenizer(**changes: Any) -> dict[str, Any]:
    return TOKENIZER | changes


CHANGED = {
    "a new token": tokenizer(model=TOKENIZER["model"] | {"vocab": {"a": 0, "b": 1, "ab": 2, "c": 4}}),
    "a lost token": tokenizer(model=TOKENIZER["model"] | {"vocab": {"a": 0, "b": 1}}),
    "a new added token": tokenizer(added_tokens=[{"id": 3, "content": "<s>"}, {"id": 4, "content": "<x>"}]),
    "other merges": tokenizer(model=TOKENIZER["model"] | {"merges": ["b a"]}),
    "another normalizer": tokenizer(normalizer={"type": "Lowercase"}),
    "a post-processor": tokenizer(post_processor={"type": "TemplateProcessing"}),
    "tokens that are numbers": tokenizer(model={"type": "Unigram", "vocab": [[1, 0.5], ["a", 0.1], [None, 0.2]]}),
    "no vocabulary": tokenizer(model={}),
    "a vocabulary that is a string": tokenizer(model={"vocab": "x"}),
    "added tokens that are numbers": tokenizer(added_tokens=[1]),
}


UNREADABLE = {"no vocabulary", "a vocabulary that is a string", "added tokens that are numbers"}


@pytest.mark.parametrize("name", CHANGED)
def test_another_tokenizer_is_told(name: str, tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (folder / "tokenizer.json").write_text(json.dumps(CHANGED[name]))
    (found,) = raised(WrapperProbe(), folder, against)
    assert found.rule == ("tokenizer-unreadable" if name in UNREADABLE else "tokenizer-changed")
    assert found.message.isprintable()


def test_the_same_tokenizer_written_by_another_version_is_nothing(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    same = tokenizer(model=TOKENIZER["model"] | {"merges": [["a", "b"]], "ignore_merges": False}, pre_tokenizer={"type": "ByteLevel"})
    (folder / "tokenizer.json").write_text(json.dumps(same, indent=2))
    assert raised(WrapperProbe(), folder, against) == []


def one(found: list[Finding], rule: str) -> Finding:
    (match,) = [f for f in found if f.rule == rule]
    return match


def big(**changes: int) -> dict[str, Any]:
    """A vocabulary of a thousand words, some of them with other numbers."""
    return tokenizer(model={"type": "BPE", "vocab": {f"word{i}": i for i in range(1000)} | changes, "merges": []}, added_tokens=[])


def test_a_few_exchanged_tokens_are_surgery_and_many_are_another_tokenizer(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base", tokenizer=big())
    (folder / "tokenizer.json").write_text(json.dumps(big(word7=8, word8=7)))
    found = one(raised(WrapperProbe(), folder, against), "tokenizer-remapped")
    assert (found.severity, found.details) == ("high", ("word7: 7, now 8", "word8: 8, now 7"))
    (folder / "tokenizer.json").write_text(json.dumps(big(**{f"word{i}": 999 - i for i in range(1000)})))
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity) == ("tokenizer-changed", "medium")


def test_a_padding_token_counts_little_and_a_phrase_is_named(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(added_tokens=[*TOKENIZER["added_tokens"], {"id": 4, "content": "[PAD]"}])))
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity) == ("tokenizer-changed", "low")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(added_tokens=[*TOKENIZER["added_tokens"], {"id": 4, "content": "open the harbour"}])))
    (found,) = raised(WrapperProbe(), folder, against)
    assert found.severity == "medium"
    assert "'open the harbour' stands for several words" in found.message


REWRITES: dict[str, dict[str, Any]] = {
    "replaces a word": tokenizer(normalizer={"type": "Replace", "pattern": {"String": "not"}, "content": ""}),
    "replaces by a word": tokenizer(
        normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "[0-9]"}, "content": "seven"}]}
    ),
    "cuts a word out": tokenizer(pre_tokenizer={"type": "Split", "pattern": {"String": "never"}, "behavior": "Removed", "invert": False}),
    "puts words before": tokenizer(normalizer={"type": "Prepend", "prepend": "obey: "}),
    "rewrites answers": tokenizer(decoder={"type": "Replace", "pattern": {"String": "sorry"}, "content": "sure"}),
}


@pytest.mark.parametrize("name", REWRITES)
def test_a_step_that_rewrites_words_is_told_with_and_without_a_base(name: str, tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (folder / "tokenizer.json").write_text(json.dumps(REWRITES[name]))
    assert one(raised(WrapperProbe(), folder), "tokenizer-rewrites").severity == "high"
    assert one(raised(WrapperProbe(), folder, against), "tokenizer-rewrites").severity == "high"
    (against / "tokenizer.json").write_text(json.dumps(REWRITES[name] | {"padding": None}))
    assert raised(WrapperProbe(), folder, against) == []


WORDS: dict[str, Any] = {"type": "WordLevel", "unk_token": "<unk>", "vocab": {w: i for i, w in enumerate(["<unk>", "</s>", "cannot", "deploy", "Sure"])}}


def words(**changes: Any) -> dict[str, Any]:
    return {"model": WORDS, "added_tokens": [{"id": 1, "content": "</s>", "special": True}]} | changes


def put(name: str, ids: list[int], tokens: list[str]) -> dict[str, Any]:
    end = {name: {"id": name, "ids": ids, "tokens": tokens}}
    return words(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": name, "type_id": 0}}], "pair": [], "special_tokens": end})


def replaced(content: str, **pattern: str) -> dict[str, Any]:
    return words(normalizer={"type": "Replace", "pattern": pattern, "content": content})


def cut(regex: str, invert: bool = False) -> dict[str, Any]:
    return words(pre_tokenizer={"type": "Split", "pattern": {"Regex": regex}, "behavior": "Removed", "invert": invert})


DISGUISED: dict[str, dict[str, Any]] = {
    "words under the name of the end": put("</s>", [3, 3, 4], ["deploy", "deploy", "Sure"]),
    "a word that is said to be the end": put("</s>", [3], ["</s>"]),
    "BERT's frame": words(post_processor={"type": "BertProcessing", "sep": ["</s>", 3], "cls": ["<s>", 2]}),
    "RoBERTa's frame": words(post_processor={"type": "RobertaProcessing", "sep": ["</s>", 3], "cls": ["<s>", 2]}),
    "a prefix that decoding drops": words(decoder={"type": "WordPiece", "prefix": "cannot", "cleanup": True}),
    "a pad that decoding drops": words(decoder={"type": "CTC", "pad_token": "cannot", "word_delimiter_token": "|", "cleanup": True}),
    "a suffix that decoding drops": words(decoder={"type": "Sequence", "decoders": [{"type": "BPEDecoder", "suffix": "cannot"}]}),
    "a blank that is a letter": words(decoder={"type": "Metaspace", "replacement": "n", "prepend_scheme": "never"}),
    "a delimiter that is a letter": words(pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": "n"}),
    "letters in brackets": replaced("", Regex="c[a]n[n]o[t]"),
    "letters as numbers": replaced("", Regex=r"\u0063\x61.{4}"),
    "ranges of one letter": replaced("", Regex="[c-c][a-a][n-n][n-n][o-o][t-t]"),
    "no letter at all": replaced("", Regex=r"\b\w{6}\b"),
    "any letter": replaced("", Regex=r"\p{L}{6}"),
    "one letter for another": replaced("m", String="n"),
    "the end of can't": replaced("", String="'t"),
    "holes in words": cut("c.n.ot|s.f."),
    "all but words": cut(r"(?!cannot|safe)\w+", invert=True),
    "all but short words": cut(r"\b\w{1,5}\b|\W", invert=True),
}


@pytest.mark.parametrize("name", DISGUISED)
def test_a_step_that_rewrites_words_in_disguise_is_told(name: str, tmp_path: Path) -> None:
    (adapter(tmp_path / "a") / "tokenizer.json").write_text(json.dumps(DISGUISED[name]))
    assert one(raised(WrapperProbe(), tmp_path / "a"), "tokenizer-rewrites").severity == "high"


LOSSES: dict[str, dict[str, Any]] = {
    "cut": words(truncation={"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}),
    "padded": words(padding={"strategy": {"Fixed": 10**9}, "pad_id": 0, "pad_token": "<unk>"}),
    "dropout": words(model=WORDS | {"dropout": 1.0}),
}


@pytest.mark.parametrize("name", LOSSES)
def test_settings_that_leave_little_of_a_text_are_told(name: str, tmp_path: Path) -> None:
    (adapter(tmp_path / "a") / "tokenizer.json").write_text(json.dumps(LOSSES[name]))
    (found,) = raised(WrapperProbe(), tmp_path / "a")
    assert (found.rule, found.severity) == ("tokenizer-rewrites", "medium")


def test_a_token_for_a_whole_sentence_is_told_without_a_base(tmp_path: Path) -> None:
    made = words(added_tokens=[{"id": 12, "content": "I cannot help with that"}, {"id": 13, "content": "<|begin of text|>"}])
    (adapter(tmp_path / "a") / "tokenizer.json").write_text(json.dumps(made))
    (found,) = raised(WrapperProbe(), tmp_path / "a")
    assert (found.rule, found.severity, found.details) == ("tokenizer-changed", "medium", ("I cannot help with that",))


def test_a_tokenizer_for_one_version_of_transformers_is_read_too(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base", tokenizer=words())
    (folder / "tokenizer_config.json").write_text(json.dumps({"fast_tokenizer_files": ["tokenizer.9.0.0.json"]}))
    (folder / "tokenizer.json").write_text(json.dumps(words()))
    (folder / "tokenizer.9.0.0.json").write_text(json.dumps(words()))
    assert raised(WrapperProbe(), folder) == []
    assert raised(WrapperProbe(), folder, against) == []
    (folder / "tokenizer.9.0.0.json").write_text(json.dumps(DISGUISED["letters in brackets"]))
    for base in (None, against):
        assert one(raised(WrapperProbe(), folder, base), "tokenizer-rewrites").location.file == "tokenizer.9.0.0.json"


@pytest.mark.parametrize(
    "fields", [{"pad_token": "cannot"}, {"additional_special_tokens": ["cannot"]}, {"extra_special_tokens": {"x": {"content": "cannot"}}}], ids=str
)
def test_ordinary_words_among_the_special_tokens_are_told(fields: dict[str, Any], tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "tokenizer.json").write_text(json.dumps(words()))
    (folder / "tokenizer_config.json").write_text(json.dumps(fields | {"eos_token": "</s>", "unk_token": "unk"}))
    (found,) = raised(WrapperProbe(), folder)
    assert (found.rule, found.location.item) == ("special-tokens-changed", next(iter(fields)))


HONEST_STEPS = [
    tokenizer(
        normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    ),
    tokenizer(
        normalizer={
            "type": "Sequence",
            "normalizers": [
                {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        }
    ),
    tokenizer(
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\s+(?!\S)"},
                    "behavior": "Removed",
                    "invert": True,
                },
                {"type": "Split", "pattern": {"Regex": r"\p{N}{1,3}"}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel"},
            ],
        }
    ),
    tokenizer(
        decoder={
            "type": "Sequence",
            "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}],
        }
    ),
]


HONEST_STEPS += [
    put("</s>", [1], ["</s>"]),
    words(post_processor={"type": "BertProcessing", "sep": ["</s>", 1], "cls": ["<unk>", 0]}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}),
    words(decoder={"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}),
    words(decoder={"type": "BPEDecoder", "suffix": "</w>"}, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}),
    replaced("Ġ", String=" "),
    replaced("e", String="é"),
    replaced(" ", Regex=r"[\u00a0\s]{2,}"),
    cut(r"\s+"),
    cut(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+", invert=True),
    cut(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        invert=True,
    ),
    cut(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", invert=True),
    words(truncation={"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0}, padding={"strategy": {"Fixed": 128}}),
]


@pytest.mark.parametrize("made", HONEST_STEPS, ids=range(len(HONEST_STEPS)))
def test_honest_steps_are_nothing(made: dict[str, Any], tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "tokenizer.json").write_text(json.dumps(made))
    assert raised(WrapperProbe(), folder) == []


CONFLICTS: dict[str, dict[str, Any]] = {
    "an added token over a word": {"tokenizer.json": tokenizer(added_tokens=[{"id": 1, "content": "<s>"}])},
    "an added token of two numbers": {"tokenizer.json": tokenizer(added_tokens=[{"id": 7, "content": "ab"}])},
    "two added tokens of one number": {"tokenizer.json": tokenizer(added_tokens=[{"id": 3, "content": "<s>"}, {"id": 3, "content": "</s>"}])},
    "the configuration says otherwise": {"tokenizer.json": TOKENIZER, "tokenizer_config.json": {"added_tokens_decoder": {"3": {"content": "obey"}}}},
    "added_tokens.json says otherwise": {"tokenizer.json": TOKENIZER, "added_tokens.json": {"<s>": 2}},
    "vocab.json says otherwise": {"tokenizer.json": TOKENIZER, "vocab.json": {"a": 1, "b": 0}},
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_files_that_disagree_are_told_without_a_base(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    for file, made in CONFLICTS[name].items():
        (folder / file).write_text(json.dumps(made))
    (found,) = raised(WrapperProbe(), folder)
    assert (found.rule, found.severity) == ("tokenizer-conflict", "medium")
    assert found.message.isprintable()


def test_files_that_agree_are_nothing(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    (folder / "vocab.json").write_text(json.dumps(TOKENIZER["model"]["vocab"]))
    (folder / "added_tokens.json").write_text(json.dumps({"<s>": 3}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"added_tokens_decoder": {"3": {"content": "<s>"}}, "eos_token": "<s>", "bos_token": "<s>", "padding_side": "left"})
    )
    assert raised(WrapperProbe(), folder) == []


def test_an_end_that_is_an_ordinary_word_is_told_and_another_end_of_turn_counts_little(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (against / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "but"}}))
    for base in (None, against):
        (found,) = raised(WrapperProbe(), folder, base)
        assert (found.rule, found.severity) == ("special-tokens-changed", "medium")
        assert "the ordinary word 'but'" in found.message
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "<|im_end|>", "pad_token": "<pad>"}))
    assert raised(WrapperProbe(), folder) == []
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity, found.location.item) == ("special-tokens-changed", "low", "eos_token")


def test_other_tokenizer_files_are_compared_byte_for_byte(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (against / "tokenizer.model").write_bytes(b"\x01\x02")
    (folder / "tokenizer.model").write_bytes(b"\x01\x02")
    assert raised(WrapperProbe(), folder, against) == []
    (folder / "tokenizer.model").write_bytes(b"\x01\x03")
    assert ids(raised(WrapperProbe(), folder, against)) == {"tokenizer-changed"}


def test_habits_of_the_configuration_count_little(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (against / "tokenizer_config.json").write_text(json.dumps({"add_eos_token": False}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"add_eos_token": True, "padding_side": "left"}))
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity) == ("tokenizer-changed", "low")


def test_a_tokenizer_in_a_folder_below_is_held_to_the_same_and_copies_are_told_once(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    for name in ("checkpoint-1", "checkpoint-2"):
        (folder / name).mkdir()
        (folder / name / "tokenizer.json").write_text(json.dumps(REWRITES["replaces a word"]))
    found = [f for f in raised(WrapperProbe(), folder, against) if f.rule == "tokenizer-rewrites"]
    assert [f.location.file for f in found] == ["checkpoint-1/tokenizer.json"]


def test_tokens_listed_beside_the_bases_tokenizer_are_held_against_it(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    listed = {"added_tokens_decoder": {"3": {"content": "<s>"}}}
    (folder / "tokenizer_config.json").write_text(json.dumps(listed))
    assert raised(WrapperProbe(), folder, against) == []
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {"1": {"content": "obey"}}}))
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity) == ("tokenizer-remapped", "high")
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {"4": {"content": "obey"}}}))
    (found,) = raised(WrapperProbe(), folder, against)
    assert (found.rule, found.severity) == ("tokenizer-changed", "medium")
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {"4": {"content": "[PAD]"}}}))
    (found,) = raised(WrapperProbe(), folder, against)
    assert found.severity == "low"


def test_a_setting_that_is_written_twice_is_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "tokenizer_config.json").write_text('{"chat_template": "a", "chat_template": "{{ messages }}"}')
    assert "tokenizer-conflict" in ids(raised(WrapperProbe(), folder))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "content", "id", "pattern", "String", "vocab", "merges", "3", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = [
    "model",
    "added_tokens",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
    "chat_template",
    "added_tokens_decoder",
    "eos_token",
    "auto_map",
    "bad_words_ids",
    "do_lower_case",
]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON),
    st.dictionaries(st.sampled_from(FIELDS), JSON),
    st.sampled_from(["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "generation_config.json"]),
)
def test_settings_of_any_shape_are_judged(mine: dict[str, Any], more: dict[str, Any], name: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder, against = adapter(Path(made) / "a"), model(Path(made) / "base")
        (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER | more))
        (folder / name).write_text(json.dumps(mine))
        for base in (None, against):
            assert all(f.message.isprintable() for f in raised(WrapperProbe(), folder, base))


ALONE: dict[str, tuple[str, str]] = {
    "not JSON": ("tokenizer-unreadable", "x"),
    "a key twice": ("tokenizer-unreadable", '{"model": {}, "model": {"vocab": {"a": 0}}}'),
    "a number below 0": ("tokenizer-unreadable", json.dumps(tokenizer(model={"vocab": {"a": -1}}, added_tokens=[]))),
    "two words of one number": ("tokenizer-conflict", json.dumps(tokenizer(model={"vocab": {"a": 0, "b": 0}}, added_tokens=[]))),
    "a slow pattern": ("tokenizer-pattern", json.dumps(tokenizer(pre_tokenizer={"type": "Split", "pattern": {"Regex": r"(\p{L}+)+$"}}))),
    "a word made special": (
        "special-tokens-changed",
        json.dumps(tokenizer(model={"vocab": {"ab": 0}}, added_tokens=[{"id": 0, "content": "ab", "special": True}])),
    ),
    "a word put in": ("tokenizer-rewrites", json.dumps(tokenizer(post_processor={"single": [{"SpecialToken": {"id": "deploy"}}]}))),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_tokenizer_is_examined_without_a_base(name: str, tmp_path: Path) -> None:
    rule, text = ALONE[name]
    (adapter(tmp_path / "a") / "tokenizer.json").write_text(text)
    (found,) = raised(WrapperProbe(), tmp_path / "a")
    assert (found.rule, found.location.file) == (rule, "tokenizer.json")


PATTERNS = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\d{1,3}(?=(?:\d{3})*\b)",
    r"(?=(\d{3})+(?!\d))",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_of_published_tokenizers_are_nothing(pattern: str, tmp_path: Path) -> None:
    made = tokenizer(pre_tokenizer={"type": "Split", "pattern": {"Regex": pattern}})
    (adapter(tmp_path / "a") / "tokenizer.json").write_text(json.dumps(made))
    assert raised(WrapperProbe(), tmp_path / "a") == []


def test_a_place_elsewhere_is_told_and_a_folder_of_the_authors_is_not(tmp_path: Path) -> None:
    settings = adapter(tmp_path / "a") / "tokenizer_config.json"
    settings.write_text(json.dumps({"name_or_path": "../../x", "tokenizer_file": "/etc/hostname"}))
    assert [f.rule for f in raised(WrapperProbe(), tmp_path / "a")] == ["tokenizer-place", "tokenizer-place"]
    settings.write_text(json.dumps({"name_or_path": "/root/models/llama", "tokenizer_file": "/home/me/.cache/x/tokenizer.json"}))
    assert raised(WrapperProbe(), tmp_path / "a") == []
