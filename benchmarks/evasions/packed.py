"""Archives inside the folder: zip tricks around a torch pickle, and containers that hide one."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

from benchmarks.evasions.build import adapter, container, safetensors, torch_zip, write, zipped
from benchmarks.evasions.case import Expect, Family
from benchmarks.evasions.payload import call, state

FAMILY = Family("packed")
EVIL = call()
HONEST = state({"layer.weight": (4, 4)})


def tarred(entries: dict[str, bytes]) -> bytes:
    """An uncompressed tar of `entries`, dated 1970."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def seven_zip(name: str, data: bytes) -> bytes:
    """A 7z archive of one file, stored without compression (format: 7zFormat.txt of the LZMA SDK)."""

    def number(value: int) -> bytes:
        return bytes([value]) if value < 0x80 else bytes([0x80 | value >> 8, value & 0xFF])

    size, title = number(len(data)), name.encode("utf-16-le") + b"\0\0"
    streams = b"\x04\x06\x00\x01\x09" + size + b"\x00\x07\x0b\x01\x00\x01\x01\x00\x0c" + size + b"\x00\x08\x0a\x01" + struct.pack("<I", zlib.crc32(data))
    head = b"\x01" + streams + b"\x00\x00\x05\x01\x11" + number(len(title) + 1) + b"\x00" + title + b"\x00\x00"
    start = struct.pack("<QQI", len(data), len(head), zlib.crc32(head))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + data + head


def patched(archive: bytes, local: int, central: int, value: bytes) -> bytes:
    """`archive` with `value` written at an offset into every local header and every central directory entry."""
    data = bytearray(archive)
    for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset : at + offset + len(value)] = value
            at = data.find(signature, at + 4)
    return bytes(data)


