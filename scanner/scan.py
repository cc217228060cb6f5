"""One scan: read the adapter, run every probe, decide, and return the result."""

from __future__ import annotations

import datetime
import hashlib
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from scanner.background import in_background
from scanner.delta import delta as deltas
from scanner.errors import ScanError, UnreadableAdapter, UnusableBase, internal
from scanner.files.adapter import Adapter
from scanner.files.text import printable
from scanner.finding import Finding
from scanner.judge import open_judge
from scanner.known import open_known
from scanner.measurement import Coverage, Measurement, Status, Table
from scanner.model.base import Base, spellings
from scanner.model.naming import mapped
from scanner.policy import Policy, judged
from scanner.policy.allowed import signers
from scanner.policy.baselines import accepted
from scanner.policy.judgement import levelled
from scanner.policy.ruling import may_block
from scanner.policy.waivers import waive
from scanner.population import Population, shipped
from scanner.probe import Need, Probe, probes, rules
from scanner.profile import PROFILES
from scanner.progress import Reporter
from scanner.prompts.set import open_sets
from scanner.result import AdapterIdentity, BaseIdentity, Result, Scope, dumps, loads
from scanner.rule import Basis
from scanner.subject import Subject
from scanner.trust import Trust
from scanner.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from scanner.model.deployment import Deployment


