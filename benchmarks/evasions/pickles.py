"""Pickles that run code when they are loaded: every way of writing one, under names a loader or a person would open."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np

from benchmarks.evasions.build import WEIGHTS, adapter, torch_zip, write, zipped
from benchmarks.evasions.case import Expect, Family
from benchmarks.evasions.payload import call, state, text

FAMILY = Family("pickles")
BENIGN = pickle.dumps({"epoch": 3, "loss": [1.5, 1.25]}, 2)
EVIL = call()


@FAMILY.each(Expect.BLOCK, {str(p): p for p in range(6)})
def protocol(folder: Path, number: int) -> None:
    """A raw pickle of protocol {} as adapter_model.bin."""
    write(adapter(folder), "adapter_model.bin", call(protocol=number))


@FAMILY.case(Expect.BLOCK)
def bin_alone(folder: Path) -> None:
    """adapter_model.bin is a pickle that runs code, and there is no safetensors file."""
    write(adapter(folder), "adapter_model.bin", EVIL)
    (folder / WEIGHTS).unlink()


@FAMILY.case(Expect.BLOCK)
def vllm_pt(folder: Path) -> None:
    """adapter_model.pt, which vLLM opens, beside an honest safetensors file."""
    write(adapter(folder), "adapter_model.pt", torch_zip(EVIL))


@FAMILY.each(Expect.BLOCK, {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED})
def torch_archive(folder: Path, method: int) -> None:
    """A torch.save archive, {}, whose pickle runs code."""
    write(adapter(folder), "adapter_model.bin", torch_zip(EVIL, method))


@FAMILY.each(Expect.BLOCK, {n.replace("/", "-").replace(".", "-").lower(): n for n in (
    "notes.txt", "vocab.json", "LICENSE", "figure.png", "checkpoint-1/optimizer.pt", "events.out.tfevents", "data.npy", "model.safetensors", "weights",
)})  # fmt: skip
def named(folder: Path, name: str) -> None:
    """The pickle lies under the name {}."""
    write(adapter(folder), name, EVIL)


@FAMILY.case(Expect.BLOCK)
def behind_a_real_state(folder: Path) -> None:
    """A second pickle that runs code follows an honest one in training_args.bin."""
    write(adapter(folder), "training_args.bin", BENIGN + EVIL)


@FAMILY.case(Expect.BLOCK)
def inside_a_real_state(folder: Path) -> None:
    """A torch.save archive of tensors with one more item, which runs code."""
    whole = state({"layer.weight": (4, 4)})
    write(adapter(folder), "adapter_model.bin", torch_zip(whole[:-2] + text("extra") + EVIL[2:-1] + whole[-2:]))


@FAMILY.case(Expect.BLOCK)
def within_bytes(folder: Path) -> None:
    """The pickle that runs code is a byte string inside a pickle that calls pickle.loads."""
    inner = call()
    write(adapter(folder), "optimizer.pt", b"\x80\x03cpickle\nloads\nC" + bytes([len(inner)]) + inner + b"\x85R.")


@FAMILY.case(Expect.BLOCK)
def broken_after_the_call(folder: Path) -> None:
    """The opcodes break off after the call: a parser that wants a whole pickle sees none, the unpickler has run it."""
    write(adapter(folder), "adapter_model.bin", EVIL[:-1] + b"\xff\xfe garbage")


@FAMILY.case(Expect.BLOCK)
def archive_broken_after_the_call(folder: Path) -> None:
    """The same inside a torch.save archive."""
    write(adapter(folder), "adapter_model.bin", torch_zip(EVIL[:-1] + b"\xff\xfe garbage"))


@FAMILY.each(Expect.BLOCK, {
    "memo": b"\x80\x04" + text("os") + b"\x94" + text("system") + b"\x940h\x00h\x01\x93" + text("echo") + b"\x85R.",
    "put-get": b"\x80\x02" + text("os") + b"q\x070" + text("system") + b"q\x080h\x07h\x08\x93" + text("echo") + b"\x85R.",
    "dup": b"\x80\x04" + text("os") + b"2" + text("system") + b"\x93" + text("echo") + b"\x85R.",
    "pop-between": b"\x80\x04" + text("os") + text("system") + text("OrderedDict") + b"0\x93" + text("echo") + b"\x85R.",
    "escaped-string": b"\x80\x04S'\\x6f\\x73'\nVsy\\u0073tem\n\x93" + text("echo") + b"\x85R.",
    "short-bytes-noise": b"\x80\x04" + text("os") + text("system") + b"C\x04junk0\x93" + text("echo") + b"\x85R.",
    "utf8-length-8": b"\x80\x04\x8d" + (2).to_bytes(8, "little") + b"os" + text("system") + b"\x93" + text("echo") + b"\x85R.",
    "frame": b"\x80\x04\x95" + (30).to_bytes(8, "little") + text("os") + text("system") + b"\x93" + text("echo") + b"\x85R.",
})  # fmt: skip
def names_on_the_stack(folder: Path, data: bytes) -> None:
    """STACK_GLOBAL takes its names from where a simple reader does not look ({})."""
    write(adapter(folder), "training_args.bin", data)


@FAMILY.each(Expect.BLOCK, {
    "inst": b"(S'echo'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'echo'\no.",
    "newobj": b"\x80\x02cos\nsystem\n" + text("echo") + b"\x85\x81.",
    "newobj-ex": b"\x80\x04" + text("os") + text("system") + b"\x93" + text("echo") + b"\x85}\x92.",
    "build": b"\x80\x02ccollections\nOrderedDict\n)R}" + text("__setstate__") + b"cos\nsystem\nsb" + text("echo") + b"b.",
    "odd-number": b"I0x10\n0cos\nsystem\n(S'echo'\ntR.",
    "no-stop": b"cos\nsystem\n(S'echo'\ntR",
    "long-prologue": b"\x80\x04" + b"N0" * 300_000 + EVIL[2:],
})  # fmt: skip
def opcode(folder: Path, data: bytes) -> None:
    """The call is made another way than by REDUCE on a GLOBAL, or hidden behind other opcodes ({})."""
    write(adapter(folder), "scheduler.pt", data)


@FAMILY.case(Expect.REVIEW)
def extension_registry(folder: Path) -> None:
    """The function is named by a number in copyreg's extension registry."""
    write(adapter(folder), "optimizer.pt", b"\x80\x02\x82\x01" + text("echo") + b"\x85R.")


