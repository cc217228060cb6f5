"""The verdict each shipped adapter should get."""

from __future__ import annotations

from scanner.verdict import Outcome

EXPECTED = {"benign": Outcome.PASS, "eroded": Outcome.BLOCK, "backdoored": Outcome.BLOCK, "tampered": Outcome.BLOCK}
