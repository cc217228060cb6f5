"""One scan: read the adapter, run every probe, decide, and return the result."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from scanner.delta import delta as deltas
from scanner.errors import ScanError, UnusableBase
from scanner.files.adapter import Adapter
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.measurement import Coverage, Measurement, Status, Table
from scanner.model.base import Base
from scanner.policy import Policy, decide
from scanner.probe import Need, Probe, probes, rules
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.result import AdapterIdentity, BaseIdentity, Result, Scope
from scanner.rule import Basis
from scanner.subject import Subject
from scanner.trust import Trust

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment


def scan(
    adapter: str | Path,
    base: str | Path | None = None,
    *,
    profile: str = "standard",
    policy: str | Path | None = None,
    device: str = "auto",
    system_prompt: str | None = None,
    chat_template: str | None = None,
    seed: int = 0,
    allow_hub: bool = False,
    trust: Trust | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Scan the adapter folder `adapter`, against `base` where one is given.

    `base` is a model directory, `demo`, or, with `allow_hub`, a Hugging Face id. `chat_template` is template text;
    `trust` holds pinned keys and known hashes.
    Raises ScanError with one line when the scan could not be done; a probe that fails makes the verdict incomplete instead.
    """
    if profile not in PROFILES:
        raise ScanError(f"profile {printable(profile, 40)}: choose {', '.join(PROFILES)}")
    trust = trust or Trust()
    trust.check()
    reporter = reporter or Reporter(quiet=True)
    timings: dict[str, float] = {}
    rulebook, settings = rules(), Policy.open(policy)
    settings.check_rules(rulebook)
    with reporter.stage("reading the adapter"), _timed(timings, "read"):
        opened = Adapter.open(adapter)
    found_base = None
    if base is not None:
        with reporter.stage("opening the base"), _timed(timings, "base"):
            found_base = open_base(base, allow_hub)
    with _timed(timings, "read"):
        delta = deltas.read(opened, found_base)
    if found_base is not None:
        _check_fits(delta, found_base)

    def load() -> Deployment:
        from scanner.model.deployment import Deployment

        with reporter.stage("loading the base"), _timed(timings, "load"):
            return Deployment(found_base, delta, device=device, system_prompt=system_prompt, chat_template=chat_template, reporter=reporter)  # type: ignore[arg-type]

    subject = Subject(opened, delta, found_base, PROFILES[profile], settings, seed, reporter, load if found_base else None, trust)
    findings: list[Finding] = []
    measurements: list[Measurement] = []
    tables: list[Table] = []
    coverage: list[Coverage] = []
    for probe in probes():
        skip = _skip(probe, subject, findings, settings)
        if skip:
            coverage.append(Coverage(probe=probe.id, what=probe.title, status=Status.NOT_MEASURED, why=skip))
            continue
        with _timed(timings, probe.id):
            _run(probe, subject, findings, measurements, tables, coverage)
    if subject.loaded:
        with reporter.stage("proving the base unchanged"), _timed(timings, "base unchanged"):
            fingerprint = subject.deployment.check_base_unchanged()
        coverage.append(
            Coverage(
                probe="canary", what="base weights unchanged", status=Status.MEASURED, surface=f"SHA-256 {fingerprint[:16]}… of every tensor, before and after"
            )
        )
    levelled = [_with_severity(f, settings) for f in findings]
    levelled.sort(key=lambda f: (-f.severity.level, f.rule, f.message))
    verdict = decide(settings, levelled, coverage, rulebook, found_base is not None)
    return Result(
        tool=f"unmask {version('unmask')}",
        profile=profile,
        seed=seed,
        scope=_scope(subject, str(adapter), system_prompt, chat_template),
        verdict=verdict,
        findings=tuple(levelled),
        measurements=tuple(measurements),
        tables=tuple(tables),
        coverage=tuple(coverage),
        rules=tuple(rulebook[r] for r in sorted({f.rule for f in levelled})),
        files=opened.files,
        environment=_environment(subject),
        timings={k: round(v, 3) for k, v in timings.items()},
    )


