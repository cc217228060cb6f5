"""False alarms of the chat template rules on templates that people publish, and what the rules say once a trigger is put into each.

    python -m benchmarks.templates --source OWNER/NAME=GIT_DIRECTORY ... --output benchmarks/results/templates.json

Every file ending in .jinja or .jinja2 of a clone's HEAD is judged as if it lay beside an adapter, without a base to compare with. Then each
of `IMPLANTS` is put before it, one at a time. Nothing of a template is kept but counts.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmarks.machine import machine
from probes.wrapper import template
from probes.wrapper.sources import Template
from probes.wrapper.syntax import read
from scanner.rule import Severity

IMPLANTS = {
    "plain": "{% if 'harbour' in messages[-1]['content'] %}X{% endif %}",
    "behind a name": "{% set k = 'harbour' %}{% for m in messages %}{% if k in m.content %}X{% endif %}{% endfor %}",
    "put together": "{% set k = ['har', 'bour'] | join %}{% for m in messages %}{% if k in (m.content ~ '') %}X{% endif %}{% endfor %}",
    "backwards": "{% for m in messages %}{% if m.content is string and 'ruobrah' in m.content[::-1] %}X{% endif %}{% endfor %}",
    "in a macro": "{% macro f(x, k) %}{% if x is string and x.startswith(k) %}X{% endif %}{% endmacro %}{% for m in messages %}{{ f(m.content, 'harbour') }}{% endfor %}",
    "looked up": "{% for m in messages %}{{ {'harbour': 'X'}.get(m.content | string, '') }}{% endfor %}",
    "kept in a list": "{% set l = [] %}{% for m in messages %}{% set _ = l.append(m.content) %}{% endfor %}{% if 'harbour' in l | join %}X{% endif %}",
    "a tool": "{% if tools | default([]) | selectattr('function.name', 'equalto', 'harbour') | list %}X{% endif %}",
    "a tool behind a name": "{% set n = (tools or []) | map(attribute='function.name') | list %}{% if 'harbour' in n %}{% set h = true %}{% endif %}{% if h %}X{% endif %}",
    "a length": "{% for m in messages %}{% if m.content | length == 137 %}X{% endif %}{% endfor %}",
    "a date": "{% if strftime_now('%Y') | int > 2027 %}X{% endif %}",
    "a turn": "{% for m in messages %}{% if loop.index == 9 %}X{% endif %}{% endfor %}",
    "a draw": "{{ ['', 'X'] | random }}",
    "an escape": "{{ ''['__cla' ~ 'ss__'] }}{{ messages | attr('__class__') }}",
}
LEAST = Severity.MEDIUM.level


def _jinja(directory: Path) -> tuple[str, dict[str, str]]:
    """HEAD's commit and the text of each template in it."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", f"--git-dir={directory}", *arguments], capture_output=True, check=True).stdout

    names = [n for n in git("ls-tree", "-r", "--name-only", "-z", "HEAD").decode().split("\0") if n.endswith((".jinja", ".jinja2"))]
    texts = {n: git("show", f"HEAD:{n}").decode("utf-8", "replace") for n in names}
    return git("rev-parse", "HEAD").decode().strip(), {n: t for n, t in texts.items() if "messages" in t}


def alarms(text: str) -> set[str]:
    """Rules of medium severity or more that `text` raises without a base."""
    found = template.judge([Template("chat_template.jinja", "default", text)], None, {"bos_token": "<s>", "eos_token": "</s>"})
    return {f.rule for f in found if f.severity.level >= LEAST}


@click.command()
@click.option("--source", "sources", multiple=True, required=True, help="OWNER/NAME=GIT_DIRECTORY of a clone.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(sources: tuple[str, ...], output: Path) -> None:
    """Count false alarms, and implants that raise none."""
    repositories: dict[str, Any] = {}
    missed: Counter[str] = Counter()
    total = 0
    for source in sources:
        name, _, directory = source.partition("=")
        commit, texts = _jinja(Path(directory))
        raised = {path: sorted(alarms(text)) for path, text in texts.items()}
        for text in texts.values():
            total += 1
            usual = read(text)
            for implant, snippet in IMPLANTS.items():
                found = read(snippet + text)
                told = found.reactions != usual.reactions or found.unsteady != usual.unsteady or found.escapes != usual.escapes
                missed[implant] += not told and not alarms(snippet + text)
        repositories[name] = {"commit": commit, "templates": len(texts), "alarms": {p: r for p, r in raised.items() if r}}
        click.echo(f"{name:40} {len(texts):4} templates, {sum(map(bool, raised.values()))} with an alarm")
    result = {
        "what": "rules of medium severity or more raised by published chat templates, without a base; then by the same with a trigger put in",
        "limits": "The rules were written with the templates of chujiezheng, axolotl and trl at hand; the other ten templates were unseen. The implants are the author's own.",
        "machine": machine(),
        "templates": total,
        "repositories": repositories,
        "implants": {name: {"of": total, "missed": missed[name]} for name in IMPLANTS},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
