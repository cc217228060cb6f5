"""Generation settings: what they forbid, force and choose, against the base's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from probes.wrapper.sources import settings
from scanner.files.strict_json import BadJson
from scanner.files.text import printable
from scanner.finding import Finding, Location
from scanner.rule import ATLAS_ERODE_INTEGRITY, OWASP_CONSUMPTION, OWASP_POISONING, Basis, Rule, Severity

FILE = "generation_config.json"
STEERS = ("bad_words_ids", "sequence_bias", "force_words_ids", "constraints", "watermarking_config")
"""Fields that favour or forbid words; training writes none of them."""
FORCES = ("suppress_tokens", "begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id", "forced_decoder_ids", "exponential_decay_length_penalty")
"""Fields that speech and translation models need."""
ENDS = ("eos_token_id", "max_length", "max_new_tokens")
LONGEST = 100_000_000
"""Tokens; contexts of today hold a few million."""
IGNORED = {"transformers_version", "_from_model_config", "pad_token_id", "trust_remote_code", "_commit_hash"}

STEERED = Rule(
    id="generation-steered",
    title="Generation settings favour or forbid words",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="generation_config.json bans, biases or forces tokens, and the base's does not.",
    why="Banning the words of a refusal, or forcing the first words of an answer, changes what a model does without a weight. "
    "Speech and translation models force and suppress tokens honestly.",
    fix="Take generation settings from the base.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_POISONING),
)
CHANGED = Rule(
    id="generation-changed",
    title="Generation settings differ from the base's",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="generation_config.json chooses other sampling, lengths or ends than the base's.",
    why="Answers then differ from those that were measured; by itself it is a matter of taste.",
    fix="Take generation settings from the base, or measure with these.",
)
ENDLESS = Rule(
    id="generation-endless",
    title="Generation settings let answers go on without end",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning=f"generation_config.json names an end that no token is, or allows more than {LONGEST:,} tokens.",
    why="Every answer then lasts until something else stops it: a server is held up, and what comes after the real end is nobody's answer.",
    fix="Take generation settings from the base.",
    references=(OWASP_CONSUMPTION,),
)
RULES = (STEERED, CHANGED, ENDLESS)


def compare(root: Path, paths: Iterable[str], base: Path | None) -> Iterator[Finding]:
    """Findings about every generation_config.json among `paths` below `root`, against the base's where there is one."""
    usual: dict[str, Any] | None = None
    if base is not None:
        try:
            usual = settings(base / FILE)
        except (OSError, BadJson):
            usual = {}
    for path in sorted(p for p in paths if PurePosixPath(p).name == FILE):
        where = Location(file=printable(path, 200))
        try:
            mine = settings(root / path)
        except BadJson as error:
            yield Finding(rule=CHANGED.id, message=f"{where.file} cannot be examined: {printable(error, 160)}", severity=Severity.MEDIUM, location=where)
            continue
        steered = [f for f in (*STEERS, *FORCES) if mine.get(f) and mine[f] != (usual or {}).get(f)]
        for field in steered:
            expected = usual is None and field in FORCES
            yield Finding(
                rule=STEERED.id,
                message=f"{where.file}: {field} is {printable(mine[field], 160)}",
                severity=Severity.LOW if expected else STEERED.severity,
                location=Location(file=where.file, item=field),
            )
        endless = [f for f in ENDS if _endless(f, mine.get(f)) and mine[f] != (usual or {}).get(f)]
        if endless:
            named = ", ".join(f"{f} is {printable(mine[f], 60)}" for f in endless)
            yield Finding(rule=ENDLESS.id, message=f"{where.file}: {named}", severity=ENDLESS.severity, location=where)
        if usual is not None:
            differ = sorted(k for k in mine.keys() | usual.keys() if k not in IGNORED and k not in steered and mine.get(k) != usual.get(k))
            if differ and usual:
                said = [f"{printable(k, 60)} is {printable(mine.get(k), 60)}, the base's {printable(usual.get(k), 60)}" for k in differ]
                yield Finding(rule=CHANGED.id, message=f"{where.file}: {said[0]}", severity=CHANGED.severity, location=where, details=tuple(said[:40]))


def _endless(field: str, value: Any) -> bool:
    numbers = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, int) and not isinstance(v, bool)]
    if field == "eos_token_id":
        return bool(numbers) and all(n < 0 for n in numbers)
    return any(n > LONGEST for n in numbers)