@FAMILY.case(Expect.REVIEW)
def name_made_by_a_call(folder: Path) -> None:
    """The module's name is the result of a call, so it is written nowhere."""
    name = b"c_codecs\ndecode\n" + text("bf") + text("rot13") + b"\x86R"
    write(adapter(folder), "optimizer.pt", b"\x80\x04" + name + text("system") + b"\x93" + text("echo") + b"\x85R.")


@FAMILY.case(Expect.BLOCK)
def getattr_on_a_module(folder: Path) -> None:
    """Getattr on the module that __import__ returns."""
    module = b"cbuiltins\n__import__\n" + text("os") + b"\x85R"
    write(adapter(folder), "optimizer.pt", b"\x80\x02cbuiltins\ngetattr\n" + module + text("system") + b"\x86R" + text("echo") + b"\x85R.")


@FAMILY.case(Expect.REVIEW)
def getattr_chain_from_a_trainer_class(folder: Path) -> None:
    """Getattr from a transformers class to its method's __globals__, and from there to os: only honest names are imported."""
    chain = b"cbuiltins\ngetattr\ncbuiltins\ngetattr\nctransformers.training_args\nTrainingArguments\n" + text("__init__") + b"\x86R"
    chain += text("__globals__") + b"\x86R"
    write(adapter(folder), "training_args.bin", b"\x80\x02" + chain + b"0" + chain + b".")


@FAMILY.each(Expect.REVIEW, {
    "os-through-transformers": ("transformers.utils", "logging.os.system"),
    "class-through-accelerate": ("accelerate.utils", "other.os.system"),
    "builtins-through-torch": ("torch.serialization", "os.system"),
})  # fmt: skip
def dotted_name(folder: Path, names: tuple[str, str]) -> None:
    """A dotted attribute walks from a trainer's module to os.system ({})."""
    write(adapter(folder), "training_args.bin", call(*names, protocol=4))


