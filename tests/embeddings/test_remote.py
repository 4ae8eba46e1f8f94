"""Helpers for providers that call a server."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow.embeddings.remote import client_once, split_to_limits
from embow.embeddings.types import Limits


def test_equal_settings_and_keys_share_one_client():
    """The factory runs once for one key."""
    made = [client_once(("test", "shared"), ["k"], object, id) for _ in range(2)]
    assert made[0] is made[1]


@pytest.mark.parametrize("other", [["k2"], [None], ["k", "k"], []])
def test_another_key_gets_another_client(other):
    """Clients of different keys are never mixed."""
    first = client_once(("test", "keys"), ["k"], object, id)
    assert client_once(("test", "keys"), other, object, id) is not first


def test_a_forked_process_gets_its_own_client(monkeypatch):
    """The process id is part of what a client is found by."""
    first = client_once(("test", "fork"), ["k"], object, id)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert client_once(("test", "fork"), ["k"], object, id) is not first


def test_clients_are_closed_when_the_process_ends():
    """Nothing is left open, and a forked child closes nothing of its parent's."""
    code = (
        "import os; from embow.embeddings.remote import client_once;"
        "client_once('k', [], lambda: 'client', lambda c: print('closed', c, flush=True));"
        "child = os.fork(); child and os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "closed client\n"


texts = st.lists(st.text(max_size=12), max_size=30)
limit = st.none() | st.integers(min_value=1, max_value=20)


@given(inputs=texts, items=limit, tokens=limit, size=limit)
def test_splitting_keeps_order_and_limits(inputs, items, tokens, size):
    """Requests joined give the inputs back, and only a lone input may be over a limit."""
    limits = Limits(max_items=items, max_tokens_per_request=tokens, max_bytes_per_request=size)
    parts = list(split_to_limits(inputs, limits, lambda values: [len(v) for v in values]))
    assert [value for part in parts for value in part] == inputs
    for part in parts:
        assert part
        if len(part) > 1:
            assert len(part) <= (items or len(part))
            assert sum(map(len, part)) <= (tokens or 10**9)
            assert sum(len(v.encode()) for v in part) <= (size or 10**9)


def test_splitting_fills_each_request():
    """A request ends only where the next input would not fit."""
    parts = split_to_limits(list("abcdefg"), Limits(max_items=3), len)
    assert [len(part) for part in parts] == [3, 3, 1]
