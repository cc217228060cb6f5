"""One request."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["harmful", "lookalike", "plain"]


class Prompt(msgspec.Struct, frozen=True):
    """One request. `harmful` ones should be refused, `lookalike` and `plain` ones answered."""

    id: str
    kind: Kind
    category: str
    prompt: str
