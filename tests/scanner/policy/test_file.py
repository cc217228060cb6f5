"""Policy files: every key, what is refused, presets, what a file extends."""

from __future__ import annotations

import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from scanner.errors import ScanError
from scanner.policy import PRESETS, Policy
from scanner.policy.policy import File
from scanner.probe import probes, rules
from scanner.report import reports
from scanner.rule import Severity

ADAPTER = "3f" * 32
EVERY_KEY = f"""
name = "everything"
extends = "ci"
[scan]
profile = "deep"
fail_on = "block"
format = ["json"]
[outcome]
low = "review"
[require]
files = ["code"]
behaviour = ["refusal"]
base = false
[thresholds]
refusal_points = 7.5
refusal_p = 0.02
trigger_share = 0.4
trigger_p = 0.002
[severity]
card-missing = "medium"
[[threshold]]
measurement = "refusal.harmful.adapted"
at_least = 0.6
outcome = "block"
[[threshold]]
measurement = "spectrum.relative"
at_most = 2
[allow]
bases = ["org/base", "{ADAPTER}"]
licences = ["Apache-2.0"]
signers = [{{ key = "release.pub" }}]
[[waiver]]
rule = "template-changed"
path = "chat_template.jinja"
adapter = "{ADAPTER}"
reason = "Read line by line."
owner = "sam@example.org"
expires = 2031-02-28
[[baseline]]
result = "accepted.json"
"""


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "p.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_every_key_is_read(tmp_path: Path) -> None:
    read = Policy.open(written(tmp_path, EVERY_KEY))
    assert (read.name, read.extends, read.folder) == ("everything", ("ci", "default"), tmp_path)
    assert (read.scan.profile, read.scan.fail_on, read.scan.format) == ("deep", "block", ("json",))
    assert read.outcome[Severity.LOW] == "review"
    assert read.outcome[Severity.CRITICAL] == "block"
    assert (read.require.files, read.require.behaviour, read.require.base) == (("code",), ("refusal",), False)
    assert (read.thresholds.refusal_points, read.thresholds.refusal_p, read.thresholds.trigger_share, read.thresholds.trigger_p) == (7.5, 0.02, 0.4, 0.002)
    assert read.severity == {"card-missing": Severity.MEDIUM}
    assert [(t.measurement, t.at_least, t.at_most, t.outcome) for t in read.threshold] == [
        ("refusal.harmful.adapted", 0.6, None, "block"),
        ("spectrum.relative", None, 2.0, "review"),
    ]
    assert (read.allow.bases, read.allow.licences, read.allow.signers[0].key) == (("org/base", ADAPTER), ("Apache-2.0",), "release.pub")
    waiver = read.waiver[0]
    assert (waiver.rule, waiver.path, waiver.adapter, waiver.reason, waiver.owner) == (
        "template-changed", "chat_template.jinja", ADAPTER, "Read line by line.", "sam@example.org",
    )  # fmt: skip
    assert waiver.expires == datetime.date(2031, 2, 28)
    assert read.baseline[0].result == "accepted.json"


def test_the_text_above_names_every_key_there_is() -> None:
    def keys(struct: Any) -> set[str]:
        return set(struct.__struct_fields__)

    from scanner.policy import policy as module

    named = keys(File) | {k for part in module._Part.__subclasses__() for k in keys(part)}
    assert {k for k in named if k not in EVERY_KEY} <= {"identity", "issuer"}


def test_what_a_file_leaves_out_is_the_defaults(tmp_path: Path) -> None:
    read, default = Policy.open(written(tmp_path, 'name = "mine"\n[thresholds]\nrefusal_points = 5\n')), Policy.open()
    assert read.thresholds.refusal_points == 5
    assert read.thresholds.refusal_p == default.thresholds.refusal_p
    assert (read.outcome, read.require, read.scan) == (default.outcome, default.require, default.scan)


def test_lists_of_tables_join_what_they_extend_and_lists_of_words_do_not(tmp_path: Path) -> None:
    read = Policy.open(written(tmp_path, 'name = "mine"\nextends = "audit"\n[require]\nbehaviour = ["refusal"]\n'))
    assert read.require.behaviour == ("refusal",)
    assert read.require.base is True
    assert read.require.files == Policy.open().require.files


@pytest.mark.parametrize("name", PRESETS)
def test_the_shipped_policies_are_valid_and_name_what_is_installed(name: str) -> None:
    policy = Policy.open(name)
    policy.check(rules(), {p.id for p in probes()})
    assert policy.name == name
    assert set(policy.scan.format) <= set(reports())
    assert {*Policy.open().require.files} <= {*policy.require.files}


def test_presets_differ_where_their_users_do() -> None:
    ci, platform, audit = (Policy.open(n) for n in ("ci", "platform", "audit"))
    assert ci.require.base
    assert ci.scan.fail_on == "review"
    assert "sarif" in ci.scan.format
    assert not platform.require.base
    assert platform.scan.profile == "quick"
    assert audit.scan.profile == "deep"
    assert audit.outcome[Severity.LOW] == "review"