@FAMILY.each(Expect.BLOCK, {
    "zip-in-zip": ("backup.zip", zipped({"inner.zip": torch_zip(EVIL)})),
    "tar": ("backup.tar", tarred({"a/optimizer.pt": EVIL})),
    "tar-gz": ("backup.tar.gz", gzip.compress(tarred({"a/optimizer.pt": EVIL}), mtime=0)),
    "tar-in-zip": ("backup.zip", zipped({"inner.tar": tarred({"x": EVIL})}, zipfile.ZIP_DEFLATED)),
    "tar-named-bin": ("adapter_model.bin", tarred({"pickle": EVIL, "tensors": b"", "storages": b""})),
    "zip-named-json": ("special_tokens_map.json", zipped({"data.pkl": EVIL})),
    "jar": ("lib.jar", zipped({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\n", "x.pkl": EVIL})),
})  # fmt: skip
def pickle_in(folder: Path, file: tuple[str, bytes]) -> None:
    """A pickle that runs code inside another archive: {}."""
    write(adapter(folder), *file)


@FAMILY.case(Expect.REVIEW)
def pickle_in_7z(folder: Path) -> None:
    """A torch file packed as 7z under its usual name, which got past the Hub's scanner in 2025."""
    write(adapter(folder), "adapter_model.bin", seven_zip("data.pkl", EVIL))


@FAMILY.case(Expect.REVIEW)
def pickle_in_rar(folder: Path) -> None:
    """A RAR archive, which nothing here can open."""
    write(adapter(folder), "extra.rar", b"Rar!\x1a\x07\x01\x00" + bytes(64))


@FAMILY.case(Expect.BLOCK)
def pickle_under_another_name(folder: Path) -> None:
    """A torch archive whose pickle has no .pkl name; old torch and home-made loaders open it all the same."""
    write(adapter(folder), "adapter_model.bin", torch_zip(EVIL, name="archive/data"))


@FAMILY.case(Expect.BLOCK)
def two_pickles_of_one_name(folder: Path) -> None:
    """Two entries called data.pkl: the honest one is last in the directory, the other is found by loaders that take the first."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for data in (EVIL, HONEST):
            archive.writestr(zipfile.ZipInfo(f"archive/data.pk{'l' if data is HONEST else 'L'}"), data)
    write(adapter(folder), "adapter_model.bin", stream.getvalue().replace(b"data.pkL", b"data.pkl"))


@FAMILY.case(Expect.BLOCK)
def wrong_checksum(folder: Path) -> None:
    """The entry's CRC is wrong: Python's zipfile refuses to read it, torch reads it."""
    write(adapter(folder), "adapter_model.bin", patched(torch_zip(EVIL), 14, 16, b"\xde\xad\xbe\xef"))


@FAMILY.case(Expect.BLOCK)
def marked_as_encrypted(folder: Path) -> None:
    """The entries carry the flag of encryption without being encrypted: zipfile asks for a password, torch reads them."""
    write(adapter(folder), "adapter_model.bin", patched(torch_zip(EVIL), 6, 8, b"\x01\x00"))


@FAMILY.case(Expect.BLOCK)
def names_that_differ(folder: Path) -> None:
    """The directory calls the pickle data.txt, the local header data.pkl."""
    archive = torch_zip(EVIL)
    at = archive.find(b"PK\x01\x02")
    write(adapter(folder), "adapter_model.bin", archive[:at] + archive[at:].replace(b"data.pkl", b"data.txt", 1))


@FAMILY.case(Expect.BLOCK)
def bytes_before_the_archive(folder: Path) -> None:
    """A torch archive behind 100 bytes of text."""
    write(adapter(folder), "adapter_model.bin", b"# weights\n" * 10 + torch_zip(EVIL))


@FAMILY.case(Expect.BLOCK)
def bytes_after_the_archive(folder: Path) -> None:
    """A torch archive followed by 70,000 bytes, more than a reader of the end-of-directory record looks back."""
    write(adapter(folder), "adapter_model.bin", torch_zip(EVIL) + bytes(70_000))


@FAMILY.case(Expect.REFUSE)
def appended_to_the_weights(folder: Path) -> None:
    """A zip that runs code is appended to the safetensors file."""
    write(adapter(folder), "adapter_model.safetensors", (folder / "adapter_model.safetensors").read_bytes() + torch_zip(EVIL))


@FAMILY.case(Expect.BLOCK)
def appended_to_a_picture(folder: Path) -> None:
    """A zip that runs code is appended to a PNG."""
    write(adapter(folder), "figure.png", b"\x89PNG\r\n\x1a\n" + bytes(64) + torch_zip(EVIL))


@FAMILY.case(Expect.BLOCK)
def appended_to_a_second_container(folder: Path) -> None:
    """A safetensors file that is not the adapter's own ends in a zip that runs code."""
    write(adapter(folder), "extra.safetensors", safetensors({}) + torch_zip(EVIL))


@FAMILY.case(Expect.REVIEW)
def bomb_in_the_folder(folder: Path) -> None:
    """A file of 96 MB of zeros packed into 96 KB, packed again."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(96)) + squeezer.flush()
    write(adapter(folder), "log.gz.gz", gzip.compress(data, mtime=0))


@FAMILY.case(Expect.REVIEW)
def pickle_behind_a_bomb(folder: Path) -> None:
    """The pickle that runs code comes after 96 MB of zeros in the same gzip file."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(96)) + squeezer.compress(EVIL) + squeezer.flush()
    write(adapter(folder), "state.pkl.gz", data)


@FAMILY.case(Expect.REVIEW)
def nested_fifty_deep(folder: Path) -> None:
    """A zip in a zip, fifty times, around a pickle that runs code."""
    data = EVIL
    for _ in range(50):
        data = zipped({"a": data})
    write(adapter(folder), "backup.zip", data)


@FAMILY.case(Expect.REVIEW)
def many_entries(folder: Path) -> None:
    """A zip of 30,000 entries, one of which runs code."""
    entries = {f"{i}.txt": b"" for i in range(30_000)} | {"29999.pkl": EVIL}
    write(adapter(folder), "backup.zip", zipped(entries))


@FAMILY.case(Expect.BLOCK)
def entry_without_a_name(folder: Path) -> None:
    """A zip whose first entry has no name, which Python's zipfile fails on, and whose second runs code."""
    write(adapter(folder), "backup.zip", zipped({"": b"x", "a.pkl": EVIL}))


@FAMILY.case(Expect.NOTE)
def second_container_not_utf8(folder: Path) -> None:
    """A second safetensors file whose header is not UTF-8."""
    write(adapter(folder), "extra.safetensors", container(b'{"\xff\xfe": {}}', bytes(8)))
