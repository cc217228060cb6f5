from __future__ import annotations

import numpy as np

from scanner.files.weights import floats


def bits(values: np.ndarray) -> list[int]:
    return values.view(np.uint32).tolist()


def test_every_half_precision_number_is_read_exactly() -> None:
    every = np.arange(65536, dtype="<u2").view("<f2")
    some = every[np.isfinite(every)]
    for halves in (every, some, some[:0]):
        read = floats(halves.tobytes(), "F16")
        assert read is not None
        assert bits(read) == bits(halves.astype(np.float32))
