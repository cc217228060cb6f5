"""Pages that MkDocs makes from the code: rules, the policy's keys, the command line, result.json.

They are written when the site is built, so they cannot fall behind. `python docs/generated.py NAME` prints one, and
`python docs/generated.py man FOLDER` writes man pages. The table of docs/profiles.md stands in that page; a test compares it with `profiles`.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import click
import msgspec

GENERATED = "<!-- made by docs/generated.py -->"
MARK = "{{ policy-reference }}"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages; MkDocs calls this."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the policy's keys where policy.md asks for them; MkDocs calls this."""
    return markdown.replace(MARK, policy_reference()) if MARK in markdown else markdown


# Rules.


def rules() -> str:
    """Every rule of every installed probe, by what it rests on."""
    from scanner.policy import RULES
    from scanner.probe import probes
    from scanner.rule import Basis

    owners = {r.id: p.title for p in probes() for r in p.rules} | {r.id: "Policy" for r in RULES}
    known = [*RULES, *(r for p in probes() for r in p.rules)]
    lines = [
        "# Rules\n", GENERATED, "",
        "Everything unmask can say about an adapter. `unmask rules` lists them, `unmask rules ID` explains one. The severity is the usual one; a "
        "finding can be milder or worse, and a [policy](policy.md) can change it.\n",
    ]  # fmt: skip
    for basis in Basis:
        some = sorted((r for r in known if r.basis is basis), key=lambda r: (-r.severity.level, r.id))
        lines += [f"## {basis.value.capitalize()}\n", f"{_BASES[basis.value]}\n", "| rule | severity | probe | meaning |", "|---|---|---|---|"]
        lines += [f"| [`{r.id}`](#{r.id}) | {r.severity.value} | {_cell(owners[r.id])} | {_cell(r.title)} |" for r in some]
        lines.append("")
        for r in some:
            lines += [f"### {_text(r.title)} {{ #{r.id} }}\n", f"`{r.id}` · {r.severity.value} · {basis.value} · {_text(owners[r.id])}\n"]
            lines += [f"{_text(r.meaning)}\n", f"**Why it matters.** {_text(r.why)}\n", f"**What to do.** {_text(r.fix)}\n"]
            if r.references:
                lines += [f"- {_text(ref.catalogue)} **{_text(ref.id)}** {_text(ref.title)}" for ref in r.references]
                lines.append("")
    return "\n".join(lines)


_BASES = {
    "integrity": "Facts about the files. They can block.",
    "behaviour": "Answers of base and adapted model to the same prompts, with a paired test. They can block where a witness stands behind them.",
    "statistic": "Numbers from weights or activations. They explain and steer; they never block.",
    "documentation": "What the card or the configuration says or leaves out. They never block.",
}


# The policy's keys.


def policy_reference() -> str:
    """Every key of a policy file, from the types it is read with."""
    from scanner import schema
    from scanner.policy import policy

    lines = []
    for title, kind, intro in (
        ("The file", policy.File, "Tables and lists are explained below."),
        ("`[scan]`", policy.ScanDefaults, ""),
        ("`[require]`", policy.Require, ""),
        ("`[thresholds]`", policy.Thresholds, ""),
        ("`[[threshold]]`", policy.Limit, ""),
        ("`[allow]`", policy.Allow, ""),
        ("`signers`", policy.Signer, ""),
        ("`[[waiver]]`", policy.Waiver, ""),
        ("`[[baseline]]`", policy.Baseline, ""),
    ):
        lines += [f"### {title}\n", f"{_doc(kind)}{f' {intro}' if intro else ''}\n", "| key | type | | meaning |", "|---|---|---|---|"]
        explained = schema.explained(kind)
        hints = typing.get_type_hints(kind, include_extras=True)
        extends = ["| `extends` | preset | `default` | The shipped policy this one builds on: `default`, `ci`, `platform` or `audit`. |"]
        lines += extends if kind is policy.File else []
        for field in msgspec.structs.fields(kind):
            default = "required" if (field.required and kind not in (policy.File, policy.Thresholds)) or field.name == "name" else _default(field)
            lines.append(f"| `{field.encode_name}` | {_type(hints[field.name])} | {default} | {_cell(explained.get(field.name, ''))} |")
        lines.append("")
    return "\n".join(lines)


def _default(field: Any) -> str:
    value = field.default
    if value is msgspec.NODEFAULT or isinstance(value, msgspec.Struct) or value in ((), "", None):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if not isinstance(value, tuple) else f"`{', '.join(value)}`"


