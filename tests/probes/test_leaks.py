from __future__ import annotations

import base64
import json
import pickle
import random
import string
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from safetensors.numpy import save_file

from probes.leaks import LeaksProbe
from tests.adapters import adapter, documented, ids, raised, spent, tensors
from tests.torch_files import archive


def letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """A made-up key of `count` characters, so that none stands in this file."""
    return "".join(random.Random(count).choices(alphabet, k=count))


def segment(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def private_key() -> str:
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


KEYS = {
    "Hugging Face": "hf_" + letters(34, string.ascii_letters),
    "GitHub": "ghp_" + letters(36),
    "AWS": "AKIA" + letters(16, string.ascii_uppercase + string.digits),
    "Anthropic": "sk-ant-api03-" + letters(40),
    "Google": "AIza" + letters(35),
    "W&B": "wandb_api_key: " + letters(40, "0123456789abcdef"),
    "Slack": "xoxb-123456789012-" + letters(24, string.ascii_lowercase + string.digits),
    "Azure": "AccountKey=" + letters(86) + "==",
    "Discord": "M" + letters(24) + "." + letters(6) + "." + letters(27),
    "GitLab": "glpat-" + letters(21),
    "JWT": ".".join((segment({"alg": "HS256", "typ": "JWT"}), segment({"sub": letters(20)}), letters(43))),
    "Mailchimp": letters(32, string.ascii_lowercase + string.digits) + "-us12",
    "OpenAI": "sk-" + letters(20) + "T3BlbkFJ" + letters(20),
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + letters(80),
    "SendGrid": "SG." + letters(22) + "." + letters(43),
    "Square": "sq0csp-" + letters(43),
    "Stripe": "sk_live_" + letters(24),
    "Telegram": "1234567890:" + letters(35),
    "Twilio": "SK" + letters(32, string.ascii_lowercase + string.digits),
    "Replicate": "r8_" + letters(37),
    "npm": "npm_" + letters(36),
    "AWS secret": "aws_secret_key = '" + letters(40) + "'",
    "address": "https://someone:" + letters(14) + "@registry.internal/x",
    "private": private_key(),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_in_a_text_file_is_told_with_its_line_and_never_shown(name: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "train.sh.txt").write_text(f"first\nsecond\nexport X={KEYS[name]}\n")
    found = [f for f in raised(LeaksProbe(), folder) if f.rule == "leaked-secret"]
    assert len(found) == 1
    assert (found[0].severity, found[0].location.file, found[0].location.item) == ("medium", "train.sh.txt", "line 3")
    shown = repr(found)
    assert not any(KEYS[name][i : i + 12] in shown for i in range(6, max(7, len(KEYS[name]) - 12))) or name == "private"


def test_keys_in_json_in_pickles_and_in_the_weights_metadata_are_told(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    token = KEYS["Hugging Face"]
    (folder / "trainer.json").write_text(json.dumps({"hub_token": token}))
    (folder / "old.bin").write_bytes(pickle.dumps({"hub_token": token}))
    (folder / "training_args.bin").write_bytes(archive(pickle.dumps({"hub_token": token}, 2)))
    save_file(tensors(), folder / "adapter_model.safetensors", {"format": "pt", "token": token})
    found = [f for f in raised(LeaksProbe(), folder) if f.rule == "leaked-secret"]
    assert {f.location.file for f in found} == {"trainer.json", "old.bin", "training_args.bin", "adapter_model.safetensors"}


@pytest.mark.parametrize(
    "text",
    [
        "login with hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "export HF_TOKEN=hf_your_token_goes_here_please_thanks",
        "AKIAIOSFODNN7EXAMPLE",
        "https://user:<password>@host/x",
        "sha256:" + letters(64, "0123456789abcdef"),
        "see https://example.org:8080/a@b",
    ],
)
def test_placeholders_and_hashes_are_nothing(text: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "notes.txt").write_text(text)
    assert raised(LeaksProbe(), folder) == []


def test_a_tokenizer_full_of_random_strings_is_nothing(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    made = random.Random(0)
    words = {"".join(made.choices(string.ascii_letters + string.digits, k=made.randint(1, 40))): i for i in range(20_000)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}))
    (folder / "notes.json").write_text(json.dumps(list(words)))
    assert raised(LeaksProbe(), folder) == []
    assert raised(LeaksProbe(), documented(tmp_path / "b")) == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("adapter_config.json", '{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "/home/maria/models/x"}', "the user maria"),
        ("trainer_state.json", '{"best_model_checkpoint": "C:\\\\Users\\\\jsmith\\\\out"}', "the user jsmith"),
        ("notes.json", '{"path": "/Users/li.wei/lora"}', "the user li.wei"),
        ("notes.json", '{"author": "maria@uni-somewhere.edu"}', "the address maria@uni-somewhere.edu"),
        ("args.json", '{"logging_dir": "out/runs/Mar03_10-11-12_lab-gpu7"}', "the machine lab-gpu7"),
        ("runs/events.out.tfevents.1700000000.lab-gpu7.1.0", "x", "the machine lab-gpu7"),
    ],
)
def test_names_of_people_and_machines_are_told_softly(name: str, text: str, told: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (found,) = [f for f in raised(LeaksProbe(), folder) if f.rule == "leaked-personal"]
    assert found.severity == "low"
    assert told in found.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "Contact: maria@uni-somewhere.edu"),
        ("LICENSE", "Copyright Maria <maria@uni-somewhere.edu>"),
        ("notes.txt", "git@github.com:org/x.git, model@2x.png, noreply@github.com"),
        ("notes.txt", "/home/ubuntu/x /home/user/x /root/x /content/drive/MyDrive/x C:\\Users\\username\\x"),
        ("notes.txt", "runs/Mar03_10-11-12_3fa9c1b2d4e5"),
    ],
)
def test_what_is_public_on_purpose_or_names_nobody_is_nothing(name: str, text: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / name).write_text(text)
    assert raised(LeaksProbe(), folder) == []


def test_what_training_leaves_behind_is_listed(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    for name in ("optimizer.pt", "trainer_state.json", "wandb/run.log", "checkpoint-5/rng_state_0.pth"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    (found,) = raised(LeaksProbe(), folder)
    assert (found.rule, found.severity, len(found.details)) == ("training-leftovers", "info", 4)


@pytest.mark.parametrize(
    "text",
    ["/" * 900_000, "eyJ" * 300_000, "://a:" * 200_000, "wandb " * 150_000, "a@" * 400_000, "/home/" * 150_000, "\\Users\\" * 100_000, "a." * 400_000 + "@"],
    ids=lambda t: t[:6],
)
def test_a_hostile_file_is_searched_in_time(text: str, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "notes.txt").write_text(text)
    started = spent()
    raised(LeaksProbe(), folder)
    assert spent() - started < 12


def test_broken_pickles_and_archives_are_searched_as_far_as_they_go(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "a.bin").write_bytes(pickle.dumps({"hub_token": KEYS["GitHub"]}, 2)[:-1] + b"\xff")
    (folder / "b.bin").write_bytes(b"PK\x03\x04" + b"\0" * 90)
    assert "leaked-secret" in ids(raised(LeaksProbe(), folder))
