"""What servers say when they refuse, and what is made of the vectors they send."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from embow.embeddings import FailureKind
from embow.embeddings.answers import (
    failure_of,
    in_order,
    read_rows,
    readable,
    refusal,
    said,
    token_count,
)
from embow.errors import BadOutputError

SENTENCES = [
    (400, "This model's maximum context length is 8192 tokens, you requested 9000", "TOO_LONG"),
    (
        400,
        "Too many input tokens. Max input tokens: 8192, request token count: 10002",
        "TOO_LONG",
    ),
    (
        400,
        "input token count (9000) exceeds the maximum number of tokens allowed",
        "TOO_LONG",
    ),
    (400, "request (24273 tokens) exceeds the available context size", "TOO_LONG"),
    (500, "the input length exceeds the context length", "TOO_LONG"),
    (500, "input is too large to process. increase the physical batch size", "TOO_LONG"),
    (413, "`inputs` must have less than 512 tokens. Given: 5000", "TOO_LONG"),
    (413, "batch size 100 > maximum allowed batch size 32", "TOO_LARGE"),
    (413, "Payload Too Large", "TOO_LARGE"),
    (400, "maximum request size is 300000 tokens per request", "TOO_LARGE"),
    (400, "total number of texts must be at most 96 - received 97", "TOO_LARGE"),
    (429, "tokens per min (TPM): Limit 40000, Requested 160256", "TOO_LARGE"),
    (429, "tokens per min (TPM): Limit 40000, Used 39999, Requested 2000", "RATE_LIMITED"),
    (429, "Limit: 1,000,000 tokens, Used: 900,000, Requested: 200,000", "RATE_LIMITED"),
    (429, "Requested tokens: 160256, limit: 40000", "TOO_LARGE"),
    (429, "insufficient_quota", "QUOTA"),
    (429, "Your prepayment credits are depleted", "QUOTA"),
    (402, "", "QUOTA"),
    (500, "json: unsupported value: NaN", "BAD_INPUT"),
    (422, "texts[4] must not be empty", "BAD_INPUT"),
    (424, "inference failed", "TRANSIENT"),
    (503, "context deadline exceeded", "TRANSIENT"),
    (501, "this server does not embed", "PERMANENT"),
    (404, "no such model", "PERMANENT"),
    (498, "", "AUTH"),
]


@pytest.mark.parametrize(("status", "words", "kind"), SENTENCES)
def test_refusals_are_told_apart_by_their_words(status: int, words: str, kind: str) -> None:
    """The words are those of vendors and of the servers people run themselves."""
    assert (failure_of(status, words, 2.0) or refusal(words)).kind is FailureKind[kind]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, ""),
        ("text", "text"),
        ({"error": {"message": "m", "code": "c"}}, "c m"),
        ({"error": "e", "error_type": "t"}, "e"),
        ({"message": "m"}, "m"),
        ({"detail": [{"loc": ["body", "input", 1], "msg": "m", "type": "t"}]}, "body.input.1 t m"),
        ("x" * 10_000, "x" * 4000),
    ],
)
def test_every_form_of_an_error_is_read(body: Any, words: str) -> None:
    """The sentence is where each server puts it, and no longer than is of use."""
    assert said(body) == words


@pytest.mark.parametrize(
    "words",
    ["input[7] is bad", "body.input.7 x", "body.input.list[str].7 x", "#/texts/7: x", "index 7"],
)
def test_the_input_at_fault_is_found(words: str) -> None:
    """Each server has its own way to name one."""
    assert refusal(words).index == 7


def test_rows_become_float32_of_one_length() -> None:
    """Numbers and base64 of little-endian float32 are the same."""
    packed = base64.b64encode(np.array([1, 2], dtype="<f4").tobytes()).decode()
    vectors = read_rows([[1, 2], packed], 2)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (None, 1),
        ({}, 1),
        ([], 0),
        ([], 1),
        ([[1.0]], 2),
        ([[1.0], [1.0, 2.0]], 2),
        ([5], 1),
        ([None], 1),
        (["AAA"], 1),
        (["AAAA"], 1),
        ([["x"]], 1),
        ([[[1.0]]], 1),
        ([[10**400]], 1),
    ],
)
def test_rows_that_are_none_are_bad_output(rows: Any, count: int) -> None:
    """Too few, ragged, torn and unreadable vectors never pass."""
    with pytest.raises(BadOutputError, match="Acme"):
        read_rows(rows, count, "Acme")


def test_rows_are_sorted_by_a_whole_index_only() -> None:
    """Any other numbers would make the order a guess."""
    rows = [{"index": 1}, {"index": 0}]
    assert in_order(rows) == rows[::-1]
    assert in_order([{}, {}]) == [{}, {}]
    for numbers in ([0, 0], [1, 2], ["0", "1"], [0, None]):
        with pytest.raises(BadOutputError, match="which input"):
            in_order([{"index": n} for n in numbers])


@pytest.mark.parametrize(
    ("value", "count"),
    [(5, 5), ("5", 5), (5.0, 5), (None, 0), ("x", 0), (-1, 0), ([], 0), (float("inf"), 0)],
)
def test_a_bill_is_read_or_taken_for_nothing(value: Any, count: int) -> None:
    """It never costs the vectors."""
    assert token_count(value) == count


def test_what_a_package_trips_over_is_bad_output() -> None:
    """Its own errors, and those of the network, stay what they are."""
    for error in (KeyError("embedding"), AttributeError("x"), TypeError("x")):
        with pytest.raises(BadOutputError, match="Acme"), readable("Acme"):
            raise error
    with pytest.raises(ConnectionError), readable("Acme"):
        raise ConnectionError