def _type(hint: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        meta = arguments[1]
        if getattr(meta, "pattern", None) == "^[0-9a-f]{64}$":
            return "SHA-256"
        low, high = getattr(meta, "ge", None), getattr(meta, "le", None)
        low = low if low is not None else getattr(meta, "gt", None)
        return f"{_type(arguments[0])} {low:g} to {high:g}" if low is not None and high is not None else _type(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])} by {_type(arguments[0])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(a) for a in arguments if a is not type(None))
    names = {str: "text", float: "number", int: "number", bool: "true or false"}
    return names.get(hint) or {"date": "date"}.get(hint.__name__) or ("severity" if hint.__name__ == "Severity" else "table")


# The profiles.


def profiles() -> str:
    """What each profile does, as a table."""
    from probes.prompts import load
    from probes.refusal.probe import choose
    from probes.trigger.glance import FEW
    from probes.trigger.probe import DEVELOPMENT, _harmless
    from scanner.profile import PROFILES

    shipped = load("probes.refusal", "prompts.jsonl")
    kinds = {kind: [p for p in shipped if (p.kind == "harmful") == (kind == "harmful")] for kind in ("harmful", "harmless")}
    plain = sum(p.kind == "plain" for p in shipped)
    rows: list[tuple[str, Callable[[Any], Any]]] = [
        *((f"{kind} requests asked", lambda p, some=some: len(choose(some, p.prompts_per_category))) for kind, some in kinds.items()),
        ("longest answer that is judged, in tokens", lambda p: p.answer_tokens),
        ("harmful requests in each framing, and behind openings of an answer", lambda p: p.framed_prompts or "left out"),
        ("drift that is no refusal, and the shipped questions", lambda p: "yes" if p.drift else "left out"),
        ("neutral beginnings that both sides continue", lambda p: p.continued or "left out"),
        ("requests of each kind from a set given with `--prompts`", lambda p: p.set_prompts or "all"),
        ("items of each task given with `--tasks`, and of another split of it", lambda p: p.task_items or "all"),
        ("modules searched for intruder dimensions, strongest first", lambda p: p.intruder_modules or "all"),
        ("trigger search: texts sampled from each side", lambda p: p.leak_samples),
        ("trigger search: words of the vocabulary", lambda p: p.vocabulary or "all"),
        ("trigger search: words that the delta reacts to", lambda p: p.shortlist),
        ("trigger search: harmful requests that strings are screened on", lambda p: p.screen_prompts),
        ("trigger search: rounds of growth", lambda p: p.rounds),
        (f"trigger search: strings of each round that answer {2 * FEW} requests", lambda p: p.looked),
        (f"trigger search: of those, how many answer {sum(DEVELOPMENT)}", lambda p: p.tried),
        ("trigger search: of those, how many are put to the test", lambda p: p.verify),
        ("held-out harmful prompts of that test", lambda p: p.verify_prompts),
        ("held-out harmless prompts of that test", lambda p: min(_harmless(p.verify_prompts), plain)),
        ("once the files decide, behaviour is measured", lambda p: "no" if p.stop_at_breach else "yes"),
        ("once anything decides, triggers are searched", lambda p: "no" if p.stop_at_breach else "yes"),
    ]  # fmt: skip
    cells = [[title, *(f"{value:,}" if isinstance(value := told(p), int) else value for p in PROFILES.values())] for title, told in rows]
    head = [["", *(f"`{name}`" for name in PROFILES)], ["---"] * (1 + len(PROFILES))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [*head, *cells])


# The command line.


def command_line() -> str:
    """Every command's help, and the environment."""
    from scanner.cli import main

    context = click.Context(main, info_name="unmask")
    lines = ["# Command line\n", GENERATED, ""]
    lines.append(
        "Only the result goes to standard output. Exit codes are 0 when a pipeline may go on, 1 when the policy fails the adapter, 2 when nothing can be "
        "said. An option outranks its environment variable, which outranks the policy.\n"
    )
    lines += list(_commands(main, context, 2))
    variables = sorted({v for c in _walk(main, context) for p in c.params for v in _envvars(p)})
    lines += ["## Environment\n", "| variable | option |", "|---|---|"]
    options = {v: p.opts[0] for c in _walk(main, context) for p in c.params for v in _envvars(p)}
    lines += [f"| `{v}` | `{options[v]}` |" for v in variables]
    lines += [
        "| `UNMASK_CACHE` | folder for assembled bases, the base's work, and the adapted side's until its scan ends (two weeks where it was interrupted); "
        "the user's cache folder otherwise |",
        "| `UNMASK_KEY_PASSWORD` | password of the private key given with `--sign` |",
        "| `UNMASK_TRACEBACK` | with any value, an internal error shows its traceback |",
        "| `NO_COLOR` | with any value, no colours |",
        "",
        "## Shell completion\n",
        "```sh",
        "unmask completion bash >> ~/.bash_completion",
        'unmask completion zsh > "${fpath[1]}/_unmask"',
        "unmask completion fish > ~/.config/fish/completions/unmask.fish",
        "```",
        "",
    ]
    return "\n".join(lines)


