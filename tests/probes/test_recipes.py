from __future__ import annotations

from pathlib import Path

import pytest

from probes.code.probe import CodeProbe
from scanner.rule import Severity
from tests.adapters import adapter, raised


@pytest.mark.parametrize(
    ("name", "text", "rule", "severity"),
    [
        ("a.yaml", "x: !!python/object/apply:os.system ['id']\n", "yaml-object", Severity.HIGH),
        ("a.yaml", "x: !<tag:yaml.org,2002:python/object/apply:mypkg.run> []\n", "yaml-object", Severity.MEDIUM),
        ("a.yml", "x: !!python/object/apply:transformers.trainer_utils.IntervalStrategy\n- steps\n", "yaml-object", Severity.LOW),
        ("requirements.txt", "peft\n--extra-index-url http://packages.example.net/simple\n", "build-recipe", Severity.LOW),
        ("x/.vscode/tasks.json", '{"tasks": [{"runOptions": {"runOn": "folderOpen"}}]}', "tool-runs", Severity.MEDIUM),
        (".envrc", "export A=1\n", "tool-runs", Severity.MEDIUM),
        ("plot.html", "<body onload='x()'>", "page-script", Severity.LOW),
        ("hook.pth", "import os; os.system('id')\n", "code-file", Severity.MEDIUM),
    ],
)
def test_a_file_that_makes_a_tool_run_something_is_told(name: str, text: str, rule: str, severity: Severity, tmp_path: Path) -> None:
    path = adapter(tmp_path / "a") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (found,) = raised(CodeProbe(), tmp_path / "a")
    assert (found.rule, found.severity, found.location.file) == (rule, severity, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training.yaml", "learning_rate: 1e-4\nnote: '!!python is not a tag here'\n"),
        ("requirements.txt", "# from https://pypi.org\npeft==0.17\ntorch>=2\n"),
        ("pyproject.toml", "[tool.ruff]\nline-length = 100\n"),
        ("figure.svg", "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>"),
        (".vscode/settings.json", '{"editor.tabSize": 2}'),
    ],
)
def test_what_runs_nothing_is_nothing(name: str, text: str, tmp_path: Path) -> None:
    path = adapter(tmp_path / "a") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert raised(CodeProbe(), tmp_path / "a") == []
