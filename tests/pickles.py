"""Pickles that run code, pickles that trainers leave behind, and functions no pickle should import."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from typing import Any


class Calls:
    """Pickles to a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


SYSTEM = Calls(os.system, "id")


def torch_zip(data: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """A torch file whose pickle is `data`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", b"\0" * 16)
    return stream.getvalue()


def stack_global(module: str, name: str) -> bytes:
    """A pickle of protocol 4 that calls `name` of `module`."""
    return b"\x80\x04" + b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name)) + b"\x93\x8c\x02id\x85R."


def text(value: str) -> bytes:
    """The opcode that pushes `value`."""
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def reduced(function: bytes, *arguments: bytes) -> bytes:
    """The opcodes of a call."""
    return function + b"(" + b"".join(arguments) + b"tR"


BENIGN = pickle.dumps(OrderedDict(a=[1.0, 2.0]))
REBUILD = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(ctorch\nFloatStorage\nccollections\nOrderedDict\n)RtR."
GETATTR, SCHEDULER = b"c__builtin__\ngetattr\n", b"ctransformers.trainer_utils\nSchedulerType\n"
TRAINER = (
    b"\x80\x02ctransformers.training_args\nTrainingArguments\n)\x81}(X\x08\x00\x00\x00strategyctransformers.trainer_utils\nIntervalStrategy\n"
    b"X\x02\x00\x00\x00no\x85RX\x06\x00\x00\x00devicectorch\ndevice\nX\x03\x00\x00\x00cpu\x85Rub."
)
LEFT_BY_TRAINERS = {
    "dict": BENIGN,
    "zip": torch_zip(BENIGN),
    "arguments": TRAINER,
    "arguments in a zip": torch_zip(TRAINER),
    "tensor": REBUILD,
    "numbers after it": BENIGN + b"\x99" * 64,
    "the member of an enumeration": b"\x80\x02" + reduced(GETATTR, SCHEDULER, text("LINEAR")) + b".",
}
DANGEROUS = {
    **{f"protocol {p}": pickle.dumps(SYSTEM, p) for p in range(6)},
    "torch zip": torch_zip(pickle.dumps(SYSTEM)),
    "torch zip, packed": torch_zip(pickle.dumps(SYSTEM), zipfile.ZIP_DEFLATED),
    "torch zip at the end of a long pickle": pickle.dumps(SYSTEM) + torch_zip(BENIGN),
    "eval": pickle.dumps(Calls(eval, "1")),
    "names from the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R.",
    "a name that was put together": b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x0bOrderedDict0\x93\x8c\x02id\x85R.",
    "after a benign pickle": BENIGN + pickle.dumps(SYSTEM),
    "code and then garbage": pickle.dumps(SYSTEM, 0)[:-1] + b"\xff\xff",
    "behind a number in another base": b"I0x10\n0cos\nsystem\n(S'id'\ntR.",
    "behind a number in another base, marked": b"\x80\x02L0x10L\n0cos\nsystem\n(S'id'\ntR.",
    "a name in escapes": b"\x80\x04S'\\x6fs'\nVsys\\u0074em\n\x93\x8c\x02id\x85R.",
    "beside a name that is not ASCII": "cx\u00e9\nb\n0cos\nsystem\n(S'id'\ntR.".encode(),
    "a registered extension": b"\x80\x02\x82\x01\x8c\x02id\x85R.",
    "behind a mebibyte of nothing": b"\x80\x04" + b"N0" * 500_000 + pickle.dumps(SYSTEM, 2)[2:],
    "a hidden attribute": b"\x80\x02" + reduced(GETATTR, SCHEDULER, text("__init__")) + b".",
    "a call of an attribute": b"\x80\x02" + reduced(reduced(GETATTR, SCHEDULER, text("mro"))) + b".",
    "an attribute of an attribute": b"\x80\x02" + reduced(GETATTR, reduced(GETATTR, SCHEDULER, text("a")), text("b")) + b".",
    "a call of a result": b"\x80\x02" + reduced(reduced(SCHEDULER, text("linear")), text("x")) + GETATTR + b"0.",
}
FUNCTIONS = (
    "multiprocessing.util.spawnv_passfds", "_posixsubprocess.fork_exec", "importlib.import_module", "zipimport.zipimporter", "imp.load_source", "code.interact",
    "smtplib.SMTP", "ftplib.FTP", "http.client.HTTPConnection", "sqlite3.connect", "dbm.open", "shelve.open", "xmlrpc.client.ServerProxy", "site.addsitedir", "tempfile.mktemp",
    "glob.glob", "signal.signal", "atexit.register", "tarfile.open", "compileall.compile_dir", "pipes.Template", "linecache.getlines", "concurrent.futures.ProcessPoolExecutor",
    "torch.load", "torch.hub.load", "torch.jit.load", "torch.distributed.TCPStore", "numpy.load", "joblib.load", "dill.loads", "pandas.read_pickle", "transformers.pipeline",
    "builtins.exec", "os.system", "subprocess.Popen", "runpy.run_path", "posix.system", "nt.system", "pip.main", "webbrowser.open", "urllib.request.urlopen",
)  # fmt: skip
"""Functions that run, load or reach out."""