@FAMILY.each(Expect.REVIEW, {
    f"{module}.{name}".replace(".", "-").replace("_", "-").strip("-"): (module, name) for module, name in (
        ("timeit", "timeit"), ("runpy", "run_path"), ("pydoc", "pipepager"), ("cProfile", "run"), ("profile", "Profile.run"), ("pdb", "run"),
        ("numpy.testing._private.utils", "runstring"), ("torch.hub", "load"), ("torch", "load"), ("torch.package", "PackageImporter"),
        ("code", "InteractiveInterpreter"), ("webbrowser", "open"), ("smtplib", "SMTP"), ("ctypes", "CDLL"), ("logging.config", "fileConfig"),
        ("lib2to3.pgen2.grammar", "Grammar.loadGrammar"), ("idlelib.pyshell", "ModifiedInterpreter.runcode"), ("doctest", "debug_script"),
        ("ensurepip", "_run_pip"), ("torch.utils.bottleneck.__main__", "run_cprofile"), ("transformers.utils.hub", "cached_file"),
        ("functools", "partial"), ("operator", "methodcaller"), ("shutil", "rmtree"), ("importlib", "import_module"), ("joblib", "load"),
        ("trl.extras.vllm_client", "VLLMClient"), ("site", "addsitedir"), ("uuid", "_popen"),
    )
})  # fmt: skip
def gadget(folder: Path, names: tuple[str, str]) -> None:
    """A function that runs, loads or fetches something and is on few lists: {}."""
    write(adapter(folder), "rng_state.pth", call(*names, protocol=4))


COMPRESSED = {
    "gzip": ("optimizer.pt.gz", gzip.compress(EVIL, mtime=0)),
    "bzip2": ("optimizer.pt.bz2", bz2.compress(EVIL)),
    "xz": ("optimizer.pt.xz", lzma.compress(EVIL)),
    "lzma": ("optimizer.lzma", lzma.compress(EVIL, lzma.FORMAT_ALONE)),
    "zlib-joblib": ("scaler.joblib", zlib.compress(EVIL)),
    "gzip-renamed": ("vocab.txt", gzip.compress(EVIL, mtime=0)),
    "gzip-twice": ("optimizer.pt.gz.gz", gzip.compress(gzip.compress(EVIL, mtime=0), mtime=0)),
}


@FAMILY.each(Expect.BLOCK, COMPRESSED)
def compressed(folder: Path, file: tuple[str, bytes]) -> None:
    """The pickle is compressed ({}), as joblib and pandas open it without being asked."""
    write(adapter(folder), *file)


@FAMILY.case(Expect.BLOCK)
def joblib_raw(folder: Path) -> None:
    """An uncompressed joblib file: a pickle with numpy wrappers and one call more."""
    write(adapter(folder), "classifier.joblib", b"\x80\x04" + b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x810" + EVIL[2:])


def object_array(data: bytes) -> bytes:
    """A .npy file whose object array is the pickle `data`."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    return stream.getvalue() + data


@FAMILY.case(Expect.BLOCK)
def numpy_objects(folder: Path) -> None:
    """A .npy file holding an object array, which is a pickle."""
    write(adapter(folder), "embeddings.npy", object_array(EVIL))


@FAMILY.case(Expect.BLOCK)
def numpy_objects_in_an_npz(folder: Path) -> None:
    """The same inside an .npz."""
    write(adapter(folder), "embeddings.npz", zipped({"a.npy": object_array(EVIL)}))


@FAMILY.case(Expect.BLOCK)
def checkpoint_subfolders(folder: Path) -> None:
    """The pickle lies four folders down, among the leftovers of a trainer."""
    write(adapter(folder), "runs/a/b/c/rng_state_0.pth", torch_zip(EVIL))


@FAMILY.case(Expect.BLOCK)
def in_a_git_folder(folder: Path) -> None:
    """The pickle lies in a folder called .git, which scanners leave out."""
    write(adapter(folder), ".git/lfs/objects/optimizer.pt", EVIL)


@FAMILY.case(Expect.BLOCK)
def shards_of_pickles(folder: Path) -> None:
    """An index beside the honest weights names two .bin shards; the second runs code."""
    write(adapter(folder), "adapter_model-00001-of-00002.bin", torch_zip(state({"a": (2, 2)})))
    write(folder, "adapter_model-00002-of-00002.bin", torch_zip(EVIL))
    names = {"a": "adapter_model-00001-of-00002.bin", "b": "adapter_model-00002-of-00002.bin"}
    write(folder, "adapter_model.bin.index.json", {"metadata": {"total_size": 32}, "weight_map": names})
