"""What an adapter and a model say cannot become markup, run, reach the network, or change what the verdict says: in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from scanner.result import Result
from tests.reports.browser.conftest import Shown
from tests.reports.sample import full

Show = Callable[..., Shown]

PAYLOADS = {
    "script": "</style></title></svg></bdi></td></table><script>window.pwned = 1; document.querySelector('.outcome').textContent = 'pass'</script>",
    "image": "<img src=http://attacker.example/x onerror='window.pwned = 1'><iframe src=http://attacker.example/></iframe>",
    "link": "<a href=javascript:window.pwned=1>click</a><meta http-equiv=refresh content='0;url=http://attacker.example/'><base href=http://attacker.example/>",
    "style": "'\"><style>.outcome{display:none}body::before{content:'PASS'}</style><link rel=stylesheet href=http://attacker.example/x.css>",
    "svg": "<svg onload='window.pwned=1'><foreignObject><form action=http://attacker.example><button autofocus onfocus='window.pwned=1'>x</button></form></foreignObject></svg>",
    "template": "{{ 7 * 7 }}{% for x in range(9) %}x{% endfor %}${7*7}<!-- --!> ]]> &lt;script&gt; &#60;b&#62;",
    "bidi": "\u202eSSAP\u202c \u2066\u2067kcolb\u2069 \u200fabc\u200e \u061c",
    "invisible": "a\u200bb\u200cc\u2060d\ufeffe\u00adf\u3164g\u115fh\U000e0041\U000e007f",
    "controls": "a\x00b\x1b[2Jc\rd\x7fe\x85f\u2028g\u2029h",
    "marks": "Z" + "\u0335\u0336\u0337\u0338\u0489\u20dd" * 60,
    "long": "A" * 10_000_000,
    "long line of markup": "<b>" * 3_500_000,
    "lines": "line\n" * 2_000_000,
    "surrogate": "\ud800\udfff half a pair",
}
_OURS = {"rule", "status", "kind", "outcome", "severity", "basis", "sha256", "policy_sha256", "id", "state", "direction", "mark", "who"}


def poisoned(value: Any, payload: str) -> Any:
    """`value` with every string that an adapter, a model or a third party may have written set to `payload`."""
    if isinstance(value, str) and type(value) is str:
        return payload
    if isinstance(value, msgspec.Struct):
        kept = _OURS | ({"title", "meaning", "why", "fix", "references"} if type(value).__name__ == "Rule" else set())
        return msgspec.structs.replace(value, **{f: poisoned(getattr(value, f), payload) for f in value.__struct_fields__ if f not in kept})
    if isinstance(value, tuple):
        return tuple(poisoned(v, payload) for v in value)
    if isinstance(value, dict):
        return {poisoned(k, payload): poisoned(v, payload) for k, v in value.items()}
    return value


def hostile(payload: str) -> Result:
    """A blocked result in which every untrusted string is `payload`; what unmask itself says stays."""
    result = full()
    told = msgspec.structs.replace(result.verdict, reasons=tuple(msgspec.structs.replace(r, text=payload) for r in result.verdict.reasons))
    tables = tuple(
        msgspec.structs.replace(t, title=payload, rows=tuple(tuple(payload if isinstance(c, str) and c not in _KEPT else c for c in row) for row in t.rows))
        for t in result.tables
    )
    return msgspec.structs.replace(
        poisoned(msgspec.structs.replace(result, tables=(), verdict=msgspec.structs.replace(told, reasons=())), payload),
        tables=tables, verdict=told, rules=result.rules,
    )  # fmt: skip


_KEPT = {"harmful", "lookalike", "plain"}
VERDICT = """(() => ({
    outcome: document.querySelector('.outcome').innerText,
    shown: getComputedStyle(document.querySelector('.outcome')).display,
    title: document.querySelector('h1').innerText,
    means: document.querySelector('.means').innerText,
    chips: [...document.querySelectorAll('.reasons .chip')].map(e => e.innerText),
    headings: [...document.querySelectorAll('h2')].map(e => e.innerText),
    sections: [...document.querySelectorAll('main > section')].map(e => e.id),
}))()"""
FOREIGN = "[...document.querySelectorAll('script, img, iframe, object, embed, link, form, base, button, input, foreignObject, video, audio')].length"
ATTRIBUTES = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => a.name.startsWith('on') || /^(https?|javascript|data):/i.test(a.value)).length"
INVISIBLE = r"/[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u061c\u2060\ufeff\u00ad\u3164\u115f]/.test(document.body.innerText + document.title)"


@pytest.mark.parametrize("name", PAYLOADS)
def test_hostile_strings_change_nothing_that_unmask_says(name: str, show: Show) -> None:
    usual = show(full(), earlier=full()).evaluate(VERDICT)
    shown = show(hostile(PAYLOADS[name]), earlier=full())
    assert shown.evaluate(VERDICT) == usual
    assert shown.evaluate("window.pwned") is None
    assert shown.evaluate(FOREIGN) == 0
    assert shown.evaluate("document.querySelectorAll('style').length") == 1
    assert shown.evaluate("document.querySelectorAll('meta[http-equiv]').length") == 1
    assert shown.evaluate(ATTRIBUTES) == 0
    assert not shown.evaluate(INVISIBLE)
    assert shown.asked == []
    assert shown.said == []
    assert shown.evaluate("document.documentElement.outerHTML.length") < 1_500_000
    assert shown.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_the_policy_of_the_page_stops_a_script_even_where_markup_got_in(show: Show) -> None:
    shown = show(full())
    shown.evaluate("""document.body.insertAdjacentHTML('beforeend', "<img src='data:image/png;base64,x' onerror='window.pwned = 1'>")""")
    shown.evaluate("(() => { const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s) })()")
    shown.evaluate("(() => { const s = document.createElement('style'); s.textContent = '.outcome { display: none }'; document.body.append(s) })()")
    shown.page.wait_for_timeout(100)
    assert shown.evaluate("window.pwned") is None
    assert shown.evaluate("getComputedStyle(document.querySelector('.outcome')).display") != "none"
