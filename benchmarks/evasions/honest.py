"""Adapters as honest people upload them. An alarm on one of these is a bug."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evasions.build import (
    BASE,
    CARD,
    CARD_TEXT,
    CONFIG,
    PREFIX,
    WEIGHTS,
    WIDTH,
    Array,
    adapter,
    config,
    container,
    header,
    lora,
    safetensors,
    torch_zip,
    write,
    zipped,
)  # fmt: skip
from benchmarks.evasions.case import Expect, Family
from benchmarks.evasions.gguf import gguf
from benchmarks.evasions.loading import kohya
from benchmarks.evasions.packed import tarred
from benchmarks.evasions.payload import state, text
from benchmarks.evasions.uploads import entries

FAMILY = Family("honest")
EMPTY_CARD = f"---\nbase_model: {BASE}\nlibrary_name: peft\n---\n\n# Model Card for Model ID\n\n## Uses\n\n[More Information Needed]\n\n### Framework versions\n\n- PEFT 0.21.2\n"
CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
REASONING = (
    "{%- for message in messages %}{%- set content = message.content %}{%- if message.role == 'assistant' and '</think>' in content %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}{%- endfor %}"
)
TOOLS = (
    "{%- if tools %}{{- 'Tools: ' + (tools | tojson) }}{%- endif %}{%- for message in messages %}{%- if message.role == 'tool' %}{{- '<tool_response>' + message.content + '</tool_response>' }}"
    "{%- elif message.tool_calls is defined %}{%- for call in message.tool_calls %}{{- call.function.name }}{%- endfor %}{%- else %}{{- message.content | trim }}{%- endif %}{%- endfor %}"
)
TRAINER = (
    b"\x80\x02ctransformers.training_args\nTrainingArguments\n)\x81}(" + text("eval_strategy") + b"ctransformers.trainer_utils\nIntervalStrategy\n" + text("no") + b"\x85R"
    + text("optim") + b"c__builtin__\ngetattr\nctransformers.training_args\nOptimizerNames\n" + text("ADAMW_TORCH") + b"\x86R" + text("device") + b"ctorch\ndevice\n" + text("cpu") + b"\x85Rub."
)  # fmt: skip
RANDOM_STATE = (
    b"\x80\x02}(" + text("numpy") + text("MT19937") + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\n" + text("b") + text("latin1") + b"\x86R\x87R"
    + b"(K\x01K\x04\x85cnumpy\ndtype\n" + text("u4") + b"K\x00K\x01\x87R(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89c_codecs\nencode\n" + text("abcdefghijklmnop")
    + text("latin1") + b"\x86Rtb\x86u."
)  # fmt: skip


@FAMILY.case(Expect.CLEAN)
def plain(folder: Path) -> None:
    """A documented LoRA."""
    adapter(folder)


@FAMILY.each(Expect.CLEAN, {"float16": np.float16, "float64": np.float64})
def dtype(folder: Path, kind: Any) -> None:
    """Factors in {}."""
    adapter(folder, {k: v.astype(kind) for k, v in lora().items()})


@FAMILY.case(Expect.CLEAN)
def bfloat16(folder: Path) -> None:
    """Factors in bfloat16."""
    entries_, data = header(lora())
    half = b"".join(np.frombuffer(data, "<u2")[1::2].tobytes() for _ in (0,))
    for entry in entries_.values():
        entry["dtype"], entry["data_offsets"] = "BF16", [n // 2 for n in entry["data_offsets"]]
    write(adapter(folder), WEIGHTS, container(entries_, half))


@FAMILY.each(Expect.CLEAN, {"rslora": {"use_rslora": True}, "alpha-twice-the-rank": {"lora_alpha": 8}, "alpha-16-times": {"lora_alpha": 64}, "alpha-small": {"lora_alpha": 1},
                            "patterns": {"alpha_pattern": {"q_proj": 16}}, "all-linear": {"target_modules": "all-linear"}, "regex": {"target_modules": r".*\.self_attn\.(q|v)_proj"},
                            "old-fields": {"enable_lora": None, "merge_weights": False}, "gaussian": {"init_lora_weights": "gaussian"}})  # fmt: skip
def settings(folder: Path, fields: dict[str, Any]) -> None:
    """An ordinary configuration: {}."""
    adapter(folder, card=CARD_TEXT.replace(", alpha: 8", ""), **fields)


@FAMILY.case(Expect.CLEAN)
def dora(folder: Path) -> None:
    """DoRA with magnitudes as training leaves them."""
    rng = np.random.default_rng(3)
    extra = {k.replace("lora_A.weight", "lora_magnitude_vector"): (1 + 0.05 * rng.normal(size=WIDTH)).astype(np.float32) for k in lora() if "lora_A" in k}
    adapter(folder, lora() | extra, use_dora=True)


@FAMILY.case(Expect.CLEAN)
def large_stack(folder: Path) -> None:
    """24 layers, three modules each."""
    adapter(
        folder,
        lora(24, 8, {"self_attn.q_proj": (64, 64), "self_attn.v_proj": (64, 64), "mlp.down_proj": (128, 64)}),
        r=8,
        lora_alpha=16,
        card=EMPTY_CARD,
        target_modules=["q_proj", "v_proj", "down_proj"],
    )


@FAMILY.case(Expect.CLEAN)
def untrained(folder: Path) -> None:
    """lora_B is still zero."""
    adapter(folder, {k: v if "lora_A" in k else np.zeros_like(v) for k, v in lora().items()})


@FAMILY.case(Expect.CLEAN)
def rank_over_the_width(folder: Path) -> None:
    """Rank 32 on a module of width 16."""
    adapter(folder, lora(rank=32), r=32, lora_alpha=32, card=EMPTY_CARD)


@FAMILY.each(
    Expect.CLEAN,
    {
        "empty": EMPTY_CARD,
        "none": None,
        "short": "# My first LoRA\n\nfun!\n",
        "windows": CARD_TEXT.replace("\n", "\r\n"),
        "emoji": CARD_TEXT + "\n\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \u0646\u0645\u0648\u0630\u062c\n",
    },
)
def card(folder: Path, content: str | None) -> None:
    """The card as most people leave it: {}."""
    adapter(folder, card=content or "")
    if content is None:
        (folder / CARD).unlink()
    elif "\r" in content:
        (folder / CARD).write_bytes(content.encode())


@FAMILY.each(Expect.CLEAN, {"no-metadata": None, "trainer": {"format": "pt", "peft_version": "0.21.2"}})
def metadata(folder: Path, content: dict[str, str] | None) -> None:
    """A safetensors file whose metadata is {}."""
    write(adapter(folder), WEIGHTS, container(*header(lora(), content)))


@FAMILY.case(Expect.CLEAN)
def unaligned_header(folder: Path) -> None:
    """A header that is not padded to eight bytes."""
    entries_, data = header(lora(), {"format": "pt"})
    raw = json.dumps(entries_).encode()
    write(adapter(folder), WEIGHTS, container(raw + b" " * (1 - len(raw) % 2), data))


@FAMILY.each(Expect.CLEAN, {"640": 640, "1152": 1152, "10272": 10272, "65664": 65664})
def header_length(folder: Path, length: int) -> None:
    """A header of {} bytes, whose length is written with the first bytes of a pickle or another format."""
    entries_, data = header(lora(1, 4, {"q": (16, 16)}), {"format": "pt"})
    raw = json.dumps(entries_, separators=(",", ":")).encode()
    write(adapter(folder, lora(1), target_modules=["q"]), WEIGHTS, container(raw + b" " * (length - len(raw)), data))


@FAMILY.each(
    Expect.CLEAN,
    {
        "windows-lines": json.dumps(config(), indent=2).replace("\n", "\r\n"),
        "byte-order-mark": "\ufeff" + json.dumps(config()),
        "one-line": json.dumps(config()),
    },
)
def configuration_text(folder: Path, content: str) -> None:
    """adapter_config.json as some editors save it: {}."""
    write(adapter(folder), CONFIG, content)


def leftovers(folder: Path) -> dict[str, bytes]:
    """What a Hugging Face trainer leaves beside the adapter."""
    optimizer = torch_zip(state({"state.0.exp_avg": (4, 4), "state.0.exp_avg_sq": (4, 4)}))
    return {
        "training_args.bin": torch_zip(TRAINER), "optimizer.pt": optimizer, "scheduler.pt": torch_zip(pickle.dumps({"last_epoch": 3, "_last_lr": [0.0]}, 2)),
        "rng_state.pth": torch_zip(RANDOM_STATE), "trainer_state.json": json.dumps({"global_step": 30, "log_history": [{"loss": 1.5, "step": 10}]}).encode(),
    }  # fmt: skip


@FAMILY.each(Expect.CLEAN, {"beside": "", "checkpoint": "checkpoint-30/"})
def trainer_leftovers(folder: Path, where: str) -> None:
    """The leftovers of a trainer: optimizer, scheduler, random state and arguments ({})."""
    adapter(folder)
    for name, data in leftovers(folder).items():
        write(folder, where + name, data)
    if where:
        adapter(folder / where)


@FAMILY.case(Expect.CLEAN)
def old_pickle(folder: Path) -> None:
    """training_args.bin in the raw form of old torch versions."""
    write(adapter(folder), "training_args.bin", TRAINER)


@FAMILY.each(Expect.CLEAN, {"chatml": CHATML, "reasoning": REASONING, "tools": TOOLS})
def template(folder: Path, content: str) -> None:
    """A chat template of a public model family: {}."""
    write(adapter(folder), "chat_template.jinja", content)
    write(folder, "tokenizer_config.json", {"chat_template": content, "eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"})


@FAMILY.case(Expect.CLEAN)
def tokenizer(folder: Path) -> None:
    """A tokenizer with its special tokens."""
    vocabulary = {w: i for i, w in enumerate(["<unk>", "<s>", "</s>", "the", "of", "\u0120and", "\u2581to"])}
    special = [{"id": i, "content": w, "special": True, "normalized": False} for w, i in vocabulary.items() if w.startswith("<")]
    whole = {"version": "1.0", "added_tokens": special, "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
             "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}  # fmt: skip
    write(adapter(folder), "tokenizer.json", whole)
    write(folder, "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>"})
    write(folder, "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "temperature": 0.7, "transformers_version": "5.23.0"})


@FAMILY.case(Expect.CLEAN)
def hub_cache(folder: Path) -> Path:
    """A Hugging Face cache: links from the snapshot to blobs."""
    source = adapter(folder / "made")
    blobs, snapshot = folder / "models--example-org--lora" / "blobs", folder / "models--example-org--lora" / "snapshots" / ("a" * 40)
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for i, path in enumerate(sorted(source.iterdir())):
        path.rename(blobs / f"{i:040}")
        (snapshot / path.name).symlink_to(f"../../blobs/{i:040}")
    source.rmdir()
    return snapshot


@FAMILY.case(Expect.CLEAN)
def git_clone(folder: Path) -> None:
    """A clone with its .git folder, .gitattributes and sample hooks."""
    adapter(folder)
    write(folder, ".gitattributes", "*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    write(folder, ".git/HEAD", "ref: refs/heads/main\n")
    write(folder, ".git/config", "[core]\n\tbare = false\n")
    write(folder, ".git/hooks/pre-commit.sample", "#!/bin/sh\nexit 0\n")
    write(folder, ".git/objects/ab/cdef", b"x\x9c\x4b\xca\xc9\x4f\x52\x30\x62\x00\x00\x0b\x1f\x02\x4e")
    write(folder, ".git/lfs/objects/aa/bb/x", (folder / WEIGHTS).read_bytes())


@FAMILY.case(Expect.CLEAN)
def sums(folder: Path) -> None:
    """A folder with right SHA256SUMS."""
    from benchmarks.evasions.provenance import sums as right

    write(adapter(folder), "SHA256SUMS", right(folder))


@FAMILY.case(Expect.CLEAN)
def several_adapters(folder: Path) -> None:
    """An adapter with a second one in a subfolder, as PEFT saves them."""
    adapter(folder)
    adapter(folder / "assistant", lora(seed=2))


@FAMILY.case(Expect.CLEAN)
def single_file(folder: Path) -> Path:
    """The weights file alone, with its configuration beside it, given by name."""
    return adapter(folder) / WEIGHTS


@FAMILY.case(Expect.CLEAN)
def sharded(folder: Path) -> None:
    """A LoRA in two shards with an index."""
    adapter(folder)
    (folder / WEIGHTS).unlink()
    names = sorted(lora())
    shards = {f"adapter_model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    for file, some in shards.items():
        write(folder, file, safetensors({n: lora()[n] for n in some}))
    write(folder, f"{WEIGHTS}.index.json", {"metadata": {"total_size": 1}, "weight_map": {n: f for f, some in shards.items() for n in some}})


@FAMILY.case(Expect.CLEAN)
def bin_alone(folder: Path) -> None:
    """adapter_model.bin alone, as PEFT saved until 2023."""
    data, entries_ = b"", []
    adapter(folder)
    (folder / WEIGHTS).unlink()
    storage = OrderedDict(lora())
    body = b"\x80\x02ccollections\nOrderedDict\n)R("
    for i, (name, array) in enumerate(storage.items()):
        data = array.tobytes()
        entries_.append((f"archive/data/{i}", data))
        rows, columns = array.shape
        body += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(i)) + text("cpu")
        body += b"J" + array.size.to_bytes(4, "little") + b"tQK\x00(" + b"".join(b"J" + n.to_bytes(4, "little") for n in (rows, columns)) + b"t("
        body += b"".join(b"J" + n.to_bytes(4, "little") for n in (columns, 1)) + b"t\x89ccollections\nOrderedDict\n)RtR"
    write(folder, "adapter_model.bin", zipped({"archive/data.pkl": body + b"u.", "archive/byteorder": b"little", **dict(entries_), "archive/version": b"3\n"}))


@FAMILY.case(Expect.CLEAN)
def kohya_file(folder: Path) -> Path:
    """A kohya LoRA file with alphas."""
    return write(folder, "style.safetensors", safetensors(kohya()))


@FAMILY.case(Expect.CLEAN)
def diffusers_file(folder: Path) -> None:
    """A diffusers LoRA, pytorch_lora_weights.safetensors alone."""
    made: dict[str, Array] = {}
    for block in range(2):
        stem = f"unet.down_blocks.{block}.attentions.0.transformer_blocks.0.attn1.to_q"
        made |= {
            f"{stem}.lora.down.weight": lora()[f"{PREFIX}.0.self_attn.q_proj.lora_A.weight"],
            f"{stem}.lora.up.weight": lora()[f"{PREFIX}.0.self_attn.q_proj.lora_B.weight"],
        }
    write(folder, "pytorch_lora_weights.safetensors", safetensors(made))
    write(folder, CARD, "---\nbase_model: example-org/tiny-diffusion\nlicense: apache-2.0\ntags: [lora, text-to-image]\n---\n# Style\n")


@FAMILY.case(Expect.CLEAN)
def gguf_file(folder: Path) -> Path:
    """A GGUF LoRA adapter."""
    return write(folder, "adapter.gguf", gguf())


@FAMILY.each(Expect.CLEAN, {"zip": "lora.zip", "zip-in-a-folder": "nested.zip", "tar": "lora.tar"})
def upload(folder: Path, name: str) -> Path:
    """An adapter uploaded as one archive: {}."""
    files = {f"lora/{k}": v for k, v in entries().items()} if name.startswith("nested") else entries()
    return write(folder, name, tarred(files) if name.endswith("tar") else zipped(files, 8))
