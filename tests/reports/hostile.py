"""A result in which every free text tries to be something else."""

from __future__ import annotations

from typing import Any

import msgspec

from scanner.result import Result
from tests.reports.sample import full

TEXT = (
    "<img src=x onerror=alert(1)> @octocat #12 GH-34 https://evil.example www.evil.example evil@evil.example a|b \\|c \\\\|d `x` ``y ```\n"
    "# heading\n- [ ] task\n| a | b |\n|---|---|\n</details> <script>alert(1)</script> <!-- --> ]]> <x/> &amp; &#64; "
    "[link](javascript:alert(1)) [1](1) ![i](https://evil.example/i.png) {0} %s $(id) *b* _i_ ~~s~~ :tada: "
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef \u202e\u200b\x1b[2J\x00\ufffe\x7f\r\u2028 ~~~\n```text\n"
)
_FREE = {
    "name", "path", "method", "declared_base", "licence", "architecture", "headline", "text", "policy", "message", "details", "claim", "prompt", "category",
    "base", "adapted", "trigger", "title", "unit", "note", "what", "surface", "bound", "why", "meaning", "fix", "file", "item", "catalogue", "reason",
    "owner", "expires", "tool", "profile", "datasets", "target_modules", "value",
}  # fmt: skip


def hostile() -> Result:
    """The sample with `TEXT` in every string that is not an id, a hash or an enumeration."""
    return msgspec.convert(_poisoned(msgspec.to_builtins(full())), Result)


def _poisoned(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: _poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_poisoned(v, key) for v in value]
    return f"{value} {TEXT}" if isinstance(value, str) and key in _FREE else value
