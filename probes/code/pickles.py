"""Judging what a pickle imports: dangerous, unknown, or what torch and trainers write.

Names are read by our own opcode machine (`scanner.files.pickle_imports`) and judged by three lists: those of picklescan, the standard
library, where what is not known to build a plain value is dangerous, and an allow-list of what trainers leave behind. Neither of the two
well-kept scanners does alone: of 65 dangerous files picklescan raises an alarm on 29 and reads 4 as harmless, because most functions of the standard library
are on nobody's list; fickling raises one on 58 and says of 5 more that it cannot read them, but it also alarms on 95 of 134 honest files, all
trainer arguments among them (`benchmarks/pickles.py`, `benchmarks/results/pickles.json`).
"""

from __future__ import annotations

import io
import logging
import re
import sys
from enum import IntEnum

import msgspec

from scanner.files.pickle_imports import Import, Imports


class Level(IntEnum):
    """How bad a pickle is."""

    EXPECTED = 0
    UNKNOWN = 1
    DANGEROUS = 2


class Judgement(msgspec.Struct, frozen=True):
    """The worst of what a pickle imports and does."""

    level: Level
    names: tuple[str, ...]
    """What makes it so, worst first; not fit to print."""


_EXPECTED = re.compile(
    r"""
    collections\.(OrderedDict|defaultdict|deque|Counter) | datetime\.(datetime|date|time|timedelta|timezone) | decimal\.Decimal | fractions\.Fraction
    | pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path | uuid\.(UUID|SafeUUID) | argparse\.Namespace | types\.SimpleNamespace | re\._compile | _codecs\.encode
    | array\.(array|_array_reconstructor) | random\.Random | logging\.(getLogger|Logger) | (copyreg|copy_reg)\.(_reconstructor|__newobj__)
    | (builtins|__builtin__)\.(set|frozenset|object|bytearray|bytes|complex|range|xrange|slice|int|long|float|bool|str|unicode|list|dict|tuple|getattr)
    | torch\.((BF|B)?[A-Za-z]+\d*x?\d?Storage|device|Size|dtype|Tensor|Generator|bfloat16|float16|half|float32|float|float64|double|int64|int32|int16|int8|uint8|bool
      |float8_e4m3fn|float8_e5m2|strided|contiguous_format|preserve_format|channels_last)
    | torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor|device_tensor_from_numpy|meta_tensor_no_storage)
    | torch\._tensor\._rebuild_from_type_v2 | torch\.(storage\.(Untyped|Typed)Storage|nn\.parameter\.Parameter|serialization\._get_layout|random\.Generator)
    | torch\.distributed\.fsdp\.(api|fully_sharded_data_parallel)\.[A-Z]\w* | torch\.distributed\._tensor\.placement_types\.[A-Z]\w*
    | torch\.optim\.(\w+\.)?(Adam|AdamW|SGD|Adagrad|Adafactor|RMSprop|lr_scheduler\.[A-Z]\w*)
    | numpy\.(ndarray|dtype|bool_|str_|float(16|32|64)|u?int(8|16|32|64)|dtypes\.\w+) | numpy\.(_?core)\.(multiarray\.(_reconstruct|scalar)|numeric\._frombuffer)
    | numpy\._core\.(multiarray\.(_reconstruct|scalar)|numeric\._frombuffer)
    | numpy\.random\._pickle\.__\w+_ctor | numpy\.random\._(mt19937|pcg64|philox|sfc64)\.\w+ | numpy\.random\.bit_generator\.\w+
    | transformers\.(training_args(_seq2seq|_sft)?|trainer_utils|trainer_pt_utils|debug_utils|utils\.generic|integrations\.deepspeed|integrations\.integration_utils
      |generation\.configuration_utils|deepspeed|file_utils|tokenization_utils_base|configuration_utils|models\.\w+\.configuration_\w+)\.[A-Z]\w*
    | accelerate\.(state|utils\.dataclasses|utils\.deepspeed|parallelism_config)\.[A-Z]\w*
    | trl\.(trainer|experimental|scripts)\.([\w.]+\.)?(\w+_config|utils|model_config)\.[A-Z]\w* | peft\.([\w.]+\.)?(config|peft_types)\.[A-Z]\w*
    | (alignment|llamafactory|axolotl|unsloth)\.([\w.]+\.)?(configs?|\w+_args|\w+_config|training_args|trainer)\.[A-Z]\w*(Arguments|Args|Config)
    | omegaconf\.([\w.]+\.)?[A-Z]\w*
    | deepspeed\.(runtime\.fp16\.loss_scaler\.(Dynamic)?LossScaler | runtime\.zero\.config\.ZeroStageEnum | utils\.tensor_fragment\.fragment_address)
    """,
    re.ASCII | re.VERBOSE,
)
"""Names that build a value and do nothing else, and the classes whose objects trainers leave behind."""
_PLAIN_MODULES = frozenset(
    [
        "abc",
        "array",
        "base64",
        "bisect",
        "calendar",
        "cmath",
        "collections",
        "colorsys",
        "contextlib",
        "contextvars",
        "copy",
        "copyreg",
        "dataclasses",
        "datetime",
        "decimal",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "html",
        "ipaddress",
        "itertools",
        "json",
        "locale",
        "logging",
        "math",
        "numbers",
        "operator",
        "pprint",
        "queue",
        "random",
        "reprlib",
        "sched",
        "secrets",
        "statistics",
        "string",
        "struct",
        "textwrap",
        "threading",
        "time",
        "types",
        "typing",
        "unicodedata",
        "uuid",
        "warnings",
        "weakref",
        "zoneinfo",
        "builtins",
        "__builtin__",
        "copy_reg",
    ]
)
"""Modules of the standard library in which a name that is on no list is for review, and not dangerous."""
_OLD_MODULES = frozenset(
    [
        "__builtin__",
        "copy_reg",
        "commands",
        "imp",
        "popen2",
        "cPickle",
        "StringIO",
        "cStringIO",
        "distutils",
        "asynchat",
        "asyncore",
        "smtpd",
        "nt",
        "posix",
        "pip",
        "setuptools",
        "pkg_resources",
        "_pyrepl",
        "lib2to3",
        "crypt",
        "pipes",
        "telnetlib",
        "cgi",
        "cgitb",
        "nntplib",
        "uu",
        "xdrlib",
        "msilib",
        "ossaudiodev",
        "spwd",
        "nis",
        "imghdr",
        "sndhdr",
        "audioop",
        "aifc",
        "chunk",
        "sunau",
        "mailcap",
    ]
)
"""Modules of older Pythons, of other systems, and of every environment."""
_LOADERS = re.compile(
    r"(torch\.(load|hub\..*|jit\..*|package\..*|serialization\..*|utils\.cpp_extension\..*|utils\.model_zoo\..*|classes\..*|ops\..*|_inductor\..*|_dynamo\..*|fx\..*"
    r"|distributed\.(TCPStore|FileStore|HashStore|rpc\..*)|multiprocessing\..*|utils\.bottleneck\..*|utils\.collect_env\..*|testing\..*)"
    r"|numpy\.(load|loadtxt|genfromtxt|fromfile|memmap|f2py\..*|testing\..*|distutils\..*|ctypeslib\..*|lib\.npyio\..*)"
    r"|(joblib|dill|cloudpickle|_pickle|pickle|marshal|shelve|jsonpickle|hickle)\..*|pandas\.(read_\w+|eval|io\..*|core\.computation\..*)"
    r"|(requests|httpx|aiohttp|urllib3|paramiko|fabric|invoke|sh|pexpect|plumbum|psutil|pexpect|websocket|ftplib|boto3|git)(\..*)?"
    r"|transformers\.(pipelines?\..*|pipeline|dynamic_module_utils\..*|utils\.import_utils\..*|agents\..*|tools\..*)|datasets\.load\..*|huggingface_hub\..*|keras\..*|tensorflow\..*"
    r"|yaml\.(load|unsafe_load|full_load|load_all|unsafe_load_all)|jinja2\..*|IPython\..*|nltk\..*|sympy\..*|matplotlib\..*|tkinter\..*|webdriver\..*|selenium\..*)",
    re.ASCII | re.DOTALL,
)
"""Functions of widespread packages that load, run or fetch."""


