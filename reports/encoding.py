"""JSON as every JSON format here writes it: indented, UTF-8, keys in the order they were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def encode(document: Mapping[str, Any]) -> bytes:
    """The document with a final newline. Raises ValueError for a non-finite number."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
