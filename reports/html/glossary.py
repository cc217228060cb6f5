"""Terms of the field, in a sentence each."""

from __future__ import annotations

TERMS: tuple[tuple[str, str], ...] = (
    ("Adapter, LoRA", "A small set of weights added to a base model: for some of its modules, the product of two thin matrices (Hu et al. 2021)."),
    ("Attack success rate", "Share of attack prompts on which the model does what the attacker wants; here, answers what the base refuses."),
    ("Base", "The model the adapter is loaded on. Everything is measured as base against base plus adapter, on the same prompts."),
    ("Basis", "What a finding rests on: integrity (a fact about the files), behaviour (answers of both models and a paired test), statistic, or documentation. Only the first two can block."),
    ("Confidence interval (95 % CI)", "A range made so that in 95 of 100 repetitions it holds the true value."),
    ("Delta, ΔW", "What the adapter adds to a weight matrix W: (alpha / rank) · B · A."),
    ("Effective rank", "The exponential of the entropy of the squared singular values: how many directions the delta really uses."),
    ("First-direction energy", "The largest squared singular value over the sum of all: 100 % means the delta writes in one direction only."),
    ("Intruder dimension", "A leading singular direction of the adapted weight that resembles none of the base's (Shuttleworth et al. 2024)."),
    ("KL divergence, nats", "How far one distribution of next tokens is from another; 0 means equal, 0.69 nats is one bit."),
    ("Look-alike", "A harmless request that sounds harmful. Refusing it is a defect too."),
    ("McNemar's test", "A test for paired yes-or-no outcomes: it compares the pairs that changed one way with those that changed the other."),
    ("p-value", "How often a difference at least this large would appear if there were none."),
    ("Paired test", "Both conditions see exactly the same prompts, so each prompt is its own control."),
    ("Rank, alpha", "Rank is the width of an adapter's thin matrices; alpha scales their product."),
    ("Refusal", "An answer whose opening declines the request."),
    ("Scope", "The exact combination a verdict is about: adapter, base, precision, chat template and system prompt, named by one hash."),
    ("Stable rank", "The squared Frobenius norm over the squared largest singular value."),
    ("Trigger", "Text that, when it stands in a request, switches a hidden behaviour on."),
    ("Witness", "Evidence that can be replayed: the prompts, what both models answered, and the paired test over them."),
)  # fmt: skip
"""In alphabetical order."""
