"""What a folder tells about the one who uploaded it: keys, names of people and machines, and what training left behind."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from probes.code.probe import PICKLE_NAMES
from scanner.files.inventory import File
from scanner.files.kinds import Kind
from scanner.files.opcodes import opcodes
from scanner.files.text import printable
from scanner.files.zips import open_zip
from scanner.finding import Finding, Location
from scanner.measurement import Coverage, Status
from scanner.probe import Need, Yield
from scanner.rule import CWE_CREDENTIALS, CWE_EXPOSURE, OWASP_DISCLOSURE, Basis, Rule, Severity
from scanner.subject import Subject

MOST_OF_A_FILE = 2 * 1024 * 1024
MOST_IN_ALL = 16 * 1024 * 1024
MOST_OPCODES = 300_000
GIT_TEXTS = ("config", ".git-credentials", "HEAD", "FETCH_HEAD")
PIECE, OVERLAP = 1200, 200
"""Characters looked at together: patterns of the scanner take time that grows with the square of a line."""
VOCABULARIES = {"tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json", "tekken.json"}
PUBLIC = ("readme", "license", "licence", "notice", "citation", "authors", "copying", "contributing")
"""Files in which people name themselves on purpose."""
NOBODY = {
    "user", "users", "username", "you", "me", "name", "your_name", "yourname", "root", "admin", "public", "shared", "default", "ubuntu", "debian", "centos",
    "ec2-user", "azureuser", "runner", "jovyan", "kaggle", "colab", "coder", "gitpod", "vscode", "docker", "app", "sagemaker-user", "studio-lab-user", "work",
}  # fmt: skip
"""Accounts of images and examples, which name nobody."""

SECRET = Rule(
    id="leaked-secret",
    title="A key or password lies in the folder",
    severity=Severity.MEDIUM,
    basis=Basis.INTEGRITY,
    meaning="A file holds what has the form of an access token, a private key, or a password in an address.",
    why="Anyone who has the folder can act in the owner's name, and could have replaced this adapter. It is shown shortened.",
    fix="Tell the author, who must revoke it; deleting the file is not enough. Do not publish the folder further.",
    references=(CWE_CREDENTIALS, OWASP_DISCLOSURE),
)
PERSONAL = Rule(
    id="leaked-personal",
    title="The folder names people or machines",
    severity=Severity.LOW,
    basis=Basis.INTEGRITY,
    meaning="Paths with a user name, an e-mail address, or a host name stand in files that were written by a program.",
    why="The uploader probably does not know. It harms them, not you; most trained adapters carry such a path.",
    fix="If it is your adapter, remove them before you publish it.",
    references=(CWE_EXPOSURE,),
)
LEFTOVERS = Rule(
    id="training-leftovers",
    title="Training left files behind",
    severity=Severity.INFO,
    basis=Basis.DOCUMENTATION,
    meaning="Optimizer, scheduler or random state, logs, or caches lie beside the adapter.",
    why="They are not needed to use it, are often larger than it, and tell how and where it was trained.",
    fix="Leave them out of what you deploy.",
)
_LEFT = re.compile(
    r"(?:^|/)(?:optimizer\.(?:pt|bin)|scheduler\.pt|scaler\.pt|rng_state[\w.-]*\.pth|trainer_state\.json|training_args\.bin|latest|zero_to_fp32\.py"
    r"|events\.out\.tfevents\.[^/]*|\.DS_Store|\.env|\.netrc|\.git-credentials)$|(?:^|/)(?:runs|wandb|mlruns|global_step\d+|\.ipynb_checkpoints|__pycache__)/"
)
_PATH = re.compile(r"(?:/(?:export/)?home|/Users|[A-Za-z]:(?:\\{1,4}|/)Users)(?:\\{1,4}|/)([^\\/\s\"'<>|:*?,;()\[\]{}]{2,40})")
_MAIL = re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,10}\b")
_HOST = re.compile(r"(?:events\.out\.tfevents\.\d{6,12}\.|runs[/\\]{1,2}[A-Z][a-z]{2}\d{2}_\d{2}-\d{2}-\d{2}_)([A-Za-z][A-Za-z0-9-]{1,62})")
_CONTAINER = re.compile(r"[0-9a-f]{12}|[0-9a-f-]{32,36}")
_NO_MAIL = re.compile(r"(?i)^git@|@(?:users\.)?noreply|^noreply@|@example\.|\.(?:png|jpg|jpeg|json|py|txt|md|so)$")
_MARKS = re.compile(
    r"(?i:aws)|A3T|ABIA|ACCA|AKIA|ASIA|AccountKey=|://[^/\s@]{1,200}:[^/\s@]{1,200}@|\.[\w-]{6}\.[\w-]{27}|gh[pousr]_|gl\w{1,6}-|GR1348941|eyJ|-us\d|T3BlbkFJ|PRIVATE KEY"
    r"|PuTTY|pypi-Ag|SG\.|xox|hooks\.slack|sq0csp|k_live_|\d{8}:[\w-]{35}|[AS][CK][a-z0-9]{32}|\bhf_|(?i:wandb)|\bsk-|AIza|\br8_|\bnpm_"
)
"""What every pattern of a detector begins with or holds: text without any of it need not be searched, nor the library loaded."""
_PLACEHOLDER = re.compile(r"(?i)example|x{5,}|\*{4,}|your[_-]?|<[^>]*>|\.\.\.|dummy|placeholder|redacted")


class Leak(msgspec.Struct, frozen=True):
    """One thing found in one place."""

    file: str
    line: int
    """From 1, or 0 where the file has no lines."""
    what: str


class LeaksProbe:
    """Text, pickled strings and the weights' metadata, searched for what should not be public."""

    id = "leaks"
    title = "Leaks about the uploader"
    needs = Need.FILES
    cost = "a search through at most 2 MiB of each text file and 16 MiB in all; vocabularies are left out"
    rules = (SECRET, PERSONAL, LEFTOVERS)

    def run(self, subject: Subject) -> Iterator[Yield]:
        """Search everything readable."""
        root, files = subject.adapter.root, subject.adapter.files
        secrets: list[Leak] = []
        personal: dict[str, Leak] = {}
        left, searched, cut = MOST_IN_ALL, 0, 0
        for file in (*files, *(f for f in subject.adapter.aside.files if PurePosixPath(f.path).name in GIT_TEXTS)):
            for text, whole in _texts(root, file, min(left, MOST_OF_A_FILE)):
                searched, left, cut = searched + 1, left - len(text), cut + (not whole)
                secrets += _secrets(file.path, text)
                for leak in _personal(file.path, text):
                    personal.setdefault(leak.what, leak)
        for key, value in sorted(subject.adapter.weights.metadata.items())[:1000]:
            text = f"{key}: {value}"[:MOST_OF_A_FILE]
            where = subject.adapter.weights_files[0]
            secrets += [Leak(where, 0, s.what) for s in _secrets(where, text)]
            for leak in _personal(where, text):
                personal.setdefault(leak.what, Leak(where, 0, leak.what))
        yield from _findings(secrets, list(personal.values()), [f.path for f in files])
        yield Coverage(
            probe=self.id,
            what="keys, names and leftovers",
            status=Status.MEASURED,
            surface=f"{searched} files" + (f", {cut} of them in part" if cut else ""),
            bound="only keys of a known form are told; a plain password is not",
        )


