"""The fields of every configuration class of PEFT, and the JSON types each takes, read from PEFT's source without importing it.

python -m tests.peft_fields > probes/config/fields.json
"""

from __future__ import annotations

import ast
import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

SIMPLE = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "dict": "object",
    "list": "array",
    "tuple": "array",
    "set": "array",
    "None": "null",
}
Fields = dict[str, list[str]]


def table() -> dict[str, Fields]:
    """JSON types by field, by `peft_type`."""
    classes = _classes()
    found = {kind: _fields(name, classes) for name, (node, _) in classes.items() if (kind := _kind(node)) is not None}
    return dict(sorted(found.items()))


def _classes() -> dict[str, tuple[ast.ClassDef, list[str]]]:
    """Class by name, with the names of its bases."""
    spec = find_spec("peft")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    root = Path(spec.submodule_search_locations[0])
    found = {}
    for path in [root / "config.py", root / "tuners" / "lycoris_utils.py", *sorted(root.glob("tuners/*/config.py"))]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = (node, [b.id for b in node.bases if isinstance(b, ast.Name)])
    return found


def _kind(node: ast.ClassDef) -> str | None:
    """The peft_type that `__post_init__` sets."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assign) and isinstance(inner.targets[0], ast.Attribute) and inner.targets[0].attr == "peft_type":
            value = inner.value
            if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "PeftType":
                return value.attr
    return None


def _fields(name: str, classes: dict[str, tuple[ast.ClassDef, list[str]]]) -> Fields:
    if name not in classes:
        return {}
    node, bases = classes[name]
    found: Fields = {}
    for base in bases:
        found |= _fields(base, classes)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and "ClassVar" not in ast.unparse(item.annotation):
            found[item.target.id] = sorted(_types(item.annotation))
    return dict(sorted(found.items()))


def _types(node: ast.expr) -> set[str]:
    """JSON types that a value of the annotation has; a class is an object or text (an enumeration)."""
    if isinstance(node, ast.Constant):
        return {"null"} if node.value is None else _types(ast.parse(str(node.value), mode="eval").body)
    if isinstance(node, ast.BinOp):
        return _types(node.left) | _types(node.right)
    if isinstance(node, ast.Subscript):
        outer = ast.unparse(node.value).rsplit(".", 1)[-1]
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal":
            return {_constant(e) for e in inner}
        if outer in ("Union", "Optional"):
            return set().union(*map(_types, inner), {"null"} if outer == "Optional" else set())
        return _types(node.value)
    name = ast.unparse(node).rsplit(".", 1)[-1]
    if name in SIMPLE:
        return {SIMPLE[name], "integer"} if name == "float" else {SIMPLE[name]}
    return (
        {"any"}
        if name == "Any"
        else {"object"}
        if name.endswith(("Config", "Dict", "Mapping"))
        else {"string"}
        if name.endswith(("Type", "Init"))
        else {"object", "string", "array"}
    )


def _constant(node: ast.expr) -> str:
    value = ast.literal_eval(node)
    return "null" if value is None else "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "integer"


if __name__ == "__main__":
    print(json.dumps({"peft": version("peft"), "fields": table()}, indent=1))
