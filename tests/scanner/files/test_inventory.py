from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
from safetensors.numpy import save

from scanner.errors import UnreadableAdapter
from scanner.files import inventory
from scanner.files.adapter import Adapter
from scanner.files.kinds import Kind
from tests.adapters import adapter, tensors


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


KINDS = {
    Kind.SAFETENSORS: save(tensors()),
    Kind.JSON: b' {"a": 1}',
    Kind.PICKLE: pickle.dumps({"a": 1}),
    Kind.TORCH_ZIP: zipped("archive/data.pkl", "archive/data/0"),
    Kind.ARCHIVE: zipped("notes.txt"),
    Kind.EXECUTABLE: b"\x7fELF\x02\x01\x01",
    Kind.SCRIPT: b"#!/bin/sh\nid\n",
    Kind.GGUF: b"GGUF\x03\0\0\0",
    Kind.LFS_POINTER: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    Kind.TEXT: "plain — text".encode(),
    Kind.BINARY: b"\x01\x02\xff\xfe" * 50,
    Kind.EMPTY: b"",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_told_by_its_bytes_and_not_by_its_name(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_bytes(KINDS[kind])
    (found,) = inventory.take(tmp_path)
    assert found.kind is kind
    assert (found.bytes, found.sha256) == (len(KINDS[kind]), hashlib.sha256(KINDS[kind]).hexdigest())


BARE = b"cos\nsystem\n(S'id'\ntR."
PICKLES = {
    "protocol 0": BARE,
    "behind a string that reads as a safetensors length": b"T\x20\0\0\0\0\0\0{" + b" " * 28 + BARE,
    "behind a number that reads as GGUF": b"GGUFxxxxx0" + BARE,
    "behind a number that reads as an executable": b"MZx0" + BARE,
    "before a zip": BARE + zipped("archive/data.pkl"),
    "protocol 4 before a zip": pickle.dumps(print, 4) + zipped("notes.txt"),
    "an instance": b"(S'id'\nios\nsystem\n.",
    "an object": b"(cos\nsystem\nS'id'\no.",
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_in_disguise_is_a_pickle(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(PICKLES[name] + b"\0" * 40)
    assert inventory.take(tmp_path)[0].kind is Kind.PICKLE


@pytest.mark.parametrize("text", ["classes are\nfoo bar\nRan well.", "import os\nR", "(c) me\nAll rights", "I like\nit.", "cats\ndogs\nRR"])
def test_prose_is_not_a_pickle(text: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(text)
    assert inventory.take(tmp_path)[0].kind is Kind.TEXT


def test_links_out_are_listed_and_not_followed_and_links_within_are(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "a"
    (folder / "sub").mkdir(parents=True)
    (folder / "real.txt").write_text("real")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "outdir").symlink_to(tmp_path)
    (folder / "within").symlink_to(folder / "real.txt")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    kinds = {f.path: f.kind for f in inventory.take(folder)}
    assert kinds == {"real.txt": Kind.TEXT, "within": Kind.TEXT, "out": Kind.LINK, "outdir": Kind.LINK, "loop": Kind.LINK, "pipe": Kind.LINK}


def test_blobs_of_a_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    folder.mkdir(parents=True)
    (blobs / "1").write_text("x")
    (folder / "notes.txt").symlink_to("../../blobs/1")
    assert inventory.take(folder)[0].kind is Kind.TEXT


@pytest.mark.parametrize("name", [b"a\nb", b"a\x1b[2J", b"a\xff.bin"])
def test_a_file_name_that_could_forge_a_line_is_refused(name: bytes, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    with pytest.raises(UnreadableAdapter) as error:
        inventory.take(tmp_path)
    assert str(error.value).isprintable()


def test_folder_names_are_held_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "a\nb").mkdir()
    (tmp_path / "a\nb" / "c").write_text("x")
    with pytest.raises(UnreadableAdapter):
        inventory.take(tmp_path)


def test_a_folder_of_many_files_is_refused(tmp_path: Path) -> None:
    for i in range(inventory.MOST_FILES + 1):
        (tmp_path / str(i)).touch()
    with pytest.raises(UnreadableAdapter, match="more than 5,000 files"):
        inventory.take(tmp_path)


def test_the_hash_of_a_folder_changes_with_every_byte_and_every_name(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    first = Adapter.open(folder).sha256
    assert Adapter.open(adapter(tmp_path / "b")).sha256 == first
    (folder / "notes.txt").write_text("x")
    second = Adapter.open(folder).sha256
    (folder / "notes.txt").rename(folder / "other.txt")
    assert len({first, second, Adapter.open(folder).sha256}) == 3


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [("adapter_model.bin", b"\x80\x04.", "a pickle is never loaded"), ("adapter_model.safetensors", KINDS[Kind.LFS_POINTER], "Git LFS pointer")],
)
def test_weights_that_are_not_there_are_explained(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").unlink()
    (folder / name).write_bytes(data)
    with pytest.raises(UnreadableAdapter, match=says):
        Adapter.open(folder)


def test_weights_that_are_a_link_out_are_not_followed(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "adapter_model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnreadableAdapter, match="not followed"):
        Adapter.open(folder)
