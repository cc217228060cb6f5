"""Sums, signatures, secrets and licences that do not hold."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from benchmarks.evasions.build import BASE, CARD, CARD_TEXT, WEIGHTS, adapter, write
from benchmarks.evasions.case import Expect, Family

FAMILY = Family("provenance")


def sums(folder: Path, change: dict[str, str] | None = None) -> str:
    """SHA256SUMS of the folder, with some sums replaced."""
    lines = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
    return "".join(f"{digest}  {name}\n" for name, digest in (lines | (change or {})).items())


@FAMILY.case(Expect.BLOCK)
def sum_differs(folder: Path) -> None:
    """SHA256SUMS gives another sum for the weights: they were replaced after it was written."""
    write(adapter(folder), "SHA256SUMS", sums(folder, {WEIGHTS: "0" * 64}))


@FAMILY.case(Expect.REVIEW)
def sum_of_a_missing_file(folder: Path) -> None:
    """SHA256SUMS names a file that is not there."""
    write(adapter(folder), "SHA256SUMS", sums(folder, {"tokenizer.json": "0" * 64}))


@FAMILY.case(Expect.NOTE)
def sums_leave_out_the_weights(folder: Path) -> None:
    """SHA256SUMS names everything but the weights."""
    lines = sums(adapter(folder)).splitlines(keepends=True)
    write(folder, "SHA256SUMS", "".join(line for line in lines if WEIGHTS not in line))


@FAMILY.case(Expect.REVIEW)
def sums_that_leave_the_folder(folder: Path) -> None:
    """SHA256SUMS names a file of the machine: a checker reads it, and says whether the sum is right."""
    write(adapter(folder), "SHA256SUMS", sums(folder) + "0" * 64 + "  ../../../../etc/passwd\n")


def bundle(folder: Path, change: dict[str, str] | None = None) -> dict[str, Any]:
    """An OpenSSF model-signing bundle over the folder, signed with a key nobody knows; some digests replaced."""
    resources = []
    for path in sorted(folder.iterdir()):
        digest = (change or {}).get(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        resources.append({"name": path.name, "algorithm": "sha256", "digest": digest})
    statement = {
        "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": folder.name, "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://model_signing/signature/v1.0", "predicate": {"resources": resources, "serialization": {"method": "files", "hash_type": "sha256"}},
    }  # fmt: skip
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "0" * 64}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(json.dumps(statement).encode()).decode(), "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64.b64encode(b"\x30\x06\x02\x01\x01\x02\x01\x01").decode(), "keyid": ""}],
        },
    }  # fmt: skip


@FAMILY.case(Expect.BLOCK)
def signature_of_other_weights(folder: Path) -> None:
    """A signature in the folder names another digest for the weights."""
    write(adapter(folder), "model.sig", bundle(folder, {WEIGHTS: "0" * 64}))


@FAMILY.case(Expect.NOTE)
def signature_by_nobody(folder: Path) -> None:
    """A signature in the folder that no pinned key vouches for."""
    write(adapter(folder), "model.sig", bundle(folder))


@FAMILY.case(Expect.REVIEW)
def file_added_after_signing(folder: Path) -> None:
    """A file came into the folder after it was signed."""
    signed = bundle(adapter(folder))
    write(folder, "chat_template.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}")
    write(folder, "model.sig", signed)


@FAMILY.case(Expect.NOTE)
def signature_with_its_own_key(folder: Path) -> None:
    """A signature file that brings the public key it is to be checked with."""
    digest = hashlib.sha256((adapter(folder) / WEIGHTS).read_bytes()).hexdigest()
    fields = {
        "adapter_sha256": digest,
        "public_key": base64.b64encode(bytes(32)).decode(),
        "signature": base64.b64encode(bytes(64)).decode(),
        "license": "apache-2.0",
    }
    write(folder, f"{WEIGHTS}.sig", fields)


@FAMILY.each(
    Expect.REVIEW,
    {
        "not-json": "not json",
        "list": "[]",
        "nested": "[" * 100_000,
        "payload": '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":7}}',
    },
)
def signature_unreadable(folder: Path, text: str) -> None:
    """model.sig is not a bundle ({})."""
    write(adapter(folder), "model.sig", text)


def secret(kind: str) -> str:
    """Something that looks like a credential and opens nothing."""
    noise = hashlib.sha512(kind.encode()).hexdigest()
    letters = base64.b64encode(hashlib.sha512(kind.encode()).digest()).decode().replace("+", "x").replace("/", "y")
    key = "\n".join((letters * 20)[i : i + 64] for i in range(0, 1280, 64))
    return {
        "hugging-face": f"hf_{letters[:34]}", "github": f"ghp_{letters[:36]}", "aws": f"AKIA{noise[:16].upper().replace('0', 'Q').replace('1', 'Q').replace('8', 'Q').replace('9', 'Q')}",
        "private-key": f"-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----\n", "slack": f"xoxb-{'123456789012'}-{'123456789013'}-{letters[:24]}",
        "password-in-url": f"https://trainer:{letters[:12]}@git.example.net/x.git",
    }[kind]  # fmt: skip


@FAMILY.each(Expect.NOTE, {
    "hugging-face-in-card": ("hugging-face", CARD), "hugging-face-in-arguments": ("hugging-face", "training_args.json"), "github-in-notes": ("github", "notes.txt"),
    "aws-in-environment": ("aws", ".env"), "private-key": ("private-key", "id_rsa"), "slack-in-yaml": ("slack", "train.yaml"), "password-in-git-config": ("password-in-url", ".git/config"),
})  # fmt: skip
def leak(folder: Path, item: tuple[str, str]) -> None:
    """A credential of the uploader lies in the folder: {}."""
    kind, name = item
    text = secret(kind)
    adapter(folder)
    if name == CARD:
        write(folder, CARD, CARD_TEXT + f"\nLog in with {text} first.\n")
    elif name.endswith(".json"):
        write(folder, name, {"hub_token": text})
    else:
        write(folder, name, f"aws_access_key_id={text}\n" if kind == "aws" else f"token: {text}\n" if name.endswith(("txt", "yaml")) else text)


@FAMILY.each(
    Expect.NOTE,
    {"home": "/home/jane.doe/projects/secret-client/train.jsonl", "windows": "C:\\Users\\jane.doe\\train.jsonl", "cluster": "/mnt/nfs/users/jdoe/data"},
)
def path_leak(folder: Path, path: str) -> None:
    """A path of the uploader's machine names a person or a client ({})."""
    write(adapter(folder), "trainer_state.json", {"train_file": path})


@FAMILY.each(Expect.NOTE, {"llama": ("meta-llama/Llama-3.1-8B", "mit"), "non-commercial": ("example-org/tiny-llama-cc-by-nc", "apache-2.0")})
def licence(folder: Path, names: tuple[str, str]) -> None:
    """The adapter's licence gives away what the base's keeps ({})."""
    base, own = names
    text = (
        CARD_TEXT.replace(BASE, base)
        .replace("license: apache-2.0", f"license: {own}")
        .replace("Base model's licence: Apache-2.0", f"Base model's licence: {'llama3.1' if 'llama/' in base else 'cc-by-nc-4.0'}")
    )
    adapter(folder, card=text, base_model_name_or_path=base)
