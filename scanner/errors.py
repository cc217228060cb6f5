"""The one exception a user may see: what is wrong, where, and what to do, in one line."""

from __future__ import annotations

import traceback
from pathlib import Path

from scanner.files.text import printable


class ScanError(Exception):
    """The scan could not be done. The message is one printable line; the command line exits with 2."""


class UnreadableAdapter(ScanError):
    """The path holds no adapter, or one whose files break their format."""


class UnusableBase(ScanError):
    """The base is missing, not a model directory, or not the base this adapter was made for."""


class CanaryFailed(ScanError):
    """Base against base was not exactly zero, or the base changed during the scan: nothing measured can be trusted."""


def internal(error: Exception) -> str:
    """One printable line for an error that is none of these: its kind, where it came from, and what it says."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"internal error, please report it: {type(error).__name__} at {Path(where.filename).name}:{where.lineno} ({printable(error, 160)})"
