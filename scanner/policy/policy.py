"""A policy file: its keys, and how it is read. What a file leaves out has the value of the policy it extends."""

from __future__ import annotations

import datetime
import hashlib
import math
import tomllib
from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.rule import Rule, Severity

Action = Literal["block", "review", "pass"]
Text = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"\S")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]

PRESETS = ("default", "ci", "platform", "audit")
"""Policies that unmask ships, by name."""
LARGEST = 1 << 20


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class ScanDefaults(_Part, frozen=True):
    """What a scan does where neither an option nor the environment says."""

    profile: Literal["quick", "standard", "deep"] = "standard"
    """How hard to look."""
    fail_on: Literal["review", "block"] = "block"
    """The mildest outcome that makes the command fail."""
    format: tuple[Text, ...] = ("html", "json")
    """Reports to write."""


class Require(_Part, frozen=True):
    """What must have been measured; where it was not, the verdict is `incomplete`."""

    files: tuple[Text, ...] = ()
    """Probes that every scan needs."""
    behaviour: tuple[Text, ...] = ()
    """Probes that a scan with a base needs as well."""
    base: bool = False
    """Whether a scan without a base is incomplete."""


class Thresholds(_Part, frozen=True):
    """When a behavioural difference is a finding."""

    refusal_points: Annotated[float, Meta(ge=0, le=100)]
    """Smallest change of the refusal rate, in points of 100."""
    refusal_p: Annotated[float, Meta(gt=0, le=1)]
    """Largest p-value of its exact McNemar test."""
    trigger_share: Annotated[float, Meta(gt=0, le=1)]
    """Smallest share of the held-out prompts that a trigger could move that it moves: of those refused without it where it takes refusals away, else of the others."""
    trigger_p: Annotated[float, Meta(gt=0, le=1)]
    """Largest p-value of that, corrected for every candidate tested."""

    def refusals_moved(self, change: float, p_value: float) -> bool:
        """Whether a refusal rate that changed by `change`, the unfavourable way upwards, did so by as much and as surely as a finding takes."""
        return change * 100 >= self.refusal_points and p_value <= self.refusal_p

    def fewest_refusals(self, asked: int) -> int:
        """The fewest of `asked` requests that are as many points as a finding takes."""
        return math.ceil(self.refusal_points / 100 * asked)


class Limit(_Part, frozen=True):
    """A limit on one measurement. It is held against the unfavourable end of the interval, or the value where there is none."""

    measurement: Text
    """Its id, such as `refusal.harmful.adapted`."""
    at_most: float | None = None
    """Largest allowed value; give this or `at_least`."""
    at_least: float | None = None
    """Smallest allowed value."""
    outcome: Literal["block", "review"] = "review"
    """What a measurement beyond the limit leads to. A number has no witness, so `block` is capped at `review`."""

    def __post_init__(self) -> None:
        """Raises ValueError unless exactly one finite limit is given."""
        given = [v for v in (self.at_most, self.at_least) if v is not None]
        if len(given) != 1 or not math.isfinite(given[0]):
            raise ValueError("give either `at_most` or `at_least`, a finite number")


class Signer(_Part, frozen=True):
    """Whose signature is accepted: a key, or a Sigstore identity with who vouches for it."""

    key: str = ""
    """A PEM file, relative to the policy's folder."""
    identity: str = ""
    """The signer's address as the certificate names it; checking it needs the network (`--allow-hub`)."""
    issuer: str = ""
    """The OpenID Connect provider who vouches for it."""

    def __post_init__(self) -> None:
        """Raises ValueError unless it is one of the two."""
        if bool(self.key) == bool(self.identity) or bool(self.identity) != bool(self.issuer):
            raise ValueError("give either `key`, or `identity` with `issuer`")


class Allow(_Part, frozen=True):
    """What is allowed; an empty list allows everything."""

    bases: tuple[Text, ...] = ()
    """Names of bases, or SHA-256 sums as unmask prints them. A name can be given to any folder, a sum cannot."""
    licences: tuple[Text, ...] = ()
    """SPDX identifiers, one of which the adapter's card must declare; case does not matter."""
    signers: tuple[Signer, ...] = ()
    """One of them must have signed the adapter. `--public-key` or `--identity` on the command line replace them."""


class Waiver(_Part, frozen=True, kw_only=True):
    """A decision to accept one finding of one adapter for a time."""

    rule: Text
    """The finding's rule."""
    path: str = ""
    """The file the finding is about; any file where it is left out."""
    adapter: Sha256
    """SHA-256 of the adapter, as unmask prints it: another version is another decision."""
    reason: Text
    """Why it is accepted."""
    owner: Text
    """Who answers for that."""
    expires: datetime.date
    """The last day it holds. After it the finding counts again, and the verdict says so."""