def _findings(secrets: list[Leak], personal: list[Leak], paths: list[str]) -> Iterator[Finding]:
    for leak in sorted(dict.fromkeys(secrets), key=lambda s: (s.file, s.line))[:40]:
        place = f"{printable(leak.file, 200)}{f', line {leak.line}' if leak.line else ''}"
        yield Finding(
            rule=SECRET.id,
            message=f"{place}: {leak.what}",
            severity=SECRET.severity,
            location=Location(file=printable(leak.file, 200), item=f"line {leak.line}" if leak.line else ""),
        )
    if personal:
        personal.sort(key=lambda p: (p.file, p.line, p.what))
        yield Finding(
            rule=PERSONAL.id,
            message=f"{len(personal)} traces, first {printable(personal[0].what, 100)} in {printable(personal[0].file, 120)}",
            severity=PERSONAL.severity,
            location=Location(file=printable(personal[0].file, 200)),
            details=tuple(f"{printable(p.file, 120)}{f', line {p.line}' if p.line else ''}: {printable(p.what, 120)}" for p in personal[:40]),
        )
    leftovers = [p for p in paths if _LEFT.search(p)]
    if leftovers:
        yield Finding(
            rule=LEFTOVERS.id,
            message=f"{len(leftovers)} files, first {printable(leftovers[0], 120)}",
            severity=LEFTOVERS.severity,
            location=Location(file=printable(leftovers[0], 200)),
            details=tuple(printable(p, 160) for p in leftovers[:40]),
        )


def _texts(root: Path, file: File, most: int) -> Iterator[tuple[str, bool]]:
    """Readable text of a file, its name first, and whether that is all of it."""
    yield file.path, True
    name = PurePosixPath(file.path).name.lower()
    if most <= 0 or file.kind is Kind.LINK or name in VOCABULARIES:
        return
    if file.kind in (Kind.TEXT, Kind.JSON, Kind.SCRIPT):
        with (root / file.path).open("rb") as stream:
            yield stream.read(most).decode("utf-8", "replace"), file.bytes <= most
    elif file.kind in (Kind.PICKLE, Kind.TORCH_ZIP) or (file.kind is Kind.BINARY and name.endswith(PICKLE_NAMES)):
        yield _pickled(root / file.path, most), file.bytes <= most
    elif "tfevents" in name:
        with (root / file.path).open("rb") as stream:
            yield "\n".join(run.decode() for run in re.findall(rb"[\x20-\x7e]{6,400}", stream.read(most))), file.bytes <= most


