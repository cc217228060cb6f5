"""IA3: every output of a module, or every input of a feed-forward module, times a learned factor. arXiv 2205.05638."""

from __future__ import annotations

from scanner.delta.reading import Reading
from scanner.delta.scaled import Scaled


def read(reading: Reading) -> None:
    """A row of factors scales inputs, a column outputs."""
    for module, tensors in reading.groups("ia3_l").items():
        gain = tensors["ia3_l"]
        if len(gain.shape) != 2 or 1 not in gain.shape:
            reading.refuse(module, f"ia3_l {list(gain.shape)} is neither a row nor a column")
        else:
            reading.changes.append(Scaled(module=module, gain=gain.flat, inputs=gain.shape[0] == 1))
