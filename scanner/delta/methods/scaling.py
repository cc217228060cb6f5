"""What B A is multiplied by, module by module: alpha over rank, with the patterns of a configuration."""

from __future__ import annotations

from scanner.delta.reading import Reading
from scanner.files.config import AdapterConfig

MOST_MATCHES = 4_000_000


class Scales:
    """The scale of each module; one that cannot be computed is said to be not measured."""

    def __init__(self, reading: Reading, config: AdapterConfig, modules: int) -> None:
        """`modules` tells how often the patterns will be matched."""
        self._reading, self._config = reading, config
        patterns = len(config.rank_pattern or ()) + len(config.alpha_pattern or ())
        self.refused = patterns * modules > MOST_MATCHES
        """Whether there are more patterns and modules than can be matched, so that no module is measured."""
        if self.refused:
            reading.refuse("adapter_config.json", f"{patterns:,} patterns for {modules:,} modules, more than can be matched")

    def of(self, module: str) -> float | None:
        """The scale, or None."""
        try:
            return self._config.scaling(module)
        except ValueError as error:
            self._reading.refuse(module, str(error))
            return None

    def rank(self, module: str) -> int:
        """The rank the configuration gives, once `of` gave a scale."""
        return self._config.rank(module)
