"""Rules that the policy itself raises."""

from __future__ import annotations

from scanner.rule import ATLAS_SUPPLY_CHAIN, NIST_FINE_TUNING, NIST_MODEL_CARDS, NIST_THIRD_PARTY, OWASP_SUPPLY_CHAIN, Basis, Rule, Severity

BASE = Rule(
    id="base-not-allowed",
    title="The policy does not allow this base",
    severity=Severity.HIGH,
    basis=Basis.INTEGRITY,
    meaning="Neither the name nor the SHA-256 of the base is on the policy's list.",
    why="What was measured holds for this base alone, and it is not one that may be deployed.",
    fix="Scan on an allowed base, or add this one to the policy by its SHA-256.",
    references=(ATLAS_SUPPLY_CHAIN, OWASP_SUPPLY_CHAIN),
)
DECLARED_BASE = Rule(
    id="declared-base-not-allowed",
    title="The adapter is made for a base that the policy does not allow",
    severity=Severity.MEDIUM,
    basis=Basis.DOCUMENTATION,
    meaning="The configuration names a base that is not on the policy's list, or none.",
    why="An adapter runs on the base it was trained for; the name is the uploader's word, so this alone cannot block.",
    fix="Scan with --base on the base you deploy.",
    references=(OWASP_SUPPLY_CHAIN,),
)
LICENCE = Rule(
    id="licence-not-allowed",
    title="The policy does not allow this licence",
    severity=Severity.MEDIUM,
    basis=Basis.DOCUMENTATION,
    meaning="The model card declares a licence that is not on the policy's list, or none.",
    why="Using it may break its terms or yours. A card is the uploader's word, so this alone cannot block.",
    fix="Ask the author for the licence, or your lawyers for the list.",
    references=(NIST_MODEL_CARDS,),
)
LIMIT = Rule(
    id="limit-exceeded",
    title="A measurement is beyond the policy's limit",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning="The value, or the unfavourable end of its 95 % interval, is on the wrong side of a limit in the policy.",
    why="You set this limit. A wide interval also crosses it: the scan then measured too little to say that it holds.",
    fix="Look at the measurement and its interval; scan with a deeper profile where the interval is wide.",
    references=(NIST_THIRD_PARTY,),
)
WORSE = Rule(
    id="worse-than-baseline",
    title="It is worse than the result that was accepted",
    severity=Severity.MEDIUM,
    basis=Basis.STATISTIC,
    meaning="Against the policy's baseline there is a new finding, one that weighs more, a measurement that changed for the worse beyond chance, or less was measured.",
    why="What was accepted was another state of affairs.",
    fix="See the lines below; accept the new result as the baseline, or do not deploy.",
    references=(NIST_THIRD_PARTY, NIST_FINE_TUNING),
)
RULES = (BASE, DECLARED_BASE, LICENCE, LIMIT, WORSE)
