"""Faults of what the contract does for every engine."""

from __future__ import annotations

from fault import Fault

RECORDS = "engines/contract/_records.py"
QUERIES = "engines/contract/_queries.py"
SNAPSHOT = "engines/contract/_snapshot.py"
TABLE = "engines/contract/_table.py"
TESTS = "tests/engines/test_memory.py"

FAULTS = (
    Fault(
        "contract: capabilities are not checked",
        RECORDS,
        (("    if wanted not in capabilities:\n", "    if False:\n"),),
        TESTS,
        "claim",
    ),
    Fault(
        "contract: any name is a physical one",
        QUERIES,
        (("        if not is_physical(name):\n", "        if False:\n"),),
        TESTS,
        "physical",
    ),
    Fault(
        "contract: a filter forgets the rows asked for",
        SNAPSHOT,
        (("            ids = asked[np.isin(asked, ids)]\n", "            pass\n"),),
        TESTS,
        "rows_asked_for",
    ),
    Fault(
        "contract: a key with null is found",
        "engines/contract/_keys.py",
        (
            (" for at, key in keys if None not in key}", " for at, key in keys}"),
            ("skip_nulls=True", "skip_nulls=False"),
        ),
        TESTS,
        "nulls",
    ),
    Fault(
        "contract: a conflict is not planned again",
        TABLE,
        (("                if attempt == _TRIES - 1:\n", "                if True:\n"),),
        TESTS,
        "plan",
    ),
    Fault(
        "contract: a change of nothing is committed",
        TABLE,
        (
            (
                "        if not shapes and not removed and not any(map(_ROWS, change.add)):\n",
                "        if False:\n",
            ),
        ),
        TESTS,
        "no_rows or nothing",
    ),
)