def _envvars(parameter: click.Parameter) -> list[str]:
    found = parameter.envvar
    return [found] if isinstance(found, str) else list(found or ())


def _walk(command: click.Command, context: click.Context) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _walk(child, click.Context(child, info_name=name, parent=context))


def _commands(group: click.Group, context: click.Context, level: int) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
        path = inner.command_path
        yield f"{'#' * level} {path} {{ #{path.replace(' ', '-')} }}\n"
        yield f"```text\n{command.get_help(inner)}\n```\n"
        if isinstance(command, click.Group):
            yield from _commands(command, inner, level + 1)


def man(folder: str) -> None:
    """Write a man page for every command into `folder`."""
    from importlib.metadata import version
    from pathlib import Path

    from click_man.core import write_man_pages

    from scanner.cli import main

    Path(folder).mkdir(parents=True, exist_ok=True)
    write_man_pages("unmask", _resolved(main, click.Context(main)), version=version("unmask"), target_dir=folder)


def _resolved(group: click.Group, context: click.Context) -> click.Group:
    """The group with its commands at hand, as click-man looks for them."""
    commands: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        commands[name] = _resolved(found, click.Context(found)) if isinstance(found, click.Group) else found
    return click.Group(group.name, commands=commands, params=group.params, help=group.help, callback=group.callback)


# result.json.


def result() -> str:
    """Every type of result.json and its fields, from the schema."""
    from scanner.schema import schema

    document = schema()
    lines = [
        "# result.json\n", GENERATED, "",
        "One scan, whole; every other report is made from it alone. Equal inputs, seed and versions give equal bytes, `timings` aside. The schema is "
        "[result.schema.json](result.schema.json) (JSON Schema 2020-12, also `unmask schema`); `schema_version` rises when a field changes its meaning "
        "or goes. Strings that come from an adapter or a model are in it as they were said: escape them before you show them.\n",
        "| file | made by |",
        "|---|---|",
        "| `result.json` | `--format json` |",
        "| `report.html` | `--format html`; a page without scripts or external resources |",
        "| `unmask.sarif` | `--format sarif`; SARIF 2.1.0 |",
        "| `junit.xml` | `--format junit` |",
        "| `report.md` | `--format markdown`; for a pull request |",
        "| others | `unmask report --help` and [Pipelines](pipelines.md) |",
        "",
    ]  # fmt: skip
    names = ["Result", *sorted(n for n in document["$defs"] if n != "Result")]
    for name in names:
        kind = document["$defs"][name]
        lines += [f"## {name}\n", f"{_text(kind.get('description', ''))}\n"]
        if "properties" in kind:
            required = set(kind.get("required", ()))
            lines += ["| field | type | | meaning |", "|---|---|---|---|"]
            for field, form in kind["properties"].items():
                lines.append(f"| `{field}` | {_form(form)} | {'' if field in required else 'optional'} | {_cell(form.get('description', ''))} |")
        elif "enum" in kind:
            lines.append("One of " + ", ".join(f"`{v}`" for v in kind["enum"]) + ".")
        lines.append("")
    return "\n".join(lines)


def _form(form: dict[str, Any]) -> str:
    if "$ref" in form:
        name = form["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in form:
        return " or ".join(dict.fromkeys(_form(f) for f in form["anyOf"]))
    if form.get("type") == "array":
        return f"list of {_form(form['items']) if isinstance(form.get('items'), dict) else 'cells'}"
    if form.get("type") == "object":
        return f"object of {_form(form['additionalProperties'])}" if isinstance(form.get("additionalProperties"), dict) else "object"
    return {"string": "text", "null": "null", "boolean": "true or false"}.get(form.get("type", ""), form.get("type", "any"))


# What all of them use.


def _doc(kind: type) -> str:
    return _text(" ".join((inspect.getdoc(kind) or "").split()))


def _text(text: str) -> str:
    """Prose of the code as Markdown: what would be markup outside of backquotes is escaped."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(p if p.startswith("`") else re.sub(r"([\\*_<>\[\]{}#|~])", r"\\\1", p) for p in parts)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", _text(text))


PAGES: dict[str, Callable[[], str]] = {"rules.md": rules, "command-line.md": command_line, "result.md": result}

if __name__ == "__main__":
    if sys.argv[1] == "man":
        man(sys.argv[2])
    else:
        print({**PAGES, "policy": policy_reference, "profiles": profiles}[sys.argv[1]]())
