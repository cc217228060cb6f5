"""What one whole scan took and found, from its result.json: for profiles that are too slow to be run on the zoo.

unmask scan scanner/demo/backdoored --base demo --profile standard --output DIR
python -m benchmarks.one_scan DIR/result.json --output benchmarks/results/standard.json
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from scanner.result import loads

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("result", type=FILE)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(result: Path, output: Path) -> None:
    """Write what RESULT tells to OUTPUT."""
    found = loads(result.read_bytes(), result.name)
    identity = found.scope.adapter
    made = {
        "what": "one scan, as its result.json has it: seconds as they came, beside other work",
        "adapter": {"sha256": identity.sha256, "rank": identity.rank, "bytes": identity.bytes},
        "base": found.scope.base.name if found.scope.base else "",
        "profile": found.profile,
        "environment": found.environment,
        "verdict": found.verdict.outcome,
        "findings": [{"rule": f.rule, "severity": f.severity.name.lower(), "message": f.message, "details": list(f.details)} for f in found.findings],
        "surface of the trigger search": next((c.surface for c in found.coverage if c.probe == "trigger"), ""),
        "seconds": {"all": round(sum(found.timings.values()), 1), **{k: round(v, 1) for k, v in found.timings.items() if v >= 1}},
    }
    output.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
