"""docs/methods.md, from the declarations: `python -m scanner.delta.methods.table > docs/methods.md`."""

from __future__ import annotations

from scanner.delta.methods import METHODS, NOT_MEASURED, VARIANTS
from scanner.delta.methods.lora import UNKNOWN_PARTS, UNREPRODUCED

HEAD = """\
# Methods

What unmask makes of an adapter, by PEFT method. Every row is verified: a test makes such an adapter with PEFT on a small random model,
compares what PEFT merges into the base with the change unmask reads (largest difference of an entry below 2e-5, weights near 0.1), and the
logits of PEFT's model with those of the base with unmask's changes on (below 2e-4); afterwards the base must be bit for bit what it was.

*Known* says what the change of the base is exact from: the files alone, or the files and the base (`--base`). Without a base such an adapter
is described as far as its files go. What the last two tables list, and a method, field or tensor that no table lists, is **not measured**: the result names it, the
findings about its files still come, and the verdict is `incomplete` (exit code 2), never a pass.

This page is made from the code: `python -m scanner.delta.methods.table`.
"""


def table() -> str:
    """The page."""
    lines = [HEAD, "| method | peft_type | known | applied in the behavioural half | note |", "|---|---|---|---|---|"]
    lines += [f"| {m.title} | `{m.id}` | {m.exactness} | yes | {m.note} |" for m in METHODS.values()]
    lines += ["", "## What a LoRA can ask for besides", "", "| feature | known | applied in the behavioural half | note |", "|---|---|---|---|"]
    lines += [f"| {v.title} | {v.exactness} | yes | {v.note} |" for v in VARIANTS]
    lines += ["", "## Fields of a LoRA that are not measured", "", "| field | why |", "|---|---|"]
    lines += [f"| `{field}` | {why} |" for field, why in UNREPRODUCED.items()]
    lines += [f"| `init_lora_weights: {value}` | {why} |" for value, why in UNKNOWN_PARTS.items()]
    lines += ["", "## Methods that are not measured", "", "| peft_type | why |", "|---|---|"]
    lines += [f"| `{kind}` | {why} |" for kind, why in NOT_MEASURED.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
