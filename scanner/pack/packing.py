"""Making a pack from a result: the result, its reports, the policy it was judged under, the prompts that were asked, and a signature."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from scanner.errors import ScanError
from scanner.files.text import printable
from scanner.measurement import Status
from scanner.pack import archive, manifest, signature
from scanner.pack.manifest import NAME, POLICY, README, RESULT, SIGNATURE, Role
from scanner.policy import PRESETS, Policy
from scanner.probe import probes
from scanner.report import Report
from scanner.result import Result, dumps

LARGEST_DATA = 32 * 1024 * 1024
"""Bytes of one data file of a probe."""
TEXT = """An evidence pack of unmask: what was found when a model adapter was tested, and everything that verdict rests on.

  result.json    the whole result: findings, measurements, prompts, answers, versions, hashes of the adapter's files and of the base
  policy.toml    the policy it was judged under
  reports/       the same result for readers and for tools
  prompts/       the prompt files of the probes that measured
  manifest.json  every file with its SHA-256
  signature.json who vouches for these files, where the pack was signed

Check it, offline:               unmask verify-pack PACK.zip --key PUBLIC.pem
Ask both models again:           unmask replay PACK.zip --adapter FOLDER --base MODEL
Check the signature without it:  unzip PACK.zip -d pack && model_signing verify key pack --signature pack/signature.json --public_key PUBLIC.pem
"""


def pack(result: Result, formats: Sequence[type[Report]], *, policy: Path | str | None = None, key: Path | None = None) -> bytes:
    """The archive. Equal results, formats and keys give equal bytes.

    `policy` is the policy of the scan, where it is not a shipped one; `key` is a private key in PEM. Raises ScanError when the policy is
    not the one the result was judged under.
    """
    held: dict[str, tuple[Role, bytes]] = {
        README: (Role.README, TEXT.encode()),
        RESULT: (Role.RESULT, dumps(result)),
        POLICY: (Role.POLICY, _policy(result, policy)),
    }
    for kind in formats:
        if kind.id != "json":
            held[f"reports/{kind.filename}"] = (Role.REPORT, kind().render(result))
    for path, data in _prompts(result).items():
        held[f"prompts/{path}"] = (Role.PROMPTS, data)
    contents = {path: data for path, (_, data) in held.items()}
    contents[NAME] = manifest.encode(manifest.make(result.tool, result.scope.sha256, held))
    if key:
        contents[SIGNATURE] = signature.sign(contents, key)
    return archive.write(contents)


def same_tool(result: Result) -> bool:
    """Whether this unmask is the version that made the result, so that its own files and reports can stand for it."""
    return result.tool == f"unmask {version('unmask')}"


def _policy(result: Result, given: Path | str | None) -> bytes:
    wanted, name = result.verdict.policy_sha256, printable(result.verdict.policy, 60)
    for source in [given] if given else PRESETS:
        path = Policy.path(source)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ScanError(f"{printable(path)}: cannot be read ({error.strerror})") from None
        found = hashlib.sha256(data).hexdigest()
        if found == wanted:
            return data
    which = f"the policy given has SHA-256 {found[:16]}…" if given else "none of the shipped policies is it"
    raise ScanError(f"{which}: the result was judged under {name}, {wanted[:16]}…: give that with --policy")


def _prompts(result: Result) -> dict[str, bytes]:
    """Data files shipped beside the probes that measured, by package; none where another version made the result."""
    if not same_tool(result):
        return {}
    measured = {c.probe for c in result.coverage if c.status is Status.MEASURED}
    found = {}
    for package in sorted({type(p).__module__.rpartition(".")[0] for p in probes() if p.id in measured}):
        for item in sorted(files(package).iterdir(), key=lambda i: i.name):
            if item.is_file() and Path(item.name).suffix in (".jsonl", ".txt", ".json", ".csv"):
                data = item.read_bytes()
                if len(data) <= LARGEST_DATA:
                    found[f"{package}/{item.name}"] = data
    return found