def judge(found: Imports) -> Judgement:
    """How bad it is that a pickle imports `found.names`, and takes and does what it does."""
    dangerous = {str(n) for n in found.names if level(n) is Level.DANGEROUS}
    unknown = {str(n) for n in found.names if level(n) is Level.UNKNOWN} | found.odd | ({found.problem} if found.problem else set())
    if found.odd and any(str(n) in ("builtins.getattr", "__builtin__.getattr") for n in found.names):
        dangerous |= found.odd
    worst = Level.DANGEROUS if dangerous else Level.UNKNOWN if unknown else Level.EXPECTED
    return Judgement(worst, (*sorted(dangerous), *sorted(unknown - dangerous)))


def level(name: Import) -> Level:
    """How bad it is to import `name`."""
    called = str(name)
    if _EXPECTED.fullmatch(called):
        return Level.EXPECTED
    if called == "unknown.unknown" or _LOADERS.fullmatch(called) or _on_picklescans_list(name):
        return Level.DANGEROUS
    root = name.module.partition(".")[0]
    if (root in sys.stdlib_module_names or root in _OLD_MODULES) and root not in _PLAIN_MODULES:
        return Level.DANGEROUS
    return Level.UNKNOWN


def _on_picklescans_list(name: Import) -> bool:
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes

    logging.getLogger("picklescan").setLevel(logging.CRITICAL)
    if f"{name.module}.{name.name}" in ("functools.partial", "uuid.UUID"):
        return False
    listed = scan_pickle_bytes(io.BytesIO(f"c{name.module}\n{name.name}\n.".encode()), "").globals
    return any(g.safety is SafetyLevel.Dangerous for g in listed)
