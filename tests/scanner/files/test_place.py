from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from scanner.errors import UnreadableAdapter
from scanner.files.adapter import Adapter
from scanner.files.kinds import Kind
from scanner.files.weights import Irregularity
from tests.adapters import adapter, tensors
from tests.torch_files import archive, saved

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def refused(path: Path) -> str:
    with pytest.raises(UnreadableAdapter) as error:
        Adapter.open(path)
    assert str(error.value).isprintable()
    return str(error.value)


def test_a_folder_that_holds_one_adapter_below_is_that_adapter_and_all_its_files(tmp_path: Path) -> None:
    adapter(tmp_path / "run" / "checkpoint-10")
    (tmp_path / "run" / "train.log").write_text("x")
    opened = Adapter.open(tmp_path / "run")
    assert opened.folder == tmp_path / "run" / "checkpoint-10"
    assert opened.weights_files == ("checkpoint-10/adapter_model.safetensors",)
    assert {f.path for f in opened.files} == {"train.log", "checkpoint-10/adapter_config.json", "checkpoint-10/adapter_model.safetensors"}


def test_several_adapters_are_a_choice_and_the_named_one_is_opened(tmp_path: Path) -> None:
    for step in (10, 20):
        adapter(tmp_path / f"checkpoint-{step}")
    assert "holds 2 adapters; give one of them: checkpoint-10, checkpoint-20" in refused(tmp_path)
    assert Adapter.open(tmp_path / "checkpoint-20").folder.name == "checkpoint-20"


def test_the_main_adapter_comes_before_its_checkpoints(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    adapter(folder / "checkpoint-1")
    opened = Adapter.open(folder)
    assert opened.weights_files == ("adapter_model.safetensors",)
    assert "checkpoint-1/adapter_model.safetensors" in {f.path for f in opened.files}


def test_the_weights_file_stands_for_its_folder(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "stale.bin").write_bytes(saved({"x": np.ones(1, np.float32)}))
    assert Adapter.open(folder / "adapter_model.safetensors").sha256 == Adapter.open(folder).sha256
    assert list(Adapter.open(folder / "stale.bin").weights.tensors) == ["x"]


def test_no_adapter_anywhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert "no adapter_config.json and no weights" in refused(tmp_path)
    assert "no such file or folder" in refused(tmp_path / "nowhere")


def test_a_broken_configuration_without_weights_is_both(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "adapter_config.json").write_text('{"peft_type": ')
    told = refused(tmp_path)
    assert "no adapter_model.safetensors or adapter_model.bin; adapter_config.json: not JSON" in told


def test_arrays_of_numpy_are_named_for_what_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "adapters.npz", **{"model.layers.0.self_attn.q_proj.lora_a": np.ones((8, 2), np.float32)})
    assert "NumPy's arrays, as MLX once wrote adapters" in refused(tmp_path / "adapters.npz")


def test_a_folder_of_bare_weights_is_a_choice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_file({"lora_unet_q.lora_down.weight": np.ones((1, 2), np.float32)}, tmp_path / f"{name}.safetensors")
    assert "2 weights files; give one of them: one.safetensors, two.safetensors" in refused(tmp_path)
    assert [f.path for f in Adapter.open(tmp_path / "one.safetensors").files] == ["one.safetensors"]


def test_what_trainers_leave_beside_bare_weights_is_not_a_choice(tmp_path: Path) -> None:
    save_file({"lora_unet_q.lora_down.weight": np.ones((1, 2), np.float32)}, tmp_path / "x.safetensors")
    (tmp_path / "training_args.bin").write_bytes(archive(pickle.dumps({"lr": 1e-3}, 2)))
    assert Adapter.open(tmp_path).weights_files == ("x.safetensors",)


def cached(cache: Path, made: Path) -> Path:
    """The folder that huggingface_hub makes of the adapter `made`."""
    for folder in ("blobs", "refs/refs/pr", f"snapshots/{COMMIT}", f".no_exist/{COMMIT}"):
        (cache / folder).mkdir(parents=True)
    for ref in ("main", "refs/pr/1"):
        (cache / "refs" / ref).write_text(COMMIT)
    (cache / ".no_exist" / COMMIT / "chat_template.jinja").touch()
    for file in sorted(made.iterdir()):
        blob = hashlib.sha256(file.read_bytes()).hexdigest()
        file.rename(cache / "blobs" / blob)
        (cache / "snapshots" / COMMIT / file.name).symlink_to(f"../../blobs/{blob}")
    return cache


def test_a_repository_of_the_hugging_face_cache_is_its_snapshot(tmp_path: Path) -> None:
    cache = cached(tmp_path / "models--org--name", adapter(tmp_path / "a"))
    for given in (cache, cache / "snapshots" / COMMIT, cache / "snapshots" / COMMIT / "adapter_model.safetensors"):
        opened = Adapter.open(given)
        assert set(opened.weights.tensors) == set(tensors())
        assert {f.path for f in opened.files} == {"adapter_config.json", "adapter_model.safetensors"}
    (cache / "snapshots" / "def").mkdir()
    assert "holds 2 snapshots" in refused(cache)


def test_a_snapshot_is_scanned_from_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cached(tmp_path / "models--org--name", adapter(tmp_path / "a")) / "snapshots" / COMMIT)
    assert Kind.LINK not in {f.kind for f in Adapter.open(".").files}


