"""Cases that a scan does not yet treat as it should, one a line in known_gaps.txt: the case, then why.

python -m tests.evasions.known_gaps    scans them again and takes out those that are closed
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.evasions.case import Case, cases, met
from benchmarks.evasions.isolated import Examiner, Seen

FILE = Path(__file__).with_name("known_gaps.txt")


def known_gaps() -> dict[str, str]:
    """Why, by case."""
    return {case: why for case, _, why in (line.partition("  ") for line in FILE.read_text().splitlines() if line)}


def look(case: Case, examiner: Examiner) -> Seen:
    """What a scan of the case's files comes to."""
    with tempfile.TemporaryDirectory() as folder:
        return examiner.examine(case.build(Path(folder) / "case"))


def main() -> None:
    """Keep the gaps that are still open."""
    gaps = known_gaps()
    with Examiner() as examiner:
        for case in cases():
            if case.id in gaps:
                seen = look(case, examiner)
                if met(case.expect, seen.outcome, len(seen.rules)):
                    print("closed:", case.id)
                    del gaps[case.id]
    FILE.write_text("".join(f"{case}  {why}\n" for case, why in gaps.items()))


if __name__ == "__main__":
    main()
