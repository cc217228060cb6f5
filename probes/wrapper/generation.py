"""Generation settings: what they forbid, force and choose, against the base's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from probes.wrapper import tokenizer
from probes.wrapper.sources import settings
from probes.wrapper.steps import is_number, plain
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
    meaning="generation_config.json bans, biases or forces tokens, or ends answers at ordinary words, and the base's does not.",
    why="Banning the words of a refusal, ending an answer at them, or forcing the first words of an answer, changes what a model does without a weight. "
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
EXTREME = Rule(
    id="generation-extreme",
    title="Generation settings that no model is used with",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="generation_config.json sets a temperature, penalty, guidance, number of beams, length or time far outside of what answers are made with.",
    why="Answers become noise or break off, refusals included, or one request takes the memory and time of many. It changes no weight, and loaders apply it unasked.",
    fix="Take generation settings from the base.",
    references=(ATLAS_ERODE_INTEGRITY, OWASP_CONSUMPTION),
)
RULES = (STEERED, CHANGED, ENDLESS, EXTREME)
USUAL: dict[str, tuple[float, float]] = {
    "temperature": (0, 5), "repetition_penalty": (0.5, 3), "encoder_repetition_penalty": (0.5, 3), "diversity_penalty": (0, 10), "guidance_scale": (-10, 20),
    "length_penalty": (-10, 10), "no_repeat_ngram_size": (0, LONGEST), "min_new_tokens": (0, 4096), "min_length": (0, 4096), "num_beams": (0, 64),
    "num_return_sequences": (0, 64), "num_beam_groups": (0, 64), "max_time": (1, 10**9), "max_new_tokens": (1, LONGEST), "min_p": (0, 1), "epsilon_cutoff": (0, 1),
    "eta_cutoff": (0, 1),
}  # fmt: skip
"""What settings lie between in all that people publish, with room; smaller and larger ones are extreme."""
_SIGN = re.compile(r"[<>|\[\]{}#:*=\n\t`/\\]")
"""What marks the end of a turn is written with; a sentence is not."""


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
        stops = mine.get("stop_strings")
        words = [w for w in ([stops] if isinstance(stops, str) else stops if isinstance(stops, list) else ()) if isinstance(w, str) and _is_wording(w)]
        if words and stops != (usual or {}).get("stop_strings"):
            message = f"{where.file}: answers end at {printable(repr(words[0]), 80)} (stop_strings)"
            yield Finding(rule=STEERED.id, message=message, severity=STEERED.severity, location=Location(file=where.file, item="stop_strings"))
        ends = set(_numbers(mine.get("eos_token_id"))) - set(_numbers((usual or {}).get("eos_token_id")))
        named = _words_at(sorted(ends), root / PurePosixPath(path).parent, base)
        if named:
            message = f"{where.file}: answers end at the ordinary word {printable(repr(named[0]), 80)} (eos_token_id)"
            yield Finding(rule=STEERED.id, message=message, severity=STEERED.severity, location=Location(file=where.file, item="eos_token_id"))
        extreme = [f for f, (least, most) in USUAL.items() if _outside(mine.get(f), least, most) and mine[f] != (usual or {}).get(f)]
        if extreme:
            said = ", ".join(f"{f} is {printable(mine[f], 60)}" for f in extreme)
            yield Finding(rule=EXTREME.id, message=f"{where.file}: {said}", severity=EXTREME.severity, location=where)
        endless = [f for f in ENDS if _endless(f, mine.get(f)) and mine[f] != (usual or {}).get(f)]
        if endless:
            said = ", ".join(f"{f} is {printable(mine[f], 60)}" for f in endless)
            yield Finding(rule=ENDLESS.id, message=f"{where.file}: {said}", severity=ENDLESS.severity, location=where)
        if usual is not None:
            differ = sorted(k for k in mine.keys() | usual.keys() if k not in IGNORED and k not in steered and mine.get(k) != usual.get(k))
            if differ and usual:
                lines = [f"{printable(k, 60)} is {printable(mine.get(k), 60)}, the base's {printable(usual.get(k), 60)}" for k in differ]
                yield Finding(rule=CHANGED.id, message=f"{where.file}: {lines[0]}", severity=CHANGED.severity, location=where, details=tuple(lines[:40]))


def _is_wording(text: str) -> bool:
    """Whether a string that ends answers is a wording, and no mark of a turn."""
    return _SIGN.search(text) is None and any(c.isalpha() for c in text)


def _numbers(value: Any) -> list[int]:
    return [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, int) and not isinstance(v, bool)]


def _words_at(numbers: list[int], folder: Path, base: Path | None) -> list[str]:
    """The ordinary words among the tokens `numbers`, by the tokenizer that lies beside, or else the base's."""
    names = next((found for place in (folder, base) if place and numbers and (found := tokenizer.names(place))), {})
    return [names[n] for n in numbers if n in names and plain(names[n])]


def _outside(value: Any, least: float, most: float) -> bool:
    return is_number(value) and not least <= value <= most


def _endless(field: str, value: Any) -> bool:
    numbers = _numbers(value)
    if field == "eos_token_id":
        return bool(numbers) and all(n < 0 for n in numbers)
    return any(n > LONGEST for n in numbers)