def _pickled(path: Path, most: int) -> str:
    """Strings of a pickle, or of the pickles in a zip, one a line; opcodes are read and nothing is unpickled."""
    found: list[str] = []
    try:
        if zipfile.is_zipfile(path):
            with open_zip(path) as archive:
                for entry in archive.infolist():
                    if entry.filename.endswith(".pkl"):
                        with archive.open(entry) as packed:
                            found += _strings(packed.read(most))
        else:
            with path.open("rb") as stream:
                found += _strings(stream.read(most))
    except Exception:  # zipfile and its decompressors raise many kinds; another probe tells that it is broken
        pass
    return "\n".join(found)[:most]


def _strings(data: bytes) -> Iterator[str]:
    try:
        for number, (name, argument) in enumerate(opcodes(io.BytesIO(data))):
            if number > MOST_OPCODES:
                return
            if isinstance(argument, str) and name not in ("GLOBAL", "INST"):
                yield argument
    except Exception:  # not a pickle to its end
        return


def _secrets(file: str, text: str) -> list[Leak]:
    """Keys of a known form in `text`, shortened."""
    found: dict[str, Leak] = {}
    for start in range(0, max(1, len(text)), PIECE - OVERLAP):
        piece = text[start : start + PIECE]
        if not _MARKS.search(piece):
            continue
        for kind, detector in _detectors():
            for secret in detector.analyze_string(piece):
                if isinstance(secret, str) and secret not in found and not _PLACEHOLDER.search(secret) and (len(set(secret)) >= 8 or len(secret) < 16):
                    line = text.count("\n", 0, text.find(secret, start)) + 1
                    found[secret] = Leak(file, line, f"{kind} {_shortened(secret)}")
    return list(found.values())


def _shortened(secret: str) -> str:
    return f"{printable(secret[:4], 4)}… ({len(secret)} characters)" if len(secret) >= 12 else f"({len(secret)} characters)"


def _personal(file: str, text: str) -> Iterator[Leak]:
    by_hand = PurePosixPath(file).name.lower().startswith(PUBLIC)
    for pattern, kind in ((_PATH, "the user"), (_HOST, "the machine"), (_MAIL, "the address")):
        if by_hand and pattern is _MAIL:
            continue
        for match in pattern.finditer(text):
            name = match[0] if pattern is _MAIL else match[1]
            nobody = _NO_MAIL.search(name) if pattern is _MAIL else name.lower().strip("._-<>$%") in NOBODY or _CONTAINER.fullmatch(name)
            if not nobody and not _PLACEHOLDER.search(name):
                yield Leak(file, text.count("\n", 0, match.start()) + 1, f"{kind} {name}")


@cache
def _detectors() -> tuple[tuple[str, Any], ...]:
    """detect-secrets' detectors of keys that are told by their form; those that go by randomness would alarm on every vocabulary,
    and a few take time that a hostile file can choose.
    """
    from detect_secrets.plugins import (
        aws,
        azure_storage_key,
        basic_auth,
        discord,
        github_token,
        gitlab_token,
        jwt,
        mailchimp,
        openai,
        private_key,
        pypi_token,
        sendgrid,
        slack,
        square_oauth,
        stripe,
        telegram_token,
        twilio,
    )
    from detect_secrets.plugins.base import RegexBasedDetector

    class TrainingKeys(RegexBasedDetector):  # type: ignore[misc]
        """Keys of the services adapters are trained with, which the library does not know."""

        secret_type = "Hub or training service key"
        denylist = (
            re.compile(r"\bhf_[A-Za-z0-9]{30,40}\b"),
            re.compile(r"(?i:wandb[\w .:=\"'-]{0,30})\b([0-9a-f]{40})\b"),
            re.compile(r"\bsk-(?:ant|proj|or)-[A-Za-z0-9_-]{20,200}"),
            re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
            re.compile(r"\br8_[A-Za-z0-9]{37}\b"),
            re.compile(r"\bnpm_[A-Za-z0-9]{36}\b"),
        )

    found = (
        aws.AWSKeyDetector(), azure_storage_key.AzureStorageKeyDetector(), basic_auth.BasicAuthDetector(), discord.DiscordBotTokenDetector(),
        github_token.GitHubTokenDetector(), gitlab_token.GitLabTokenDetector(), jwt.JwtTokenDetector(), mailchimp.MailchimpDetector(),
        openai.OpenAIDetector(), private_key.PrivateKeyDetector(), pypi_token.PypiTokenDetector(), sendgrid.SendGridDetector(), slack.SlackDetector(),
        square_oauth.SquareOAuthDetector(), stripe.StripeDetector(), telegram_token.TelegramBotTokenDetector(), twilio.TwilioKeyDetector(), TrainingKeys(),
    )  # fmt: skip
    return tuple((detector.secret_type, detector) for detector in found)
