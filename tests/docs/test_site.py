"""The documentation: it builds without a warning, loads nothing foreign, and says what the code says."""

from __future__ import annotations

import ast
import html
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import msgspec
import pytest

from probes.refusal.probe import SEVERE
from scanner.cli import main
from scanner.policy import Policy, policy
from scanner.probe import rules
from scanner.schema import schema
from scanner.verdict import Outcome, Verdict

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [Path(sys.executable).parent / "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?(https?:)?//", page.read_text())
        assert loaded == [], page.name
    for sheet in site.rglob("*.css"):
        assert "fonts.googleapis" not in sheet.read_text()


def text(page: Path) -> str:
    """The page without its tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_the_example_stands_in_its_page(site: Path) -> None:
    shown, example = text(site / "extend.html"), ROOT / "examples" / "unmask-extra"
    for file in (example / "unmask_extra" / "oversized.py", example / "unmask_extra" / "table.py", example / "pyproject.toml"):
        assert [line for line in file.read_text().splitlines() if line not in shown] == [], file.name


def test_no_snippet_is_left_unfilled(site: Path) -> None:
    assert [p.name for p in site.rglob("*.html") if re.search(r"-+8\s*<|(?<!\$)\{\{ ", text(p))] == []


def test_the_profiles_are_those_of_the_code() -> None:
    made = subprocess.run([sys.executable, ROOT / "docs" / "generated.py", "profiles"], check=True, capture_output=True, text=True).stdout
    assert made in (ROOT / "docs" / "profiles.md").read_text(), "run: python docs/generated.py profiles"


def test_the_loss_of_refusals_that_is_critical_is_the_codes() -> None:
    assert f"| {-100 * SEVERE:g} points or more | critical | `block` |" in (ROOT / "docs" / "verdict.md").read_text()


def test_every_rule_has_its_section(site: Path) -> None:
    page = (site / "rules.html").read_text()
    assert [r for r in rules() if f'id="{r}"' not in page] == []


def test_every_key_of_a_policy_is_explained(site: Path) -> None:
    page = (site / "policy.html").read_text()
    parts = (policy.File, policy.ScanDefaults, policy.Require, policy.Thresholds, policy.Limit, policy.Allow, policy.Signer, policy.Waiver, policy.Baseline)
    for part in parts:
        for field in msgspec.structs.fields(part):
            row = re.search(rf"<tr>\s*<td><code>{field.encode_name}</code></td>(.*?)</tr>", page, re.S)
            assert row, f"{part.__name__}.{field.encode_name}"
            assert re.sub(r"<[^>]+>|\s", "", row[1].rsplit("<td>", 1)[-1]), f"{part.__name__}.{field.encode_name} is not explained"


def test_every_command_and_option_is_there(site: Path) -> None:
    page = (site / "command-line.html").read_text()
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert f'id="unmask-{name}"' in page
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert max(parameter.opts, key=len) in page, parameter.opts


def test_every_type_and_field_of_a_result_is_there(site: Path) -> None:
    page = (site / "result.html").read_text()
    for name, kind in schema()["$defs"].items():
        assert f'id="{name.lower()}"' in page, name
        for field in kind.get("properties", {}):
            assert f"<code>{field}</code>" in page, f"{name}.{field}"
    assert (site / "result.schema.json").read_bytes() == (ROOT / "docs" / "result.schema.json").read_bytes()


def fenced(language: str) -> list[tuple[Path, str]]:
    return [(p, block) for p in TEXTS for block in re.findall(rf"^ *```{language}\n(.*?)^ *```", p.read_text(), re.S | re.M)]


def commands() -> list[tuple[str, str]]:
    found = []
    for page, block in [*fenced("sh"), *fenced("")]:
        for line in block.splitlines():
            line = line.split("#")[0].strip()
            if re.match(r"unmask [a-z]", line):
                found.append((page.name, line))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_in_the_documentation_exist_with_their_options(page: str, line: str) -> None:
    command: click.Command = main
    context, words = click.Context(main, info_name="unmask"), shlex.split(line)[1:]
    while isinstance(command, click.Group):
        inner = command.get_command(context, words[0])
        assert inner is not None, line
        command, words, context = inner, words[1:], click.Context(inner, info_name=words[0], parent=context)
    command.make_parser(context).parse_args(args=list(words))


@pytest.mark.parametrize(("page", "text"), [(p.name, t) for p, t in fenced("toml") if "\nextends = " in t])
def test_policies_in_the_documentation_are_valid(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text)
    read = Policy.open(tmp_path / "p.toml")
    assert {*read.severity, *(w.rule for w in read.waiver)} <= set(rules())


def test_the_workflow_in_the_documentation_fits_githubs_schema_and_the_actions_inputs(tmp_path: Path) -> None:
    import yaml

    (text,) = [t for p, t in fenced("yaml") if p.name == "pipelines.md" and "runs-on" in t]
    (tmp_path / "workflow.yml").write_text(text)
    tool = Path(sys.executable).parent / "check-jsonschema"
    subprocess.run([tool, "--builtin-schema", "vendor.github-workflows", tmp_path / "workflow.yml"], check=True, capture_output=True)
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    used = [s["with"] for job in yaml.safe_load(text)["jobs"].values() for s in job["steps"] if "unmask" in s["uses"].split("@")[0]]
    assert used
    assert all(set(inputs) <= set(action["inputs"]) for inputs in used)


@pytest.mark.parametrize("page", TEXTS, ids=lambda p: p.name)
def test_links_lead_somewhere_without_the_site_being_built(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def explained() -> set[str]:
    return set(re.findall(r"`([a-z_]+(?:\.[A-Za-z_0-9]+)+)`", (ROOT / "docs" / "measurements.md").read_text()))


def measurement_ids() -> dict[str, str]:
    """Patterns of the ids that a probe gives its measurements, by where they stand in the code."""
    found = {}
    for file in sorted((ROOT / "probes").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Measurement":
                (id_,) = [k.value for k in node.keywords if k.arg == "id"]
                parts = id_.values if isinstance(id_, ast.JoinedStr) else [id_]
                pattern = "".join(re.escape(str(one.value)) if isinstance(one, ast.Constant) else r"[A-Za-z_0-9.]+" for one in parts)
                found[f"{file.relative_to(ROOT)}:{node.lineno}"] = pattern
    return found


def test_every_measurement_in_the_code_is_explained_and_no_other() -> None:
    patterns = measurement_ids()
    assert len(patterns) > 15
    page = (ROOT / "docs" / "measurements.md").read_text()
    assert "`….corrected`" in page  # beside any rate or change, explained once
    plain = {where: p.removesuffix(r"\.corrected") for where, p in patterns.items()}
    assert {where: p for where, p in plain.items() if not any(re.fullmatch(p, id_) for id_ in explained())} == {}
    rows = {id_ for line in page.splitlines() if line.startswith("| `") for id_ in re.findall(r"`([A-Za-z_0-9.]+)`", line.split(" | ")[0])}
    assert {id_ for id_ in rows if not any(re.fullmatch(p, id_) for p in patterns.values())} == set()


def test_the_exit_codes_of_the_documentation_are_those_of_a_verdict() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d)(?:, or (\d) with `--fail-on review`)? \|", (ROOT / "docs" / "verdict.md").read_text(), re.M)
    told = {outcome: (int(usual), int(strict or usual)) for outcome, usual, strict in rows}
    verdicts = [Verdict(outcome=o, headline="", reasons=(), policy="", policy_sha256="") for o in Outcome]
    assert told == {v.outcome.value: (v.exit_code(), v.exit_code(fail_on_review=True)) for v in verdicts}


def test_man_pages_are_made_for_every_command(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "generated.py", "man", tmp_path], check=True, capture_output=True)
    made = {p.name for p in tmp_path.iterdir()}
    assert {"unmask.1", "unmask-policy-check.1"} | {f"unmask-{n}.1" for n in main.list_commands(click.Context(main))} == made
    assert "--fail-on" in (tmp_path / "unmask-scan.1").read_text().replace("\\", "")


def test_the_dependencies_of_the_site_are_an_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(d.startswith("mkdocs-material") for d in extras["docs"])