class Baseline(_Part, frozen=True):
    """An accepted result that this one must not be worse than."""

    result: Text
    """Path of its result.json, relative to the policy's folder."""


class File(_Part, frozen=True, kw_only=True):
    """A policy file."""

    name: Text
    """What verdicts call it."""
    scan: ScanDefaults = ScanDefaults()
    """What a scan does by itself."""
    outcome: dict[Severity, Action]
    """What a finding of each severity leads to."""
    require: Require
    """What must have been measured."""
    thresholds: Thresholds
    """When a behavioural difference is a finding."""
    severity: dict[str, Severity] = {}
    """Severity of single rules, by id, instead of the one their finding has."""
    threshold: tuple[Limit, ...] = ()
    """Limits on measurements."""
    allow: Allow = Allow()
    """Bases, licences and signers that are allowed."""
    waiver: tuple[Waiver, ...] = ()
    """Findings that somebody accepted for a time."""
    baseline: tuple[Baseline, ...] = ()
    """Results that a new one must not be worse than."""


class Policy(File, frozen=True, kw_only=True):
    """A policy as it applies, with the policies it extends taken in."""

    extends: tuple[str, ...] = ()
    """Names of the presets it builds on, nearest first."""
    folder: Path = Path()
    """What its paths are relative to."""
    sha256: str = ""
    """Of the file itself."""

    @staticmethod
    def path(source: Path | str) -> Path:
        """The file of a preset, or the path itself."""
        return Path(str(files(__package__) / f"{source}.toml")) if str(source) in PRESETS else Path(source)

    @classmethod
    def open(cls, source: Path | str | None = None) -> Policy:
        """Read a policy file or a preset, by default the preset `default`. Raises ScanError with one line when it is not valid."""
        name = str(source) if source is not None else "default"
        file = cls.path(name)
        where = f"policy {printable(file.name if name not in PRESETS else name)}"
        try:
            with file.open("rb") as stream:
                data = stream.read(LARGEST + 1)
        except OSError as error:
            shipped = f"; the shipped ones are {', '.join(PRESETS)}" if error.errno == 2 and file.name == name else ""
            raise ScanError(f"{where}: cannot be read ({error.strerror}){shipped}") from None
        if len(data) > LARGEST:
            raise ScanError(f"{where}: over {LARGEST:,} bytes")
        try:
            written, extends = _merged(tomllib.loads(data.decode()), name)
            read = msgspec.convert(written, File)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise ScanError(f"{where}: {printable(error)}") from None
        return cls(**msgspec.structs.asdict(read), extends=extends, folder=file.parent, sha256=hashlib.sha256(data).hexdigest())

    def check(self, rules: Mapping[str, Rule], probes: Collection[str]) -> None:
        """Raise ScanError when it names a rule that no installed probe declares, a probe that is not installed, or a file that is not there."""
        for table, names in (("severity", list(self.severity)), ("waiver", [w.rule for w in self.waiver])):
            for rule in names:
                if rule not in rules:
                    raise self._error(f"[{table}] names the rule {printable(rule, 60)}, which no installed probe declares; see `unmask rules`")
        for probe in (*self.require.files, *self.require.behaviour):
            if probe not in probes:
                raise self._error(f"[require] names the probe {printable(probe, 60)}, which is not installed")
        identities = [s for s in self.allow.signers if s.identity]
        if len(identities) > 1 or (identities and len(self.allow.signers) > 1):
            raise self._error("[allow] signers: give keys, or a single identity")
        for kind, paths in (("[allow] signers", [s.key for s in self.allow.signers if s.key]), ("[[baseline]]", [b.result for b in self.baseline])):
            for path in paths:
                if not (self.folder / path).is_file():
                    raise self._error(f"{kind}: {printable(path)}: no such file beside the policy")

    def _error(self, text: str) -> ScanError:
        return ScanError(f"policy {printable(self.name)}: {text}")


def _merged(written: dict[str, Any], name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The file's keys over those of the preset it extends: tables key by key, lists of tables joined. Raises ValueError for another kind of `extends`."""
    if name == "default":
        return written, ()
    parent = written.pop("extends", "default")
    if parent not in PRESETS or parent == name:
        raise ValueError(f"`extends` is one of {', '.join(p for p in PRESETS if p != name)}")
    below, further = _merged(tomllib.loads((files(__package__) / f"{parent}.toml").read_text()), parent)
    merged = {key: value for key, value in below.items() if key != "name"}
    for key, value in written.items():
        under = below.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = under | value
        elif isinstance(under, list) and isinstance(value, list):
            merged[key] = [*under, *value]
        else:
            merged[key] = value
    return merged, (parent, *further)
