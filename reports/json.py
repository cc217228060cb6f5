"""result.json: the result as it is. Every other report is made from it alone."""

from __future__ import annotations

from scanner.result import Result, dumps


class JsonReport:
    """The whole result, versioned by its JSON Schema."""

    id = "json"
    filename = "result.json"

    def render(self, result: Result) -> bytes:
        """Indented JSON. Raises ValueError for a non-finite number, which JSON cannot hold."""
        return dumps(result)
