"""The command line: one command a module, found by its file name; modules whose name begins with `_` are what they share.

Results go to standard output, everything else to standard error.
"""

from scanner.cli._group import main

__all__ = ["main"]
