"""unmask's engine: one deployment in, one verdict out.

from scanner import scan
result = scan("path/to/adapter", base="path/to/model")
"""

from scanner.scan import scan

__all__ = ["scan"]
