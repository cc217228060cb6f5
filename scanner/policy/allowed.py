"""Lists of what is allowed: bases, licences, signers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from scanner.finding import Finding, Location
from scanner.policy.policy import Policy
from scanner.policy.rules import BASE, DECLARED_BASE, LICENCE
from scanner.result import Scope
from scanner.trust import Trust


def outside(policy: Policy, scope: Scope) -> Iterator[Finding]:
    """A finding for each thing that is on none of the policy's lists."""
    bases, licences = policy.allow.bases, {one.casefold() for one in policy.allow.licences}
    if bases and scope.base is not None and not {scope.base.name, scope.base.sha256} & set(bases):
        told = f"{scope.base.name}, SHA-256 {scope.base.sha256}"
        yield Finding(rule=BASE.id, message=f"{told}, is none of the {len(bases)} allowed", severity=BASE.severity)
    if bases and scope.base is None and scope.adapter.declared_base not in bases:
        told = scope.adapter.declared_base or "no base at all"
        where = Location(file="adapter_config.json", item="base_model_name_or_path")
        yield Finding(rule=DECLARED_BASE.id, message=f"the adapter names {told}", severity=DECLARED_BASE.severity, location=where)
    if licences and scope.adapter.licence.casefold() not in licences:
        told = f"declares {scope.adapter.licence}" if scope.adapter.licence else "declares no licence"
        where = Location(file="README.md", item="license")
        yield Finding(rule=LICENCE.id, message=f"the card {told}; allowed: {', '.join(policy.allow.licences)}", severity=LICENCE.severity, location=where)


def signers(policy: Policy, trust: Trust) -> Trust:
    """`trust` with the policy's signers pinned, where the user pinned none."""
    if trust.pinned or not policy.allow.signers:
        return trust
    one = policy.allow.signers[0]
    if one.identity:
        return msgspec.structs.replace(trust, identity=one.identity, issuer=one.issuer)
    return msgspec.structs.replace(trust, public_keys=tuple(policy.folder / s.key for s in policy.allow.signers))
