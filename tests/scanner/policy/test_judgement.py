"""Limits, lists, waivers and baselines: what each key of a policy does to a verdict."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from scanner import result as results
from scanner.errors import ScanError
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Measurement, Status
from scanner.policy import Policy, judged
from scanner.policy.allowed import signers
from scanner.policy.baselines import accepted
from scanner.probe import probes, rules
from scanner.profile import PROFILES
from scanner.result import Result
from scanner.rule import Severity
from scanner.scan import _skip, scan
from scanner.trust import Trust
from scanner.verdict import Outcome
from tests.adapters import adapter, documented
from tests.reports.sample import full, static
from tests.scanner.policy.test_ruling import WITNESS

TODAY = datetime.date(2030, 6, 1)
COVERED = tuple(Coverage(probe=p, what=p, status=Status.MEASURED) for p in (*Policy.open().require.files, *Policy.open().require.behaviour))
FACT = Finding(rule="pickle-code", message="optimizer.pt imports os.system", severity=Severity.CRITICAL, location=Location(file="optimizer.pt"))
LOST = Finding(rule="refusals-lost", message="50 of 60, 10 of 60", severity=Severity.HIGH, witness=WITNESS)
REMARK = Finding(rule="card-missing", message="none", severity=Severity.LOW)


def policy(folder: Path, text: str, extends: str = "default") -> Policy:
    file = folder / "policy.toml"
    file.write_text(f'name = "test"\nextends = "{extends}"\n{text}' if extends != "default" else f'name = "test"\n{text}')
    return Policy.open(file)


def clean(**changes: Any) -> Result:
    """A result in which everything was measured and nothing found."""
    return msgspec.structs.replace(full(), **({"findings": (), "rules": (), "coverage": COVERED} | changes))


def found(settings: Policy, result: Result, **more: Any) -> Result:
    return judged(settings, result, rules(), today=TODAY, **more)


def test_nothing_found_passes_and_records_no_date() -> None:
    verdict = found(Policy.open(), clean()).verdict
    assert (verdict.outcome, verdict.date) == (Outcome.PASS, "")


def limited(value: float, low: float | None, high: float | None) -> Result:
    return clean(measurements=(Measurement(id="refusal.harmful.adapted", title="Refusals", value=value, low=low, high=high),))


@pytest.mark.parametrize(
    ("limit", "value", "low", "high", "kept"),
    [
        ("at_least = 0.6", 0.7, 0.61, 0.8, True),
        ("at_least = 0.6", 0.7, 0.6, 0.8, True),
        ("at_least = 0.6", 0.7, 0.59, 0.8, False),
        ("at_least = 0.6", 0.7, None, None, True),
        ("at_least = 0.6", 0.5, None, None, False),
        ("at_most = 0.2", 0.1, 0.0, 0.2, True),
        ("at_most = 0.2", 0.1, 0.0, 0.21, False),
        ("at_most = 0.2", 0.2, None, None, True),
        ("at_most = 0.2", 0.3, None, None, False),
    ],
)
def test_a_limit_is_held_against_the_unfavourable_end(limit: str, value: float, low: float | None, high: float | None, kept: bool, tmp_path: Path) -> None:
    settings = policy(tmp_path, f'[[threshold]]\nmeasurement = "refusal.harmful.adapted"\n{limit}\n')
    after = found(settings, limited(value, low, high))
    assert after.verdict.outcome is (Outcome.PASS if kept else Outcome.REVIEW)
    assert [f.rule for f in after.findings] == ([] if kept else ["limit-exceeded"])


def test_a_limit_asks_for_a_review_and_never_blocks_whatever_it_says(tmp_path: Path) -> None:
    for outcome, severity in (("review", Severity.MEDIUM), ("block", Severity.HIGH)):
        settings = policy(tmp_path, f'[[threshold]]\nmeasurement = "refusal.harmful.adapted"\nat_least = 0.9\noutcome = "{outcome}"\n')
        after = found(settings, limited(0.5, 0.4, 0.6))
        assert after.verdict.outcome is Outcome.REVIEW
        assert after.findings[0].severity is severity
        assert "0.4" in after.findings[0].message


def test_a_limit_on_what_was_not_measured_is_incomplete(tmp_path: Path) -> None:
    settings = policy(tmp_path, '[[threshold]]\nmeasurement = "refusal.no_such"\nat_least = 0.9\n')
    after = found(settings, clean())
    assert after.verdict.outcome is Outcome.INCOMPLETE
    assert "refusal.no_such" in after.verdict.headline
    worded = clean(measurements=(Measurement(id="refusal.no_such", title="t", value="a word"),))
    assert found(settings, worded).verdict.outcome is Outcome.INCOMPLETE
    without = msgspec.structs.replace(clean(), scope=static().scope, coverage=COVERED[:-2])
    assert found(settings, without).verdict.outcome is Outcome.PASS


def test_a_scan_without_a_base_is_incomplete_where_the_policy_requires_one(tmp_path: Path) -> None:
    without = msgspec.structs.replace(clean(), scope=static().scope)
    assert found(Policy.open(), without).verdict.outcome is Outcome.PASS
    verdict = found(policy(tmp_path, "[require]\nbase = true"), without).verdict
    assert verdict.outcome is Outcome.INCOMPLETE
    assert "--base" in verdict.headline


def test_a_base_that_is_not_allowed_blocks_and_an_allowed_one_does_not(tmp_path: Path) -> None:
    base = clean().scope.base
    assert base is not None
    for name in (base.name, base.sha256):
        assert found(policy(tmp_path, f'[allow]\nbases = ["other", "{name}"]'), clean()).verdict.outcome is Outcome.PASS
    after = found(policy(tmp_path, '[allow]\nbases = ["other"]'), clean())
    assert (after.findings[0].rule, after.verdict.outcome) == ("base-not-allowed", Outcome.BLOCK)
    lenient = found(policy(tmp_path, '[allow]\nbases = ["other"]\n[severity]\nbase-not-allowed = "medium"'), clean())
    assert lenient.verdict.outcome is Outcome.REVIEW


def test_without_a_base_the_declared_one_is_looked_at_and_cannot_block(tmp_path: Path) -> None:
    without = msgspec.structs.replace(clean(), scope=static().scope)
    after = found(policy(tmp_path, '[allow]\nbases = ["other"]\n[severity]\ndeclared-base-not-allowed = "critical"'), without)
    assert (after.findings[0].rule, after.verdict.outcome) == ("declared-base-not-allowed", Outcome.REVIEW)
    assert found(policy(tmp_path, f'[allow]\nbases = ["{without.scope.adapter.declared_base}"]'), without).verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(("declared", "outcome"), [("apache-2.0", Outcome.PASS), ("GPL-3.0", Outcome.REVIEW), ("", Outcome.REVIEW)])
def test_a_licence_that_is_not_allowed_asks_for_a_review(declared: str, outcome: Outcome, tmp_path: Path) -> None:
    scope = msgspec.structs.replace(full().scope, adapter=msgspec.structs.replace(full().scope.adapter, licence=declared))
    after = found(policy(tmp_path, '[allow]\nlicences = ["Apache-2.0", "MIT"]\n[severity]\nlicence-not-allowed = "critical"'), clean(scope=scope))
    assert after.verdict.outcome is outcome
    assert [f.rule for f in after.findings] == (["licence-not-allowed"] if outcome is Outcome.REVIEW else [])


def test_allowed_signers_are_pinned_unless_the_user_pinned_others(tmp_path: Path) -> None:
    keyed = policy(tmp_path, '[allow]\nsigners = [{ key = "a.pub" }, { key = "b.pub" }]')
    assert signers(keyed, Trust()).public_keys == (tmp_path / "a.pub", tmp_path / "b.pub")
    assert signers(keyed, Trust(public_keys=(Path("mine.pub"),))).public_keys == (Path("mine.pub"),)
    named = policy(tmp_path, '[allow]\nsigners = [{ identity = "a@b", issuer = "https://i" }]')
    assert (signers(named, Trust()).identity, signers(named, Trust()).issuer) == ("a@b", "https://i")
    assert signers(Policy.open(), Trust()) == Trust()


def test_an_adapter_that_no_allowed_signer_signed_is_blocked(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "a.pub").write_bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    policy(tmp_path, '[allow]\nsigners = [{ key = "a.pub" }]')
    result = scan(documented(tmp_path / "adapter"), policy=tmp_path / "policy.toml")
    assert (result.findings[0].rule, result.verdict.outcome) == ("signature-missing", Outcome.BLOCK)


def test_signers_without_a_signature_measured_are_incomplete(tmp_path: Path) -> None:
    assert found(policy(tmp_path, '[allow]\nsigners = [{ key = "a.pub" }]'), clean()).verdict.outcome is Outcome.INCOMPLETE


def waiver(expires: str = "2030-06-01", rule: str = "pickle-code", path: str = "", adapter_sha256: str = "3f" * 32) -> str:
    where = f'path = "{path}"\n' if path else ""
    return f'[[waiver]]\nrule = "{rule}"\n{where}adapter = "{adapter_sha256}"\nreason = "Never loaded here."\nowner = "sam"\nexpires = {expires}\n'


def test_a_waived_finding_stays_and_decides_nothing_until_its_last_day(tmp_path: Path) -> None:
    after = found(policy(tmp_path, waiver()), clean(findings=(FACT,)))
    assert after.verdict.outcome is Outcome.PASS
    assert after.verdict.date == "2030-06-01"
    assert "1 waived" in after.verdict.headline
    told = after.findings[0].waiver
    assert told is not None
    assert (told.reason, told.owner, told.expires) == ("Never loaded here.", "sam", "2030-06-01")


@pytest.mark.parametrize("finding", [FACT, REMARK], ids=["a fact", "a remark"])
def test_an_expired_waiver_fails_and_the_verdict_says_so(finding: Finding, tmp_path: Path) -> None:
    after = found(policy(tmp_path, waiver("2030-05-31", rule=finding.rule)), clean(findings=(finding,)))
    assert after.verdict.outcome is (Outcome.BLOCK if finding is FACT else Outcome.REVIEW)
    assert "waived by sam until 2030-05-31: the waiver has expired" in after.verdict.headline
    assert after.findings[0].waiver is None
    renewed = found(policy(tmp_path, waiver("2030-05-31") + waiver("2031-01-01")), clean(findings=(FACT,)))
    assert renewed.verdict.outcome is Outcome.PASS


@pytest.mark.parametrize("other", [{"rule": "card-missing"}, {"path": "other.pt"}, {"adapter_sha256": "40" * 32}])
def test_a_waiver_holds_for_its_rule_its_file_and_its_adapter_only(other: dict[str, str], tmp_path: Path) -> None:
    assert found(policy(tmp_path, waiver(**other)), clean(findings=(FACT,))).verdict.outcome is Outcome.BLOCK
    assert found(policy(tmp_path, waiver(path="optimizer.pt")), clean(findings=(FACT,))).verdict.outcome is Outcome.PASS


def test_a_waiver_does_not_make_up_for_what_was_not_measured(tmp_path: Path) -> None:
    gap = (*COVERED[:-1], Coverage(probe="trigger", what="t", status=Status.FAILED))
    assert found(policy(tmp_path, waiver()), msgspec.structs.replace(clean(findings=(FACT,)), coverage=gap)).verdict.outcome is Outcome.INCOMPLETE


def test_a_waived_fact_does_not_stop_a_quick_scan_from_measuring_behaviour(tmp_path: Path) -> None:
    from scanner.files.adapter import Adapter
    from tests.adapters import base

    folder = adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    policy(tmp_path, waiver(adapter_sha256=Adapter.open(folder).sha256))
    stopped = scan(folder, base(tmp_path / "b"), profile="quick")
    assert "the files already decide" in next(c.why for c in stopped.coverage if c.probe == "refusal")
    with pytest.raises(ScanError, match="tokenizer"):  # so it goes on to load the base, which has none
        scan(folder, base(tmp_path / "b"), profile="quick", policy=tmp_path / "policy.toml", today=TODAY)


@pytest.mark.parametrize(
    ("profile", "finding", "text", "left_out"),
    [
        ("quick", LOST, "", True),
        ("quick", msgspec.structs.replace(LOST, severity=Severity.MEDIUM), "", False),
        ("quick", msgspec.structs.replace(LOST, witness=None), "", False),
        ("quick", Finding(rule="abliteration", message="a statistic", severity=Severity.HIGH), "", False),
        ("quick", LOST, '[outcome]\nhigh = "review"', False),
        ("standard", LOST, "", False),
    ],
)
def test_a_quick_scan_searches_no_trigger_once_behaviour_blocks(profile: str, finding: Finding, text: str, left_out: bool, tmp_path: Path) -> None:
    known = {p.id: p for p in probes()}
    delta = SimpleNamespace(changes=(1,), unmakeable="")
    subject: Any = SimpleNamespace(adapter=SimpleNamespace(problem="", sha256="0" * 64), base=object(), delta=delta, nonfinite=False, profile=PROFILES[profile])
    why = {p: _skip(known[p], subject, [finding], policy(tmp_path, text), TODAY) for p in ("trigger", "specialisation")}
    assert ("refusals-lost" in why["trigger"]) is left_out
    assert bool(why["trigger"]) is left_out
    assert why["specialisation"] == ""


def test_severities_of_rules_and_outcomes_of_severities_are_the_policys(tmp_path: Path) -> None:
    after = found(policy(tmp_path, '[severity]\npickle-code = "medium"\n[outcome]\nmedium = "pass"'), clean(findings=(FACT,)))
    assert (after.findings[0].severity, after.verdict.outcome) == (Severity.MEDIUM, Outcome.PASS)


def baseline(folder: Path, result: Result) -> Policy:
    results.write(found(Policy.open(), result), folder / "accepted.json")
    return policy(folder, '[[baseline]]\nresult = "accepted.json"')


def against(folder: Path, before: Result, now: Result) -> Result:
    settings = baseline(folder, before)
    return found(settings, now, baselines=accepted(settings))


def test_what_is_as_good_as_the_baseline_passes_and_says_what_it_was_held_against(tmp_path: Path) -> None:
    after = against(tmp_path, clean(), clean())
    assert after.verdict.outcome is Outcome.PASS
    told = next(c for c in after.coverage if c.probe == "policy")
    assert (told.status, told.what) == (Status.MEASURED, "no worse than accepted.json")


def test_what_is_worse_than_the_baseline_is_reviewed(tmp_path: Path) -> None:
    witnessed = Finding(rule="refusals-gained", message="m", severity=Severity.MEDIUM, witness=WITNESS)
    after = against(tmp_path, clean(), clean(findings=(witnessed,)))
    worse = next(f for f in after.findings if f.rule == "worse-than-baseline")
    assert after.verdict.outcome is Outcome.REVIEW
    assert "refusals-gained" in " ".join(worse.details)
    assert against(tmp_path, clean(findings=(witnessed,)), clean(findings=(witnessed,))).findings[0].rule == "refusals-gained"


def test_a_baseline_of_something_else_altogether_is_incomplete(tmp_path: Path) -> None:
    scope = clean().scope
    assert scope.base is not None
    other = msgspec.structs.replace(
        scope, adapter=msgspec.structs.replace(scope.adapter, sha256="00" * 32), base=msgspec.structs.replace(scope.base, sha256="11" * 32)
    )
    after = against(tmp_path, clean(scope=other), clean())
    assert after.verdict.outcome is Outcome.INCOMPLETE
    assert "accepted.json" in after.verdict.headline


def test_a_baseline_that_is_no_result_is_refused_before_anything_is_scanned(tmp_path: Path) -> None:
    (tmp_path / "accepted.json").write_text("{}")
    policy(tmp_path, '[[baseline]]\nresult = "accepted.json"')
    with pytest.raises(ScanError, match=r"accepted\.json"):
        scan(tmp_path / "nothing here", policy=tmp_path / "policy.toml")


def test_the_date_is_an_input_and_two_days_differ_only_where_waivers_do(tmp_path: Path) -> None:
    folder = documented(tmp_path / "a")
    days = [datetime.date(2030, 1, 1), datetime.date(2040, 1, 1)]

    def on(day: datetime.date, settings: str | Path) -> Result:
        return msgspec.structs.replace(scan(folder, policy=settings, today=day), timings={})

    assert on(days[0], "default") == on(days[1], "default")
    policy(tmp_path, waiver())
    assert on(days[0], tmp_path / "policy.toml").verdict.date == "2030-01-01"


def test_judging_again_changes_nothing_with_the_baseline_at_hand_or_not(tmp_path: Path) -> None:
    everything = waiver() + '[[threshold]]\nmeasurement = "refusal.harmful.adapted"\nat_least = 0.9\n[allow]\nlicences = ["MIT"]\n'
    settings = baseline(tmp_path, clean())
    (tmp_path / "policy.toml").write_text((tmp_path / "policy.toml").read_text() + "\n" + everything)
    settings = Policy.open(tmp_path / "policy.toml")
    witnessed = Finding(rule="refusals-gained", message="m", severity=Severity.MEDIUM, witness=WITNESS)
    once = found(settings, clean(findings=(FACT, witnessed), measurements=limited(0.5, 0.4, 0.6).measurements), baselines=accepted(settings))
    assert {f.rule for f in once.findings} == {"pickle-code", "refusals-gained", "limit-exceeded", "licence-not-allowed", "worse-than-baseline"}
    assert found(settings, once) == once
    assert found(settings, once, baselines=accepted(settings)) == once
