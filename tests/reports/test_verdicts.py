"""Verdicts: words, order and counts."""

from __future__ import annotations

import pytest

from phenoprints.reports.verdicts import (
    CHECK,
    FAIL,
    NOT_RUN,
    PASS,
    Rule,
    Verdict,
    by_severity,
    counts_sentence,
    overall,
)

RULE = Rule("XX001", "Question", "It matters.", "This.", "A paper.")


def verdict(status: str) -> Verdict:
    return Verdict(RULE, status, "demo", f"found {status}", anchor="figure")


def test_fail_comes_first_and_pass_last() -> None:
    ordered = by_severity([verdict(status) for status in (PASS, NOT_RUN, FAIL, CHECK)])
    assert [v.status for v in ordered] == [FAIL, CHECK, NOT_RUN, PASS]


def test_a_missing_result_never_makes_a_page_green() -> None:
    assert overall([]) == NOT_RUN
    assert overall([verdict(NOT_RUN)]) == NOT_RUN
    assert overall([verdict(NOT_RUN), verdict(PASS)]) == PASS
    assert overall([verdict(PASS), verdict(CHECK), verdict(FAIL)]) == FAIL


def test_page_log_and_file_say_the_same() -> None:
    found = verdict(CHECK)
    assert found.as_line() == "CHECK ! XX001 demo: found CHECK"
    record = found.as_record()
    assert record["status"] == "CHECK"
    assert record["rule_code"] == "XX001"
    assert record["link"] == "index.html#figure"


def test_every_word_is_counted() -> None:
    sentence = counts_sentence([verdict(PASS), verdict(PASS), verdict(FAIL)])
    assert sentence == "1 FAIL, 0 CHECK, 0 NOT RUN, 2 PASS"


def test_other_words_are_refused() -> None:
    with pytest.raises(ValueError, match="GOOD"):
        verdict("GOOD")