def test_an_adapter_that_has_a_caches_folders_is_scanned_as_it_stands(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "blobs").mkdir()
    adapter(folder / "snapshots" / "abc", tensors(layers=1))
    opened = Adapter.open(folder)
    assert opened.folder == opened.root == folder
    assert set(opened.weights.tensors) == set(tensors())
    assert "snapshots/abc/adapter_model.safetensors" in {f.path for f in opened.files}


@pytest.mark.parametrize(
    "more",
    ["optimizer.pt", "HEAD", "hooks/post-checkout", "blobs/x.py", "blobs/.git/config", "refs/evil.pkl", f".no_exist/{COMMIT}/run.sh", "snapshots/README.md"],
)
def test_a_cache_that_holds_anything_more_is_scanned_whole(more: str, tmp_path: Path) -> None:
    cache = cached(tmp_path / "models--org--name", adapter(tmp_path / "a"))
    (cache / more).parent.mkdir(exist_ok=True)
    (cache / more).write_text("cos\nsystem\n")
    opened = Adapter.open(cache)
    assert opened.root == cache
    assert more in {f.path for f in (*opened.files, *opened.aside.files)}
    assert f"snapshots/{COMMIT}/adapter_model.safetensors" in {f.path for f in opened.files}


@pytest.mark.parametrize("linked", ["snapshots", "blobs", f"snapshots/{COMMIT}"])
def test_a_cache_of_links_is_no_cache(linked: str, tmp_path: Path) -> None:
    cache = cached(tmp_path / "models--org--name", adapter(tmp_path / "a"))
    (cache / linked).rename(tmp_path / "elsewhere")
    (cache / linked).symlink_to(tmp_path / "elsewhere")
    assert linked in {f.path for f in Adapter.look(cache).files if f.kind is Kind.LINK}


def test_a_snapshots_blobs_are_those_of_its_own_cache(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    folder = adapter(tmp_path / "up" / "snapshots" / "abc")
    (tmp_path / "up" / "blobs").symlink_to(tmp_path)
    (folder / "notes.txt").symlink_to("../../blobs/secret")
    assert ("notes.txt", Kind.LINK) in {(f.path, f.kind) for f in Adapter.open(folder).files}


def sharded(folder: Path, end: str = "safetensors", index: bool = True) -> Path:
    """The adapter of `tensors()` in two shards."""
    adapter(folder)
    (folder / "adapter_model.safetensors").unlink()
    names = sorted(tensors())
    where = {}
    for number, part in enumerate((names[:1], names[1:]), 1):
        file = f"adapter_model-0000{number}-of-00002.{end}"
        values = {n: tensors()[n] for n in part}
        save_file(values, folder / file) if end == "safetensors" else (folder / file).write_bytes(saved(values))
        where |= dict.fromkeys(part, file)
    if index:
        (folder / f"adapter_model.{end}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder


@pytest.mark.parametrize("end", ["safetensors", "bin"])
@pytest.mark.parametrize("index", [True, False])
def test_shards_are_one_adapter(end: str, index: bool, tmp_path: Path) -> None:
    opened = Adapter.open(sharded(tmp_path / "a", end, index))
    assert len(opened.weights_files) == 2
    assert opened.weights.flaws == ()
    assert set(opened.weights.tensors) == set(tensors())
    for name, value in tensors().items():
        np.testing.assert_array_equal(opened.weights.read(name), value)


@pytest.mark.parametrize("end", ["safetensors", "bin", "pt"])
def test_an_index_that_is_no_file_of_the_folder_is_not_read(end: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").unlink()
    index = folder / f"adapter_model.{end}.index.json"
    (tmp_path / "secret.json").write_text('{"weight_map": {"x": "TOPSECRET"}}')
    for target in (tmp_path / "secret.json", Path("/dev/ptmx"), Path("/dev/stdin"), Path("/dev/zero"), tmp_path, tmp_path / "nowhere"):
        index.symlink_to(target)
        assert refused(folder) == f"{index.name}: a link out of the folder or not a regular file, which is not read"
        index.unlink()
    os.mkfifo(index)
    assert "not a regular file" in refused(folder)


def test_a_missing_shard_is_said(tmp_path: Path) -> None:
    for name, index in (("a", True), ("b", False)):
        folder = sharded(tmp_path / name, index=index)
        (folder / "adapter_model-00002-of-00002.safetensors").unlink()
        assert "not here" in refused(folder) or "missing" in refused(folder)


def test_an_index_that_lies_is_refused_and_one_that_leaves_out_is_a_flaw(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "a")
    index = folder / "adapter_model.safetensors.index.json"
    where = json.loads(index.read_text())["weight_map"]
    first = sorted(where)[0]
    for lie in ({"weight_map": where | {"extra": where[first]}}, {"weight_map": where | {first: "adapter_model-00002-of-00002.safetensors"}},
                {"weight_map": {first: "../x.safetensors"}}, {"weight_map": []}, {}, {"weight_map": {first: 1}}):  # fmt: skip
        index.write_text(json.dumps(lie))
        refused(folder)
    index.write_text(json.dumps({"weight_map": {n: f for n, f in where.items() if n != sorted(where)[-1]}}))
    assert [f.kind for f in Adapter.open(folder).weights.flaws] == [Irregularity.AMBIGUOUS]


def test_a_tensor_in_two_shards_is_a_flaw(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "a", index=False)
    shutil.copy(folder / "adapter_model-00002-of-00002.safetensors", folder / "adapter_model-00001-of-00002.safetensors")
    assert Irregularity.AMBIGUOUS in {f.kind for f in Adapter.open(folder).weights.flaws}
