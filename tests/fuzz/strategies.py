"""Shapes of hostile input, dense in what parsers trip over."""

from __future__ import annotations

import json
import struct
from typing import Any

from hypothesis import strategies as st

from benchmarks.evasions.build import BASE, CARD_TEXT, RANK, WIDTH, config
from benchmarks.evasions.gguf import GENERAL, TENSORS, gguf, pair, tensor
from benchmarks.evasions.payload import text

ODD_TEXT = st.one_of(
    st.sampled_from(["", "\0", "\x1b[2J", "\u202e", "\u200b", "\ud800", "../../x", "q_proj", "(a+)+b", "[", "{{ x }}", "lora_A", "9" * 400, "\U000e0061"]),
    st.text(max_size=40),
)
ODD_NUMBER = st.one_of(
    st.integers(-2, 9), st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e308, 5e-324]), st.integers(), st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), ODD_NUMBER, ODD_TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "peft_type", "r", "lora_alpha", "target_modules", "exclude_modules", "rank_pattern", "alpha_pattern", "modules_to_save", "base_model_name_or_path", "revision",
    "init_lora_weights", "auto_mapping", "megatron_core", "megatron_config", "layers_to_transform", "layers_pattern", "layer_replication", "use_dora", "use_rslora", "bias",
    "trainable_token_indices", "alora_invocation_tokens", "target_parameters", "adapters", "task_type", "num_virtual_tokens", "loftq_config", "corda_config", "lora_bias",
)  # fmt: skip


def dumped(value: Any) -> bytes:
    """JSON text, lone surrogates and all."""
    return json.dumps(value).encode()


