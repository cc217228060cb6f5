"""Adapters uploaded as one archive: entries that leave the folder, bombs, and archives that two readers unpack differently."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from benchmarks.evasions.build import adapter, torch_zip, write, zipped
from benchmarks.evasions.case import Expect, Family
from benchmarks.evasions.packed import patched, tarred
from benchmarks.evasions.payload import call

FAMILY = Family("uploads")


def entries() -> dict[str, bytes]:
    """The files of the honest adapter, by name."""
    with tempfile.TemporaryDirectory() as folder:
        return {p.name: p.read_bytes() for p in sorted(adapter(Path(folder)).iterdir())}


def with_infos(*extra: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    """A zip of the honest adapter and further entries, as they are."""
    stream = io.BytesIO(zipped(entries()))
    with zipfile.ZipFile(stream, "a") as archive:
        for info, data in extra:
            archive.writestr(info, data)
    return stream.getvalue()


def linked(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    """A zip entry that is a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def tar_with(*extra: tarfile.TarInfo) -> bytes:
    """A tar of the honest adapter and further entries without data."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in entries().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info, io.BytesIO(bytes(info.size)) if info.isreg() else None)
    return stream.getvalue()


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    """A tar entry."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def bomb() -> bytes:
    """A zip with one entry of 256 MB of zeros, 256 KB packed."""
    squeezer, block = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(1 << 20)
    check, packed = 0, b""
    for _ in range(256):
        packed += squeezer.compress(block)
        check = zlib.crc32(block, check)
    packed += squeezer.flush()
    size, name = 256 << 20, b"adapter_model.safetensors"
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, check, len(packed), size, len(name), 0)
    local = b"PK\x03\x04" + fields + name + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    return local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def overlapping() -> bytes:
    """A zip whose thousand directory entries all point at one packed megabyte."""
    archive = zipped({"0000": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
    at, end = archive.find(b"PK\x01\x02"), archive.rfind(b"PK\x05\x06")
    central = b"".join(archive[at:end].replace(b"0000", f"{i:04}".encode()) for i in range(1000))
    return archive[:at] + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1000, 1000, len(central), at, 0)


def gzip_bomb() -> bytes:
    """A .tar.gz whose tar holds one file of 256 MB of zeros."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    info = tar_info("adapter_model.safetensors", size=256 << 20)
    return squeezer.compress(info.tobuf()) + b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(256)) + squeezer.flush()


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "traversal": ("a.zip", lambda: with_infos((zipfile.ZipInfo("../../evil.txt"), b"x"))),
    "absolute": ("a.zip", lambda: with_infos((zipfile.ZipInfo("/srv/evil.txt"), b"x"))),
    "drive-letter": ("a.zip", lambda: with_infos((zipfile.ZipInfo("C:/evil.txt"), b"x"))),
    "backslashes": ("a.zip", lambda: with_infos((zipfile.ZipInfo("..\\..\\evil.txt"), b"x"))),
    "link": ("a.zip", lambda: with_infos(linked("tokenizer.json", "/etc/passwd"))),
    "file-through-a-link": ("a.zip", lambda: with_infos(linked("d", "/srv"), (zipfile.ZipInfo("d/evil.txt"), b"x"))),
    "name-twice": (
        "a.zip",
        lambda: with_infos((zipfile.ZipInfo("adapter_model.safetensorz"), entries()["adapter_model.safetensors"][:-4] + b"\1\1\1\1")).replace(
            b"safetensorz", b"safetensors"
        ),
    ),
    "file-and-folder": ("a.zip", lambda: with_infos((zipfile.ZipInfo("README.md/x"), b"x"))),
    "encrypted": ("a.zip", lambda: patched(zipped(entries()), 6, 8, b"\x01\x00")),
    "wrong-checksum": ("a.zip", lambda: patched(zipped(entries()), 14, 16, b"\xde\xad\xbe\xef")),
    "method-unknown": ("a.zip", lambda: patched(zipped(entries()), 8, 10, b"\x63\x00")),
    "newline": ("a.zip", lambda: with_infos((zipfile.ZipInfo("x\nPASS.txt"), b"x"))),
    "truncated": ("a.zip", lambda: zipped(entries())[:-60]),
    "bomb": ("a.zip", bomb),
    "overlapping": ("a.zip", overlapping),
    "entries-30000": ("a.zip", lambda: zipped({f"{i}.txt": b"" for i in range(30_000)})),
    "adapter-in-a-zip-in-a-zip": ("a.zip", lambda: zipped({"inner.zip": zipped(entries())})),
    "name-empty": ("a.zip", lambda: zipped(entries() | {"": b"x"})),
    "empty": ("a.zip", lambda: zipped({})),
    "tar-traversal": ("a.tar", lambda: tar_with(tar_info("../../evil.txt"))),
    "tar-absolute": ("a.tar", lambda: tar_with(tar_info("/srv/evil.txt"))),
    "tar-link": ("a.tar", lambda: tar_with(tar_info("tokenizer.json", tarfile.SYMTYPE, "/etc/passwd"))),
    "tar-hard-link": ("a.tar", lambda: tar_with(tar_info("tokenizer.json", tarfile.LNKTYPE, "../../etc/passwd"))),
    "tar-device": ("a.tar", lambda: tar_with(tar_info("tokenizer.json", tarfile.CHRTYPE))),
    "tar-pipe": ("a.tar", lambda: tar_with(tar_info("tokenizer.json", tarfile.FIFOTYPE))),
    "tar-truncated": ("a.tar", lambda: tarred(entries())[:3000]),
    "tar-gz-bomb": ("a.tar.gz", gzip_bomb),
    "tar-gz-truncated": ("a.tar.gz", lambda: gzip.compress(tarred(entries()), mtime=0)[:-20]),
    "tar-long-name": ("a.tar", lambda: tar_with(tar_info("d/" * 2000 + "x"))),
}


@FAMILY.each(Expect.REFUSE, HOSTILE)
def archive(folder: Path, file: tuple[str, Callable[[], bytes]]) -> Path:
    """An uploaded archive that unpacks to more, or elsewhere, than it should: {}."""
    return write(folder, file[0], file[1]())


@FAMILY.each(Expect.BLOCK, {
    "zip": ("a.zip", lambda: zipped(entries() | {"optimizer.pt": call()})),
    "tar-gz": ("a.tar.gz", lambda: gzip.compress(tarred(entries() | {"optimizer.pt": torch_zip(call())}), mtime=0)),
    "zip-in-a-folder": ("a.zip", lambda: zipped({f"adapter/{k}": v for k, v in (entries() | {"optimizer.pt": call()}).items()})),
})  # fmt: skip
def with_a_pickle(folder: Path, file: tuple[str, Callable[[], bytes]]) -> Path:
    """An uploaded archive whose adapter comes with a pickle that runs code: {}."""
    return write(folder, file[0], file[1]())