def scan(
    adapter: str | Path,
    base: str | Path | None = None,
    *,
    profile: str | None = None,
    policy: str | Path | None = None,
    device: str = "auto",
    system_prompt: str | None = None,
    chat_template: str | None = None,
    seed: int = 0,
    allow_hub: bool = False,
    trust: Trust | None = None,
    known: str | Path | None = None,
    reference: str | Path | None = None,
    prompts: Mapping[str, str | Path] | None = None,
    judge: str | Path | None = None,
    tasks: Sequence[str] = (),
    today: datetime.date | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Scan the adapter folder `adapter`, against `base` where one is given.

    `base` is a model directory, `demo`, or, with `allow_hub`, a Hugging Face id. `policy` is a file or the name of a shipped one, which
    says the `profile` where that is None. `chat_template` is template text; `trust` holds pinned keys and known hashes; `known` is an index
    or a folder of adapters to look for copies of, `reference` a population of honest adapters made by `unmask calibrate`, instead of the
    shipped ones. `prompts` are places of published request sets (`scanner.prompts.place`) by the set's name, such as `xstest`; `judge` is the folder of a model that says
    what is a refusal; `tasks` are names of lm-eval's tasks. `today` is the date against which the policy's waivers are held, by default the date in UTC.
    What cannot be read as an adapter and holds something that blocks gets that verdict, with nothing else measured.
    Raises ScanError with one line when the scan could not be done; a probe that fails makes the verdict incomplete instead.
    """
    settings = Policy.open(policy)
    reading = in_background(lambda: Adapter.look(adapter))  # hashing leaves the interpreter free to import the probes
    rulebook = rules()
    today = today or datetime.datetime.now(datetime.UTC).date()
    settings.check(rulebook, {p.id for p in probes()})
    baselines = accepted(settings)
    profile = profile or settings.scan.profile
    if profile not in PROFILES:
        raise ScanError(f"profile {printable(profile, 40)}: choose {', '.join(PROFILES)}")
    sets, own_judge = open_sets(prompts or {}, allow_hub), open_judge(judge, device) if judge is not None else None
    if tasks:
        from scanner.model.harness import check

        check(tasks)
    trust = signers(settings, trust or Trust())
    trust.check()
    reporter = reporter or Reporter(quiet=True)
    timings: dict[str, float] = {}
    index = open_known(Path(known)) if known is not None else None
    with reporter.stage("reading the adapter"), _timed(timings, "read"):
        opened = reading()
    found_base = None
    if base is not None:
        with reporter.stage("opening the base"), _timed(timings, "base"):
            found_base = open_base(base, allow_hub)
            opened = mapped(opened, found_base)
    with _timed(timings, "read"):
        delta = deltas.read(opened, found_base)
    if found_base is not None:
        check_fits(delta, found_base)
    population = Population.open(Path(reference)) if reference is not None else shipped(opened, found_base)

    def load() -> Deployment:
        from scanner.model.deployment import Deployment

        with reporter.stage("loading the base"), _timed(timings, "load"):
            return Deployment(
                found_base, delta, device=device, system_prompt=system_prompt, chat_template=chat_template, reporter=reporter, adapter=opened.sha256  # type: ignore[arg-type]
            )  # fmt: skip

    subject = Subject(
        opened, delta, found_base, PROFILES[profile], settings, seed, reporter, load if found_base else None, trust, index, population, sets, own_judge,
        tuple(tasks), allow_hub,
    )  # fmt: skip
    findings: list[Finding] = []
    measurements: list[Measurement] = []
    tables: list[Table] = []
    coverage: list[Coverage] = []
    for probe in probes():
        skip = _skip(probe, subject, findings, settings, today)
        if skip:
            coverage.append(Coverage(probe=probe.id, what=probe.title, status=Status.NOT_MEASURED, why=skip))
            continue
        if probe.needs > Need.FILES:
            with _timed(timings, "spectra"):
                _ = subject.statistics  # before any probe's own arithmetic, whose last digits depend on how many threads compute
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
    result = Result(
        tool=f"unmask {version('unmask')}",
        profile=profile,
        seed=seed,
        scope=_scope(subject, str(adapter), system_prompt, chat_template),
        verdict=Verdict(outcome=Outcome.INCOMPLETE, headline="", reasons=(), policy=settings.name, policy_sha256=settings.sha256),
        findings=tuple(findings),
        measurements=tuple(measurements),
        tables=tuple(tables),
        coverage=tuple(coverage),
        rules=(),
        files=opened.files,
        environment=_environment(subject),
        prompt_sets=tuple(s.source for s in sets),
        judge=own_judge.identity if own_judge else None,
        timings={k: round(v, 3) for k, v in timings.items()},
    )
    final = judged(settings, result, rulebook, baselines, today)
    if subject.loaded:
        subject.deployment.forget()
    if opened.problem and final.verdict.outcome is not Outcome.BLOCK:
        raise UnreadableAdapter(opened.problem)
    return loads(dumps(final), "this scan")  # as a reader of result.json gets it, down to whether a number is whole


def open_base(name: str | Path, allow_hub: bool = False) -> Base:
    """The base called `name`: a model directory, `demo`, or a Hub id where the network is allowed. Raises UnusableBase."""
    from scanner.demo import base as demo

    if name == "":
        raise UnusableBase("base: an empty name, which is no model")
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


def check_fits(delta: deltas.Delta, base: Base) -> None:
    """Raise UnusableBase where the delta changes what `base` does not have, or one tensor of it under two names."""
    names: dict[tuple[str, str], str] = {}
    for change in delta.changes:
        other = names.setdefault((min(spellings(change.module)), change.parameter), change.module)
        if other != change.module:
            raise UnusableBase(
                f"the adapter changes one module under two names, {printable(other, 100)} and {printable(change.module, 100)}: loaders take either"
            )
        shape = base.shape(change.module, change.parameter) or base.shape(change.module)
        if shape is None and change in delta.modules:
            raise UnusableBase(
                f"the adapter changes {printable(change.module, 100)}, which the base {printable(base.name)} does not have: it was made for another base"
            )
        if shape is not None and not change.fits(shape):
            raise UnusableBase(
                f"{printable(change.module, 100)}: the adapter's delta does not fit the base's weight {list(shape)}: it was made for another base"
            )


def _skip(probe: Probe, subject: Subject, findings: list[Finding], policy: Policy, today: datetime.date) -> str:
    """Why `probe` cannot or need not run, or an empty string."""
    if probe.needs > Need.FILES and subject.adapter.problem:
        return subject.adapter.problem
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
            for finding in (waive(policy, levelled(policy, f), subject.adapter.sha256, today)[0] for f in findings):
                if finding.waiver is not None or policy.outcome[finding.severity] != "block" or not may_block(finding, known[finding.rule]):
                    continue
                if known[finding.rule].basis is Basis.INTEGRITY:
                    return f"the files already decide ({finding.rule}); use --profile standard to measure behaviour all the same"
                if probe.needs is Need.SEARCH:
                    return f"the verdict is decided already ({finding.rule}); use --profile standard to search all the same"
    return ""


def _run(probe: Probe, subject: Subject, findings: list[Finding], measurements: list[Measurement], tables: list[Table], coverage: list[Coverage]) -> None:
    """Sort what `probe` yields into the lists. An error that is none of ours, nor the machine's, is the probe's failure and a gap in coverage."""
    declared = {r.id for r in probe.rules}
    try:
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
    except (ScanError, OSError, MemoryError):
        raise
    except Exception as error:
        if os.environ.get("UNMASK_TRACEBACK"):
            raise
        coverage.append(Coverage(probe=probe.id, what=probe.title, status=Status.FAILED, why=internal(error)))


def _scope(subject: Subject, path: str, system_prompt: str | None, chat_template: str | None) -> Scope:
    adapter, delta, base = subject.adapter, subject.delta, subject.base
    config = adapter.config
    identity = AdapterIdentity(
        name=printable(adapter.name, 120),
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
