"""The JSON Schema of result.json, made from the types it is read and written with and explained by their own docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import msgspec
from msgspec.inspect import StructType

from scanner.result import SCHEMA_VERSION, Result


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of result.json."""
    document = msgspec.json.schema(Result)
    for kind in _structs(Result):
        properties = document["$defs"][kind.__name__]["properties"]
        for name, text in explained(kind).items():
            properties[name]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:unmask:result:{SCHEMA_VERSION}", **document}


def text() -> bytes:
    """The schema as it stands in docs/result.schema.json."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="deterministic"), indent=2) + b"\n"


def _structs(root: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """`root` and every struct in its fields, at any depth."""
    found: list[type[msgspec.Struct]] = []

    def look(value: Any) -> None:
        if isinstance(value, StructType) and value.cls not in found:
            found.append(value.cls)
        elif isinstance(value, StructType):
            return
        if isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                look(getattr(value, name))
        elif isinstance(value, tuple):
            for item in value:
                look(item)

    look(msgspec.inspect.type_info(root))
    return found


def explained(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The string below each field of a class, by field."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found
