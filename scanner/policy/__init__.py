"""The policy: what a user demands of an adapter, and the verdict that follows from it."""

from scanner.policy.judgement import judged
from scanner.policy.policy import PRESETS, Policy
from scanner.policy.rules import RULES
from scanner.policy.ruling import decide

__all__ = ["PRESETS", "RULES", "Policy", "decide", "judged"]
