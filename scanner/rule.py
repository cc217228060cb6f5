"""Rules: what unmask can say about an adapter, each declared once with everything a reader needs."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad a finding is if it is true. The policy turns severities into outcomes."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def level(self) -> int:
        """0 for `info` up to 4 for `critical`."""
        return list(Severity).index(self)


class Basis(StrEnum):
    """What a rule's findings rest on. Only the first two can ever block a release."""

    INTEGRITY = "integrity"
    """A fact about the files."""
    BEHAVIOUR = "behaviour"
    """Answers of base and adapted model to the same prompts, with a paired test."""
    STATISTIC = "statistic"
    """A number computed from weights or activations: it explains and steers, it never blocks."""
    DOCUMENTATION = "documentation"
    """What the model card or the configuration says or leaves out."""


class Reference(msgspec.Struct, frozen=True):
    """An entry of a public catalogue."""

    catalogue: str
    id: str
    title: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of finding. `id` is stable across versions and unique across probes."""

    id: str
    title: str
    severity: Severity
    basis: Basis
    meaning: str
    """What was seen, in one sentence."""
    why: str
    """Why it matters, and when it is harmless."""
    fix: str
    """What the reader should do."""
    references: tuple[Reference, ...] = ()


ATLAS_SUPPLY_CHAIN = Reference("MITRE ATLAS", "AML.T0010.003", "AI Supply Chain Compromise: Model")
ATLAS_UNSAFE_ARTIFACT = Reference("MITRE ATLAS", "AML.T0011.000", "User Execution: Unsafe AI Artifacts")
ATLAS_POISON_MODEL = Reference("MITRE ATLAS", "AML.T0018.000", "Manipulate AI Model: Poison AI Model")
ATLAS_MODIFY_ARCHITECTURE = Reference("MITRE ATLAS", "AML.T0018.001", "Manipulate AI Model: Modify AI Model Architecture")
ATLAS_EMBED_MALWARE = Reference("MITRE ATLAS", "AML.T0018.002", "Manipulate AI Model: Embed Malware")
ATLAS_ERODE_INTEGRITY = Reference("MITRE ATLAS", "AML.T0031", "Erode AI Model Integrity")
ATLAS_TRIGGER = Reference("MITRE ATLAS", "AML.T0043.004", "Insert Backdoor Trigger")
ATLAS_MASQUERADING = Reference("MITRE ATLAS", "AML.T0074", "Masquerading")
ATLAS_CORRUPT = Reference("MITRE ATLAS", "AML.T0076", "Corrupt AI Model")
OWASP_SUPPLY_CHAIN = Reference("OWASP LLM 2026", "LLM04", "Supply Chain")
OWASP_POISONING = Reference("OWASP LLM 2026", "LLM05", "Data and Model Poisoning")
OWASP_INJECTION = Reference("OWASP LLM 2026", "LLM01", "Prompt Injection")
OWASP_DISCLOSURE = Reference("OWASP LLM 2026", "LLM02", "Sensitive Information Disclosure")
OWASP_CONSUMPTION = Reference("OWASP LLM 2026", "LLM06", "Unbounded Consumption")
CWE_DESERIALIZATION = Reference("CWE", "CWE-502", "Deserialization of Untrusted Data")
CWE_TRAVERSAL = Reference("CWE", "CWE-22", "Improper Limitation of a Pathname to a Restricted Directory")
CWE_INJECTION = Reference("CWE", "CWE-74", "Improper Neutralization of Special Elements in Output Used by a Downstream Component")
CWE_INTERPRETATION = Reference("CWE", "CWE-436", "Interpretation Conflict")
CWE_RESOURCES = Reference("CWE", "CWE-400", "Uncontrolled Resource Consumption")
CWE_TEMPLATE = Reference("CWE", "CWE-1336", "Improper Neutralization of Special Elements Used in a Template Engine")
CWE_REGEX = Reference("CWE", "CWE-1333", "Inefficient Regular Expression Complexity")
CWE_UNTRUSTED_INCLUDE = Reference("CWE", "CWE-829", "Inclusion of Functionality from Untrusted Control Sphere")
CWE_CREDENTIALS = Reference("CWE", "CWE-540", "Inclusion of Sensitive Information in Source Code")
CWE_EXPOSURE = Reference("CWE", "CWE-359", "Exposure of Private Personal Information to an Unauthorized Actor")
CWE_HIDDEN_TEXT = Reference("CWE", "CWE-1007", "Insufficient Visual Distinction of Homoglyphs Presented to User")
CWE_NO_INTEGRITY_CHECK = Reference("CWE", "CWE-494", "Download of Code Without Integrity Check")
NIST_FINE_TUNING = Reference("NIST AI 600-1", "MS-2.7-008", "Verify fine-tuning does not compromise safety and security controls")
NIST_THIRD_PARTY = Reference("NIST AI 600-1", "MG-3.1-003", "Re-assess model risks after fine-tuning")
NIST_MODEL_CARDS = Reference("NIST AI 600-1", "MG-3.1-005", "Review model cards of third-party models")