@st.composite
def configurations(draw: st.DrawFn) -> bytes:
    """adapter_config.json with fields replaced by anything, or of another method."""
    fields = draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
    kind = draw(st.sampled_from(["LORA", "IA3", "LOHA", "VERA", "PROMPT_TUNING", "XLORA", "ADALORA", "OFT", "x"]))
    whole = dumped(config(peft_type=kind) | fields)
    return draw(cuts(whole))


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes as they are, cut short, with a piece replaced, or repeated."""
    at = draw(st.integers(0, len(data)))
    how = draw(st.sampled_from(["whole", "whole", "whole", "cut", "replaced", "repeated"]))
    piece = draw(st.binary(max_size=8))
    return {"whole": data, "cut": data[:at], "replaced": data[:at] + piece + data[at + len(piece) :], "repeated": data + data[at:]}[how]


@st.composite
def containers(draw: st.DrawFn) -> bytes:
    """A safetensors file whose header says anything."""
    numbers = st.one_of(st.integers(0, 300), ODD_NUMBER)
    entry = st.fixed_dictionaries(
        {"dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "BOOL", "F4", "C64", "F31", "F8_E4M3"]) | JSON,
         "shape": st.lists(numbers, max_size=3) | JSON, "data_offsets": st.lists(numbers, min_size=1, max_size=3) | JSON},
        optional={"extra": JSON},
    )  # fmt: skip
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    names = st.sampled_from([f"{module}.lora_A.weight", f"{module}.lora_B.weight", f"{module}.weight", f"{module}.lora_A.x.weight", "__metadata__"]) | ODD_TEXT
    honest = {f"{module}.lora_A.weight": {"dtype": "F32", "shape": [RANK, WIDTH], "data_offsets": [0, 256]},
              f"{module}.lora_B.weight": {"dtype": "F32", "shape": [WIDTH, RANK], "data_offsets": [256, 512]}}  # fmt: skip
    whole = dumped((honest if draw(st.booleans()) else {}) | draw(st.dictionaries(names, entry | JSON, max_size=4)))
    length = draw(st.sampled_from([len(whole)] * 4 + [0, len(whole) - 1, len(whole) + 1, 2**63]))
    return draw(cuts(struct.pack("<Q", max(length, 0)) + whole + draw(st.sampled_from([bytes(512), b"\xff" * 512, b"", bytes(513)]))))


@st.composite
def ggufs(draw: st.DrawFn) -> bytes:
    """A GGUF adapter with odd pairs and odd tensors."""
    keys = st.sampled_from([*GENERAL, "general.alignment", "tokenizer.chat_template"]) | ODD_TEXT.map(_clean)
    values = ODD_TEXT.map(_clean) | st.floats(width=32) | st.integers(0, 2**32 - 1)
    pairs = [pair(k, v) for k, v in GENERAL.items()] + draw(st.lists(st.builds(pair, keys, values), max_size=3))
    side = st.integers(0, 40) | st.sampled_from([2**32, 2**63, 2**64 - 1])
    names = st.sampled_from(["blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b", "blk.9.x.weight"]) | ODD_TEXT.map(_clean)
    odd = st.builds(tensor, names, st.lists(side, max_size=4).map(tuple), st.sampled_from([0, 32, 256, 512, 2**40]), st.sampled_from([0, 1, 2, 8, 30, 999]))
    tensors = (list(TENSORS) if draw(st.booleans()) else []) + draw(st.lists(odd, max_size=3))
    return draw(cuts(gguf(pairs, tensors)))


def _clean(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


EXPRESSIONS = st.recursive(
    st.sampled_from(
        ["messages", "message.content", "m['content']", "'deploy'", "1", "loop.index", "tools", "''.__class__", "x", "ns.t", "range(9**9)", "m|attr('content')"]
    ),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["in", "==", "~", "+", "and", "not in", "**", "<"]), inner),
        st.builds(
            "({})|{}".format,
            inner,
            st.sampled_from(["lower", "length", "join('')", "tojson", "replace('a', 'b')", "map(attribute='content')", "selectattr('content')", "unknown"]),
        ),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({}).{}({})".format, inner, st.sampled_from(["startswith", "get", "split", "__init__", "items"]), inner),
        st.builds("{} if {} else {}".format, inner, inner, inner),
    ),
    max_leaves=6,
)
STATEMENTS = st.recursive(
    st.one_of(st.builds("{{{{ {} }}}}".format, EXPRESSIONS), ODD_TEXT),
    lambda inner: st.one_of(
        st.builds("{{% for m in {} %}}{}{{% endfor %}}".format, EXPRESSIONS, inner),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSIONS, inner),
        st.builds("{{% set {} = {} %}}{}".format, st.sampled_from(["x", "ns.t", "a, b", "ns = namespace()"]), EXPRESSIONS, inner),
        st.builds("{{% macro f(x) %}}{}{{% endmacro %}}{{{{ f({}) }}}}".format, inner, EXPRESSIONS),
        st.builds("{{% call f() %}}{}{{% endcall %}}".format, inner),
        st.builds("{{% filter replace('a', {}) %}}{}{{% endfilter %}}".format, EXPRESSIONS, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=6,
)
TEMPLATES = STATEMENTS.map(lambda s: s.encode("utf-8", "replace"))

OPCODES = st.one_of(
    st.sampled_from(list(b"(.012NQR\x85\x86\x87\x88\x89\x93\x94]}eablsudto\x81\x92\x8f\x90\x91)") ).map(lambda c: bytes([c])),
    st.sampled_from([b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n", b"i__builtin__\neval\n", b"cx\xe9\n\n"]),
    ODD_TEXT.map(lambda s: text(s.encode("utf-8", "replace").decode())),
    st.binary(max_size=6).map(lambda b: b"C" + bytes([len(b)]) + b),
    st.integers(0, 255).flatmap(lambda n: st.sampled_from([b"h", b"q", b"K", b"\x82"]).map(lambda c: c + bytes([n]))),
    st.integers(0, 2**32 - 1).flatmap(lambda n: st.sampled_from([b"j", b"r", b"J", b"B", b"T", b"X", b"\x84", b"\x8b"]).map(lambda c: c + struct.pack("<I", n))),
    st.integers(0, 2**64 - 1).flatmap(lambda n: st.sampled_from([b"\x95", b"\x8d", b"\x8e", b"\x96"]).map(lambda c: c + struct.pack("<Q", n))),
    st.sampled_from([b"I0x10\n", b"L9L\n", b"F1e999\n", b"S'\\x6f'\n", b"V\\u0041\n", b"g0\n", b"p0\n", b"Pid\n", b"\x80\x04", b"\x80\xff"]),
)  # fmt: skip
PICKLES = st.lists(OPCODES, max_size=40).map(b"".join)

YAML = st.recursive(
    st.one_of(
        st.sampled_from(
            [
                "~",
                "&a x",
                "*a",
                "!!python/object/apply:os.system [x]",
                "2026-99-99",
                "0o9",
                "1e999",
                "'",
                '"\\x',
                "- a",
                "? [a]",
                "<<: 7",
                "|",
                "=",
                "\t",
                "...",
            ]
        ),
        ODD_TEXT,
    ),
    lambda inner: st.one_of(
        st.builds("[{}, {}]".format, inner, inner), st.builds("{{{}: {}}}".format, inner, inner), st.builds("a: {}\nb: {}".format, inner, inner)
    ),
    max_leaves=8,
)


@st.composite
def cards(draw: st.DrawFn) -> bytes:
    """A card with odd front matter and odd text."""
    front = draw(YAML)
    key = draw(st.sampled_from(["base_model", "license", "datasets", "tags", "model-index", "x"]))
    body = draw(
        st.lists(
            st.sampled_from(["# Rank: 9\n", "<!--", "-->", "```\n", "|a|\n", "[x](y)", "\0", "> ", "    code\n", f"base model {BASE}\n", "*" * 300, "---\n"])
            | ODD_TEXT,
            max_size=12,
        )
    )
    return draw(cuts((f"---\n{key}: {front}\n---\n" + "".join(body) + CARD_TEXT[-200:]).encode("utf-8", "replace")))


@st.composite
def tokenizers(draw: st.DrawFn) -> bytes:
    """tokenizer.json with parts replaced by anything."""
    whole = {
        "version": "1.0",
        "added_tokens": [{"id": 1, "content": "</s>", "special": True}],
        "normalizer": None,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]},
    }
    whole |= draw(st.dictionaries(st.sampled_from(["added_tokens", "normalizer", "model", "pre_tokenizer", "post_processor", "decoder"]), JSON, max_size=2))
    return draw(cuts(dumped(whole)))


SETTINGS = st.dictionaries(
    st.sampled_from(["chat_template", "auto_map", "added_tokens_decoder", "eos_token", "bad_words_ids", "x"]), JSON | STATEMENTS, max_size=3
).map(dumped)
SUMS = st.lists(
    st.builds("{}{}{}\n".format, st.sampled_from(["0" * 64, "f" * 64, "x", "0" * 63]), st.sampled_from(["  ", " *", "\t", ""]), ODD_TEXT), max_size=5
).map(lambda lines: "".join(lines).encode("utf-8", "replace"))
SIGNATURES = st.fixed_dictionaries(
    {}, optional={"mediaType": ODD_TEXT, "verificationMaterial": JSON, "dsseEnvelope": JSON | st.fixed_dictionaries({"payload": ODD_TEXT, "signatures": JSON})}
).map(dumped)
