"""The one exception a user may see: what is wrong, where, and what to do, in one line."""

from __future__ import annotations


class ScanError(Exception):
    """The scan could not be done. The message is one printable line; the command line exits with 2."""


class UnreadableAdapter(ScanError):
    """The path holds no adapter, or one whose files break their format."""


class UnusableBase(ScanError):
    """The base is missing, not a model directory, or not the base this adapter was made for."""


class CanaryFailed(ScanError):
    """Base against base was not exactly zero, or the base changed during the scan: nothing measured can be trusted."""