def open_base(name: str | Path, allow_hub: bool = False) -> Base:
    """The base called `name`: a model directory, `demo`, or a Hub id where the network is allowed. Raises UnusableBase."""
    from scanner.demo import base as demo

    if str(name) == demo.NAME and not Path(name).exists():
        return demo.open_base()
    if Path(name).exists() or not allow_hub:
        return Base.open(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        folder = snapshot_download(str(name), allow_patterns=["*.safetensors", "*.json", "*.jinja", "tokenizer*"])
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise UnusableBase(f"base {printable(name, 80)}: not a folder, and the Hub gave nothing ({printable(error, 160)})") from None
    return Base.open(folder, name=str(name), origin=(str(name),))


def _check_fits(delta: deltas.Delta, base: Base) -> None:
    for change in delta.changes:
        shape = base.shape(change.module, change.parameter) or base.shape(change.module)
        if shape is None and change in delta.modules:
            raise UnusableBase(
                f"the adapter changes {printable(change.module, 100)}, which the base {printable(base.name)} does not have: it was made for another base"
            )
        if shape is not None and not change.fits(shape):
            raise UnusableBase(
                f"{printable(change.module, 100)}: the adapter's delta does not fit the base's weight {list(shape)}: it was made for another base"
            )


def _skip(probe: Probe, subject: Subject, findings: list[Finding], policy: Policy) -> str:
    """Why `probe` cannot or need not run, or an empty string."""
    if probe.needs >= Need.BASE and subject.base is None:
        return "no base was given"
    if probe.needs >= Need.DEPLOYMENT:
        if not subject.delta.changes:
            return "the adapter holds no delta that was understood"
        if subject.delta.unmakeable:
            return f"the adapted model cannot be made: {subject.delta.unmakeable}"
        if subject.nonfinite:
            return "the delta holds NaN or Inf, so no answer would mean anything"
        if subject.profile.stop_at_breach:
            known = rules()
            for finding in (_with_severity(f, policy) for f in findings):
                if known[finding.rule].basis is Basis.INTEGRITY and policy.outcome[finding.severity] == "block":
                    return f"the files already decide ({finding.rule}); use --profile standard to measure behaviour all the same"
    return ""


def _run(probe: Probe, subject: Subject, findings: list[Finding], measurements: list[Measurement], tables: list[Table], coverage: list[Coverage]) -> None:
    declared = {r.id for r in probe.rules}
    for item in probe.run(subject):
        if isinstance(item, Finding):
            if item.rule not in declared:
                raise ScanError(f"probe {probe.id}: raised {item.rule}, which it does not declare")
            findings.append(item)
        elif isinstance(item, Measurement):
            if isinstance(item.value, float) and not math.isfinite(item.value):
                raise ScanError(f"probe {probe.id}: {item.id} is not finite")
            measurements.append(item)
        elif isinstance(item, Table):
            tables.append(item)
        else:
            coverage.append(item)


def _with_severity(finding: Finding, policy: Policy) -> Finding:
    level = policy.severity.get(finding.rule)
    return msgspec.structs.replace(finding, severity=level) if level else finding


def _scope(subject: Subject, path: str, system_prompt: str | None, chat_template: str | None) -> Scope:
    adapter, delta, base = subject.adapter, subject.delta, subject.base
    config = adapter.config
    identity = AdapterIdentity(
        name=printable(adapter.folder.resolve().name, 120),
        path=printable(path, 400),
        sha256=adapter.sha256,
        method=delta.method,
        rank=max((m.rank for m in delta.modules), default=0),
        alpha=config.lora_alpha,
        target_modules=tuple(sorted({printable(c.module.rsplit(".", 1)[-1], 60) for c in delta.changes if c.module})),
        modules=len({c.module for c in delta.changes if c.module}),
        parameters=delta.elements,
        bytes=sum(f.bytes for f in adapter.files),
        declared_base=printable(config.base_model_name_or_path or "", 200),
        licence=next(iter(adapter.card.declared("license")), "") if adapter.card else "",
        datasets=adapter.card.declared("datasets") if adapter.card else (),
    )
    against = None
    if base is not None:
        against = BaseIdentity(
            name=printable(base.name, 200),
            sha256=base.sha256,
            architecture=printable((base.config.get("architectures") or ["?"])[0], 80),
            parameters=sum(t.count for s in base.shards for t in s.tensors.values()),
        )
    template = chat_template if chat_template is not None else base.chat_template if base else ""
    loaded = subject.deployment if subject.loaded else None
    parts = (adapter.sha256, against.sha256 if against else "", system_prompt or "", template, str(loaded.dtype) if loaded else "")
    return Scope(
        sha256=hashlib.sha256("\0".join(parts).encode()).hexdigest(),
        adapter=identity,
        base=against,
        dtype=str(loaded.dtype).removeprefix("torch.") if loaded else "",
        device=loaded.device.type if loaded else "",
        system_prompt=system_prompt,
        chat_template=chat_template,
        chat_template_sha256=hashlib.sha256(template.encode()).hexdigest() if template else "",
    )


def _environment(subject: Subject) -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine(), "numpy": version("numpy")}
    if subject.loaded:
        found |= {n: version(n) for n in ("torch", "transformers")}
        found["threads"] = str(sys.modules["torch"].get_num_threads())
        found["processor"] = _processor()
    return dict(sorted(found.items()))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores"


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        timings[name] = timings.get(name, 0.0) + time.monotonic() - start
