from __future__ import annotations

from pathlib import Path

import pytest

from probes.licence import LicenceProbe, Term, terms
from tests.adapters import adapter, base, documented, ids, raised

MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy"
NC = "Creative Commons\nAttribution-NonCommercial 4.0 International"


def licensed(folder: Path, licence: str, more: str = "") -> Path:
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n{more}---\n# x\n")
    return folder


@pytest.mark.parametrize(
    ("expression", "asks"),
    [
        ("apache-2.0", set()),
        ("MIT", set()),
        ("CC-BY-NC-4.0", {Term.NON_COMMERCIAL}),
        ("cc-by-nc-nd-4.0", {Term.NON_COMMERCIAL, Term.NO_DERIVATIVES}),
        ("AGPL-3.0-only", {Term.SAME, Term.NETWORK}),
        ("llama3.1", {Term.USES}),
        ("creativeml-openrail-m", {Term.USES}),
        ("MIT AND CC-BY-NC-4.0", {Term.NON_COMMERCIAL}),
        ("GPL-3.0-only OR MIT", set()),
        ("(GPL-2.0-or-later OR MIT) AND CC-BY-SA-4.0", {Term.SAME}),
    ],
)
def test_what_an_expression_asks_for(expression: str, asks: set[Term]) -> None:
    assert terms(expression) == asks


@pytest.mark.parametrize("expression", ["other", "", "my-own-licence", "MIT AND my-own", "(((", "MIT OR", "AND " * 90, "(" * 5000])
def test_what_is_not_known_is_none(expression: str) -> None:
    assert terms(expression) is None


def test_the_same_permissive_licence_and_none_at_all_are_nothing(tmp_path: Path) -> None:
    against = licensed(base(tmp_path / "base"), "apache-2.0")
    assert raised(LicenceProbe(), licensed(adapter(tmp_path / "a"), "mit"), against) == []
    assert raised(LicenceProbe(), adapter(tmp_path / "b"), against) == []
    assert raised(LicenceProbe(), documented(tmp_path / "c")) == []


@pytest.mark.parametrize(
    ("mine", "theirs", "severity"),
    [
        ("apache-2.0", "cc-by-nc-4.0", "medium"),
        ("mit", "cc-by-nd-4.0", "medium"),
        ("apache-2.0", "llama3", "low"),
        ("mit", "gemma", "low"),
        ("mit", "agpl-3.0", "low"),
        ("mit", "bigscience-bloom-rail-1.0", "low"),
    ],
)
def test_a_condition_of_the_base_that_is_left_out_is_told(mine: str, theirs: str, severity: str, tmp_path: Path) -> None:
    folder = licensed(adapter(tmp_path / "a"), mine)
    (found,) = raised(LicenceProbe(), folder, licensed(base(tmp_path / "base"), theirs))
    assert (found.rule, found.severity) == ("licence-terms", severity)
    assert theirs in found.message
    licensed(folder, theirs)
    assert "licence-terms" not in ids(raised(LicenceProbe(), folder, tmp_path / "base"))


def test_a_licence_file_of_the_base_counts_where_it_has_no_card(tmp_path: Path) -> None:
    against = base(tmp_path / "base")
    (against / "LICENSE.txt").write_text(NC)
    (found,) = raised(LicenceProbe(), licensed(adapter(tmp_path / "a"), "mit"), against)
    assert "cc-by-nc-4.0" in found.message


def test_a_base_known_by_its_name_counts_without_a_base(tmp_path: Path) -> None:
    folder = licensed(adapter(tmp_path / "a", base_model_name_or_path="meta-llama/Llama-2-7b-hf"), "mit")
    (found,) = raised(LicenceProbe(), folder)
    assert (found.rule, found.severity) == ("licence-terms", "low")
    assert "llama2 (known of meta-llama/Llama-2-7b-hf)" in found.message
    assert raised(LicenceProbe(), licensed(adapter(tmp_path / "b", base_model_name_or_path="org/x"), "mit")) == []


def test_a_restriction_of_the_adapters_own_is_for_information(tmp_path: Path) -> None:
    (found,) = raised(LicenceProbe(), licensed(adapter(tmp_path / "a"), "cc-by-nc-4.0"))
    assert (found.rule, found.severity) == ("licence-restricts", "info")


def test_a_card_and_a_licence_file_that_disagree_are_told_softly(tmp_path: Path) -> None:
    folder = licensed(adapter(tmp_path / "a"), "cc-by-nc-4.0")
    (folder / "LICENSE").write_text(MIT)
    assert {f.rule: f.severity for f in raised(LicenceProbe(), folder)} == {"licence-contradiction": "low", "licence-restricts": "info"}
    (folder / "LICENSE").write_text(NC)
    assert ids(raised(LicenceProbe(), folder)) == {"licence-restricts"}


@pytest.mark.parametrize("licence", ["my-own", "other", "'x\\e[2J'", "MIT AND my-own"])
def test_an_unknown_licence_is_named(licence: str, tmp_path: Path) -> None:
    (found,) = raised(LicenceProbe(), licensed(adapter(tmp_path / "a"), licence))
    assert (found.rule, found.severity) == ("licence-unknown", "info")
    assert found.message.isprintable()


def test_other_is_named_by_its_name(tmp_path: Path) -> None:
    (found,) = raised(LicenceProbe(), licensed(adapter(tmp_path / "a"), "other", "license_name: llama3\n"))
    assert (found.rule, found.severity) == ("licence-restricts", "info")
