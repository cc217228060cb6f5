"""The comparison as it is."""

from __future__ import annotations

import msgspec

from scanner.comparison import Comparison


class JsonComparison:
    """Every field of the comparison."""

    id = "json"

    def render(self, comparison: Comparison) -> bytes:
        """Indented JSON."""
        return msgspec.json.format(msgspec.json.encode(comparison, order="deterministic"), indent=2) + b"\n"
