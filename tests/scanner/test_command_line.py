"""The command line's contract: exit codes, one line on standard error, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scanner import scan as whole
from scanner.cli import main
from scanner.measurement import Status
from scanner.probe import Yield
from scanner.subject import Subject
from scanner.verdict import Outcome
from tests.adapters import MODULE, adapter, base, documented, tensors


def scan(*arguments: object, cwd: Path) -> Result:
    with CliRunner().isolated_filesystem(cwd):
        return CliRunner().invoke(main, ["scan", *map(str, arguments), "--format", "json"])


def failed_in_one_line(result: Result) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("unmask: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_a_clean_adapter_passes_and_says_that_behaviour_was_not_measured(tmp_path: Path) -> None:
    result = scan(documented(tmp_path / "a"), cwd=tmp_path)
    assert result.exit_code == 0, result.output
    assert "Behaviour was not measured" in result.stdout


def test_an_overwritten_base_weight_fails_the_policy(tmp_path: Path) -> None:
    from scanner.demo.base import shipped

    result = scan(shipped("tampered"), cwd=tmp_path)
    assert result.exit_code == 1
    assert "overwrites weights of the base" in result.stdout


def test_review_passes_unless_asked_to_fail(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", lora_alpha=100000)
    assert scan(folder, cwd=tmp_path).exit_code == 0
    assert scan(folder, "--fail-on", "review", cwd=tmp_path).exit_code == 1


def test_a_method_that_is_not_understood_gives_its_findings_and_no_pass(tmp_path: Path) -> None:
    result = scan(adapter(tmp_path / "a", peft_type="NOVEL"), cwd=tmp_path)
    assert result.exit_code == 2
    assert (
        "INCOMPLETE  loading could not be measured. every tensor by what PEFT does with it: peft_type NOVEL: a method that is not understood" in result.stdout
    )


@pytest.mark.parametrize(
    "words",
    ["scan {}", "scan A --output {}", "scan A --base {}", "scan A --known {}", "hook {}", "index {} --output x", "calibrate {} --output x", "verify-pack p --adapter {}",
     "verify-attestation a --key k --adapter {}", "replay {}", "replay r --adapter {}", "report {}", "pack {}", "show {}", "compare {} b"],
)  # fmt: skip
def test_an_empty_path_is_not_the_current_folder(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(adapter(tmp_path / "a"))
    result = CliRunner().invoke(main, [{"{}": "", "A": "."}.get(w, w) for w in words.split()])
    failed_in_one_line(result)
    assert "empty" in result.stderr


def test_an_empty_path_is_not_the_current_folder_in_python_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanner import scan as scanned
    from scanner.errors import UnreadableAdapter

    monkeypatch.chdir(adapter(tmp_path / "a"))
    with pytest.raises(UnreadableAdapter, match="empty path"):
        scanned("")


def truncated(folder: Path) -> None:
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])


BROKEN = {
    "no config": lambda f: (f / "adapter_config.json").unlink(),
    "config not JSON": lambda f: (f / "adapter_config.json").write_text("{'r': 2"),
    "config not an object": lambda f: (f / "adapter_config.json").write_text("[1]"),
    "config nested deep": lambda f: (f / "adapter_config.json").write_text('{"peft_type":' + "[" * 200_000),
    "rank not a number": lambda f: (f / "adapter_config.json").write_text('{"peft_type": "LORA", "r": "4"}'),
    "no weights": lambda f: (f / "adapter_model.safetensors").unlink(),
    "truncated weights": truncated,
    "header beyond the file": lambda f: (f / "adapter_model.safetensors").write_bytes(b"\xff" * 8 + b"{}"),
    "header nested deep": lambda f: (f / "adapter_model.safetensors").write_bytes((200_001).to_bytes(8, "little") + b"{" + b"[" * 200_000),
    "empty weights": lambda f: (f / "adapter_model.safetensors").write_bytes(b""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_adapter_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    BROKEN[name](folder)
    failed_in_one_line(scan(folder, cwd=tmp_path))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_adapter_with_code_beside_it_is_blocked_for_the_code(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    BROKEN[name](folder)
    (folder / "optimizer.pt").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    result = scan(folder, cwd=tmp_path)
    assert result.exit_code == 1, result.output
    assert "runs code" in result.stdout
    assert "not measured: container" in result.stdout


@pytest.mark.parametrize("where", ["folder", "file", "zip"])
def test_weights_that_are_a_pickle_that_runs_code_are_blocked(where: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    given = {"folder": folder, "file": folder / "adapter_model.bin", "zip": tmp_path / "a.zip"}[where]
    result = scan(given, cwd=tmp_path)
    assert result.exit_code == 1, result.output
    assert "runs code" in result.stdout


def test_a_missing_folder_a_file_and_wrong_options_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    failed_in_one_line(scan(tmp_path / "nowhere", cwd=tmp_path))
    failed_in_one_line(scan(folder / "adapter_config.json", cwd=tmp_path))
    failed_in_one_line(scan(folder, "--base", tmp_path / "nowhere", cwd=tmp_path))
    failed_in_one_line(scan(folder, "--policy", tmp_path / "nowhere.toml", cwd=tmp_path))


def test_an_adapter_for_another_base_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    failed_in_one_line(scan(folder, "--base", base(tmp_path / "wide", width=16), cwd=tmp_path))
    failed_in_one_line(scan(folder, "--base", base(tmp_path / "shallow", layers=1), cwd=tmp_path))


def test_the_static_half_imports_nothing_heavy(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    heavy = {"torch", "transformers", "scipy", "sklearn", "tokenizers"}
    code = f"import sys; from scanner.scan import scan; scan({str(folder)!r}); print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_scans_agree_byte_for_byte_apart_from_timings(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    found = []
    for name in ("one", "two"):
        scan(folder, "--output", tmp_path / name, cwd=tmp_path)
        result = json.loads((tmp_path / name / "result.json").read_text())
        result.pop("timings")
        found.append(json.dumps(result))
    assert found[0] == found[1]


def unknown_rule(folder: Path) -> Path:
    from importlib.resources import files

    (folder / "p.toml").write_text((files("scanner.policy") / "default.toml").read_text() + 'no-such-rule = "high"\n')
    return folder / "p.toml"


def test_wrong_formats_profiles_and_policies_are_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    failed_in_one_line(CliRunner().invoke(main, ["scan", str(folder), "--format", "json,pdf"]))
    failed_in_one_line(scan(folder, "--policy", unknown_rule(tmp_path), cwd=tmp_path))
    failed_in_one_line(scan(folder, "--policy", folder, cwd=tmp_path))
    failed_in_one_line(scan(folder, "--chat-template", tmp_path / "none.jinja", cwd=tmp_path))
    failed_in_one_line(scan(folder, "--output", folder / "adapter_config.json", cwd=tmp_path))
    assert scan(folder, "--profile", "heroic", cwd=tmp_path).exit_code == 2


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_is_not_a_model_is_refused_as_a_base_in_one_line(missing: str, tmp_path: Path) -> None:
    against = base(tmp_path / "base")
    (against / missing).unlink()
    failed_in_one_line(scan(adapter(tmp_path / "a"), "--base", against, cwd=tmp_path))


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a", tensors() | {"base_model.model.x\x1b[2J.lora_A.weight": tensors()[f"{MODULE.format(0)}.lora_A.weight"]})
    named = scan(folder, cwd=tmp_path)
    assert named.exit_code == 1
    assert "no module can have" in named.output
    assert "\x1b" not in named.output
    failed_in_one_line(scan(tmp_path / "no\x1b[2Jsuch\nfolder", cwd=tmp_path))
    told = scan(adapter(tmp_path / "b", base_model_name_or_path="x\x1b[2J\u202ey", auto_mapping={"\x1b]0;": "\n"}), cwd=tmp_path)
    assert told.exit_code == 1
    assert "\x1b" not in told.output
    assert "\u202e" not in told.output


@pytest.mark.parametrize("arguments", [["nowhere"], ["a", "--base", "nowhere"]])
def test_the_installed_command_fails_in_one_line(arguments: list[str], tmp_path: Path) -> None:
    adapter(tmp_path / "a")
    done = subprocess.run(
        [sys.executable, "-c", "from scanner.cli import main; main()", "scan", *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("unmask: ")
    assert done.stderr.count("\n") == 1


def test_a_dangerous_pickle_leaves_standard_error_empty(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "optimizer.pt").write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    done = subprocess.run(
        [sys.executable, "-c", "from scanner.cli import main; main()", "scan", "a", "--format", "json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_rules_are_listed_and_explained() -> None:
    listed = CliRunner().invoke(main, ["rules"])
    assert listed.exit_code == 0
    assert "pickle-code" in listed.stdout
    assert "base-overwrite" in CliRunner().invoke(main, ["rules", "base-overwrite"]).stdout
    failed_in_one_line(CliRunner().invoke(main, ["rules", "no-such-rule"]))


def test_every_command_is_listed_with_its_help() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    for name in ("demo", "replay", "report", "rules", "scan"):
        assert f"\n  {name} " in told.stdout
    assert "_output" not in told.stdout
    assert CliRunner().invoke(main, ["_output"]).exit_code == 2


def test_an_internal_error_is_one_line_unless_the_traceback_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanner import result

    (tmp_path / "result.json").write_bytes(b"{}")
    monkeypatch.setattr(result, "LARGEST", "not a number")
    failed = CliRunner().invoke(main, ["report", str(tmp_path / "result.json")])
    failed_in_one_line(failed)
    assert "internal error" in failed.stderr
    monkeypatch.setenv("UNMASK_TRACEBACK", "1")
    assert isinstance(CliRunner().invoke(main, ["report", str(tmp_path / "result.json")]).exception, TypeError)


def test_a_probe_that_breaks_is_named_and_leaves_the_scan_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from probes.card import CardProbe

    def broken(self: CardProbe, subject: Subject) -> Iterator[Yield]:
        raise KeyError("no such thing")

    monkeypatch.setattr(CardProbe, "run", broken)
    made = whole(adapter(tmp_path / "a"))
    assert made.verdict.outcome is Outcome.INCOMPLETE
    (failed,) = [c for c in made.coverage if c.status is Status.FAILED]
    assert failed.probe == "card"
    assert failed.why.startswith("internal error, please report it: KeyError at test_command_line.py:")
    assert {c.probe for c in made.coverage} >= {"config", "container", "code"}, "the others ran"
    monkeypatch.setenv("UNMASK_TRACEBACK", "1")
    with pytest.raises(KeyError):
        whole(adapter(tmp_path / "b"))
