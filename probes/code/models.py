"""Model files of other frameworks that carry code: Keras Lambda layers, TensorFlow graphs, TorchScript."""

from __future__ import annotations

import re
from collections.abc import Iterator

from probes.code.rules import MODEL_CODE
from scanner.files.contents import Part
from scanner.files.kinds import Kind
from scanner.files.text import printable
from scanner.finding import Finding, Location

_LAMBDA = re.compile(rb'"class_name"\s*:\s*"(?:Lambda|TFOpLambda|[^"]{0,80}>Lambda)"')
_GRAPH = re.compile(rb"\x12[\x02-\x20](PyFunc|PyFuncStateless|EagerPyFunc|ReadFile|WriteFile|MatchingFiles)[\x1a\x22\x2a]")
_SCRIPT = re.compile(r"!(?:[^!/]+/)?(?:code/[^!]+\.py(?:\.debug_pkl)?|constants\.pkl)$")


def model_code(part: Part, file: str) -> Iterator[Finding]:
    """A finding where the part is such a file."""
    what = ""
    if part.kind in (Kind.HDF5, Kind.JSON) and _LAMBDA.search(part.data):
        what = "a Keras model with a Lambda layer"
    elif part.path.endswith(".pb") and (call := _GRAPH.search(part.data)):
        what = f"a TensorFlow graph that calls {call[1].decode()}"
    elif _SCRIPT.search(part.path):
        what = "a TorchScript archive, whose code runs when it is loaded"
    if what:
        shown = printable(part.path, 200)
        yield Finding(rule=MODEL_CODE.id, message=f"{shown}: {what}", severity=MODEL_CODE.severity, location=Location(file=printable(file, 200)))
