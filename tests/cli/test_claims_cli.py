"""The command ``claims``."""

import json

import pytest


def test_one_claim_is_printed_in_full(run):
    code, out, _ = run("claims", "ivae.thm1")
    assert code == 0
    assert out.startswith("ivae.thm1: repaired")
    for part in ("says", "corrected", "printed", "refutes", "verdict", "--without"):
        assert part in out


def test_several_claims_make_a_table(run, tmp_path):
    stored, page = tmp_path / "claims.json", tmp_path / "claims.md"
    code, out, _ = run("claims", "ivae.eq2*", "repair.r2", "--fast", "--jobs", 1, "--json", stored, "--page", page)
    assert code == 0
    assert "ivae.eq23" in out
    assert "typo" in out
    report = json.loads(stored.read_text())
    assert report["format"] == "ident_theory.claims"
    assert report["fast"]
    assert {item["id"] for item in report["claims"]} >= {"ivae.eq23", "repair.r2"}
    assert sum(report["counts"].values()) == len(report["claims"])
    text = page.read_text()
    assert "### ivae.eq23" in text
    assert "## Khemakhem" in text


def test_a_list_checks_nothing(run):
    code, out, _ = run("claims", "--paper", "gin", "--list")
    assert code == 0
    assert "gin.thm1" in out
    assert "ivae" not in out


def test_a_dropped_hypothesis_is_searched(run):
    code, out, _ = run("claims", "repair.r2", "--without", "Z is a product", "--cases", 500)
    assert code == 0
    assert "the smallest counterexample" in out


@pytest.mark.parametrize(("words", "message"), [
    (("ivae.thm11",), "nearest: "),
    (("--paper", "vae"), "paper: expected one of ivae, gan"),
    (("repair.r2", "--without", "luck"), "unknown hypothesis 'luck'"),
    (("repair.r1", "repair.r2", "--without", "luck"), "--without: expected one claim, found 2"),
    (("repair.r2", "--page", "page.html"), "--page: expected a file name ending in .md"),
    (("repair.r2", "--json", "same.md", "--page", "same.md"), "--page: expected another file than --json"),
    (("repair.r2", "--jobs", "0"), "--jobs"),
])
def test_bad_input_is_named(run, words, message):
    code, out, err = run("claims", *words)
    assert code == 2
    assert message in err
    assert out == ""


def test_an_open_claim_is_told_by_the_exit_code(run, monkeypatch):
    from ident_theory.claims import ledger
    from ident_theory.claims.claim import Claim

    claim = ledger()["repair.r2"]
    for check, expected in ((lambda on: None, 3), (lambda on: 1 / 0, 1)):
        monkeypatch.setitem(ledger(), "repair.r2", Claim(**{**vars(claim), "check": check}))
        code, out, _ = run("claims", "repair.r2")
        assert code == expected
        assert "open" in out