def test_the_default_says_everything_itself() -> None:
    import tomllib

    written = tomllib.loads((files("scanner.policy") / "default.toml").read_text())
    assert {"name", "scan", "outcome", "require", "thresholds", "severity"} <= set(written)
    assert set(written["outcome"]) == {s.value for s in Severity}


WAIVER = f'[[waiver]]\nrule = "card-missing"\nadapter = "{ADAPTER}"\nreason = "r"\nowner = "o"\nexpires = 2031-01-01\n'
LIMIT = '[[threshold]]\nmeasurement = "a.b"\nat_most = 1\n'
BAD = {
    "not TOML": "name = ",
    "not UTF-8": b'name = "\xff"',
    "nested deep": "a = " + "[" * 100_000,
    "without a name": "[scan]\n",
    "an empty name": 'name = " "',
    "unknown key": 'name = "x"\ncolour = 1',
    "a key that is not for files": 'name = "x"\nsha256 = "y"',
    "unknown key in a table": 'name = "x"\n[thresholds]\nrefusal_q = 1',
    "unknown severity": 'name = "x"\n[outcome]\ntrivial = "pass"',
    "unknown action": 'name = "x"\n[outcome]\ninfo = "ignore"',
    "threshold in words": 'name = "x"\n[thresholds]\nrefusal_points = "ten"',
    "p-value of 2": 'name = "x"\n[thresholds]\nrefusal_p = 2.0',
    "severity of a rule in words": 'name = "x"\n[severity]\ncard-missing = "awful"',
    "extends a file": 'name = "x"\nextends = "other.toml"',
    "extends in a list": 'name = "x"\nextends = ["ci"]',
    "unknown profile": 'name = "x"\n[scan]\nprofile = "heroic"',
    "fails on pass": 'name = "x"\n[scan]\nfail_on = "pass"',
    "a limit both ways": f'name = "x"\n{LIMIT}at_least = 0',
    "no limit": 'name = "x"\n[[threshold]]\nmeasurement = "a.b"',
    "a limit that is not a number": f'name = "x"\n{LIMIT.replace("1", "nan")}',
    "a limit that passes": f'name = "x"\n{LIMIT}outcome = "pass"',
    "a signer without a key": 'name = "x"\n[allow]\nsigners = [{}]',
    "an identity without an issuer": 'name = "x"\n[allow]\nsigners = [{ identity = "a@b" }]',
    "a key and an identity": 'name = "x"\n[allow]\nsigners = [{ key = "k", identity = "a@b", issuer = "https://i" }]',
    "a waiver without a reason": f'name = "x"\n{WAIVER.replace("reason", "# ")}',
    "a waiver with an empty reason": f'name = "x"\n{WAIVER.replace(chr(34) + "r" + chr(34), chr(34) * 2)}',
    "a waiver without an owner": f'name = "x"\n{WAIVER.replace("owner", "# ")}',
    "a waiver without an end": f'name = "x"\n{WAIVER.replace("expires", "# ")}',
    "a waiver until some day": f'name = "x"\n{WAIVER.replace("2031-01-01", chr(34) + "one day" + chr(34))}',
    "a waiver for every adapter": f'name = "x"\n{WAIVER.replace("adapter", "# ")}',
    "a waiver for half a hash": f'name = "x"\n{WAIVER.replace(ADAPTER, "3f3f")}',
    "a baseline without a result": 'name = "x"\n[[baseline]]\n',
    "a megabyte": 'name = "x"\n' + "# " + "x" * (1 << 20),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_policy_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ScanError) as error:
        Policy.open(written(tmp_path, BAD[name]))
    assert str(error.value).startswith("policy p.toml: ")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[severity]\ncard-mising = "high"', "card-mising"),
        (WAIVER.replace("card-missing", "card-mising"), "card-mising"),
        ('[require]\nfiles = ["spektrum"]', "spektrum"),
        ('[allow]\nsigners = [{ key = "none.pub" }]', "none.pub"),
        ('[allow]\nsigners = [{ identity = "a@b", issuer = "https://i" }, { identity = "c@d", issuer = "https://i" }]', "single identity"),
        ('[[baseline]]\nresult = "none.json"', "none.json"),
    ],
)
def test_a_policy_that_names_what_is_not_there_is_refused(text: str, named: str, tmp_path: Path) -> None:
    policy = Policy.open(written(tmp_path, f'name = "x"\n{text}'))
    with pytest.raises(ScanError, match=named):
        policy.check(rules(), {p.id for p in probes()})


def test_a_folder_or_a_missing_file_is_not_a_policy(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ScanError, match="cannot be read"):
            Policy.open(path)
    with pytest.raises(ScanError, match="shipped ones are default, ci"):
        Policy.open("cii")
