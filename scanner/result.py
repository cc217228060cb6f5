"""The result of one scan: everything a report needs, versioned by a JSON Schema.

`schema_version` counts breaking changes: a field that goes, or that means something else. A field that is added has a default and
changes nothing: older files are read with the default, and older readers leave out what they do not know. A reader refuses a version
that is not its own. `unmask schema` prints the schema; docs/result.schema.json is the one of this version.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from scanner import cache
from scanner.errors import ScanError
from scanner.files.inventory import File
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.judge import JudgeIdentity
from scanner.measurement import Coverage, Measurement, Table
from scanner.prompts.set import PromptSource
from scanner.rule import Rule
from scanner.verdict import Verdict

SCHEMA_VERSION = 1
LARGEST = 64 * 1024 * 1024


class AdapterIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which adapter was scanned; names come from its files and are untrusted."""

    name: str
    """Folder name."""
    path: str
    """The path as it was given to the scan."""
    sha256: str
    method: str
    """`LoRA`, `DoRA`, `IA3`, …: a row of docs/methods.md, or the configuration's peft_type where it is not understood."""
    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    modules: int
    """Modules that differ from the base."""
    parameters: int
    bytes: int
    declared_base: str
    licence: str = ""
    """As the card declares it."""
    datasets: tuple[str, ...] = ()
    """Training data as the card declares it."""


class BaseIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which base it was measured on."""

    name: str
    sha256: str
    architecture: str
    parameters: int


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The combination a verdict is about; `sha256` names it."""

    sha256: str
    adapter: AdapterIdentity
    base: BaseIdentity | None = None
    dtype: str = ""
    device: str = ""
    system_prompt: str | None = None
    chat_template: str | None = None
    """The template's text where the user gave one; None stands for the base's own."""
    chat_template_sha256: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One scan, whole. Equal inputs, seed and versions give equal results, `timings` aside."""

    schema_version: int = SCHEMA_VERSION
    tool: str
    """`unmask` and its version."""
    profile: str
    seed: int
    scope: Scope
    verdict: Verdict
    findings: tuple[Finding, ...]
    """Worst first."""
    measurements: tuple[Measurement, ...]
    tables: tuple[Table, ...]
    coverage: tuple[Coverage, ...]
    rules: tuple[Rule, ...]
    """Declarations of the rules that were raised."""
    files: tuple[File, ...]
    environment: dict[str, str]
    prompt_sets: tuple[PromptSource, ...] = ()
    """Sets of requests the user gave."""
    judge: JudgeIdentity | None = None
    """The model that said what is a refusal; None stands for the installed judge of opening words."""
    timings: dict[str, float]
    """Seconds a stage took."""

    def rule(self, id: str) -> Rule:
        """The declaration of a raised rule."""
        return next(r for r in self.rules if r.id == id)

    def table(self, id: str) -> Table | None:
        """The table `id`, or None."""
        return next((t for t in self.tables if t.id == id), None)

    def measurement(self, id: str) -> Measurement | None:
        """The measurement `id`, or None."""
        return next((m for m in self.measurements if m.id == id), None)


def dumps(result: Result) -> bytes:
    """The result as indented JSON. Raises ValueError for a non-finite number, which JSON cannot hold."""
    return msgspec.json.format(msgspec.json.encode(result, order="deterministic"), indent=2) + b"\n"


def load(path: Path | str) -> Result:
    """Read a result.json. Raises ScanError with one line when it is missing, too large, or does not fit the schema."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ScanError(f"{printable(path)}: not a file")
        with Path(path).open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise ScanError(f"{printable(path)}: cannot be read ({error.strerror})") from None
    return loads(data, printable(path))


def loads(data: bytes, where: str) -> Result:
    """The result in `data`, the contents of a result.json; `where` names it in the message of a ScanError."""
    if len(data) > LARGEST:
        raise ScanError(f"{where}: over {LARGEST:,} bytes")
    try:
        result = msgspec.json.decode(data, type=Result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScanError(f"{where}: not an unmask result ({printable(error)})") from None
    if result.schema_version != SCHEMA_VERSION:
        raise ScanError(f"{where}: schema version {result.schema_version}; this unmask reads {SCHEMA_VERSION}")
    declared = {r.id for r in result.rules}
    undeclared = next((f.rule for f in result.findings if f.rule not in declared), None)
    if undeclared is not None:
        raise ScanError(f"{where}: not an unmask result (a finding of the rule {printable(undeclared, 60)}, which it does not declare)")
    if any(r.finding is not None and not 0 <= r.finding < len(result.findings) for r in result.verdict.reasons):
        raise ScanError(f"{where}: not an unmask result (the verdict names a finding that is not there)")
    return result


def write(result: Result, path: Path) -> None:
    """Write result.json whole or not at all."""
    cache.write_atomic(path, dumps(result))
