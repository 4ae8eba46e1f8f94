"""Faults of the engine in memory."""

from __future__ import annotations

from fault import Fault

STAGING = "engines/_memory/staging.py"
TABLE = "engines/_memory/table.py"
SNAPSHOT = "engines/_memory/snapshot.py"
DISTANCES = "engines/contract/_distances.py"
TESTS = "tests/engines/test_memory.py"

FAULTS = (
    Fault(
        "memory: alone is ignored",
        TABLE,
        (
            (
                "            if change.alone:\n                self._check",
                "            if False:\n                self._check",
            ),
        ),
        TESTS,
        "alone",
    ),
    Fault(
        "memory: a merge is not alone for the next one",
        TABLE,
        ((" or change.alone),\n", "),\n"),),
        TESTS,
        "alone",
    ),
    Fault(
        "memory: rows staged before a metadata swap come in",
        TABLE,
        (("            self._check(change.base, since=state.shaped)\n", ""),),
        TESTS,
        "swap",
    ),
    Fault(
        "memory: removed rows need not be there",
        TABLE,
        (("if not np.isin(remove, held).all():", "if False:"),),
        TESTS,
        "gone",
    ),
    Fault(
        "memory: a token is committed twice",
        TABLE,
        (
            (
                "            del self._leases[each.token]\n"
                "            self._committed[each.token] = commit\n",
                "            pass\n",
            ),
        ),
        TESTS,
        "repeated or again or once",
    ),
    Fault(
        "memory: optimize ignores leases",
        TABLE,
        (
            (
                "                if until > now and not delete_unverified\n",
                "                if False\n",
            ),
        ),
        TESTS,
        "leased or lease_counts",
    ),
    Fault(
        "memory: a commit in two steps",
        TABLE,
        (
            (
                "            state = self._latest()\n"
                "            self._check(change.base)\n"
                "            if change.add and",
                "            if change.add and change.remove is not None and len(change.remove):\n"
                "                self._commit(Change(change.base, remove=change.remove))\n"
                "                change = Change(change.base, change.add)\n"
                "            state = self._latest()\n"
                "            self._check(change.base)\n"
                "            if change.add and",
            ),
        ),
        TESTS,
        "each_commit or half_a_commit or everything_back",
    ),
    Fault(
        "memory: a table made again takes what the old one staged",
        STAGING,
        (("if base.table != self._identity:", "if False:"),),
        TESTS,
        "went or own_token",
    ),
    Fault(
        "memory: a name used again brings old values back",
        TABLE,
        (("        if born.get(column.name, 0) > base.version:\n", "        if False:\n"),),
        TESTS,
        "used_again",
    ),
    Fault(
        "memory: a column that is there is added again",
        TABLE,
        (("    if field.name in rows.schema.names:\n", "    if False:\n"),),
        TESTS,
        "that_is_there",
    ),
    Fault(
        "memory: rows bring values for a column of another change",
        TABLE,
        (("field.name: state.shaped for field", "field.name: 0 for field"),),
        TESTS,
        "bring",
    ),
    Fault(
        "memory: row ids are given again after a removal",
        TABLE,
        (
            (
                "            row_ids = pa.array(",
                "            self._next_row = max([-1, *rows[ROW_ID].to_pylist()]) + 1\n"
                "            row_ids = pa.array(",
            ),
        ),
        TESTS,
        "never_given or goes_on_after",
    ),
    Fault(
        "memory: a tagged version is not kept",
        TABLE,
        (("{latest.version, *self._named.values()}", "{latest.version}"),),
        TESTS,
        "tag",
    ),
    Fault(
        "memory: a restore lets rows for the version before in",
        TABLE,
        (
            (
                'self._publish("restore", born=same,',
                'self._publish("restore", shaping=False, born=same,',
            ),
        ),
        TESTS,
        "restore",
    ),
    Fault(
        "memory: a capability is claimed and not kept",
        SNAPSHOT,
        (
            (
                "        Capability.TAGS,\n",
                "        Capability.TAGS,\n        Capability.FRAGMENTS,\n",
            ),
        ),
        TESTS,
        "claim",
    ),
    Fault(
        "memory: a capability is kept and not claimed",
        SNAPSHOT,
        (("        Capability.RESTORE,\n", ""),),
        TESTS,
        "claim",
    ),
    Fault(
        "memory: equal distances in any order",
        SNAPSHOT,
        (
            (
                'np.argsort(distances, kind="stable")',
                "np.lexsort((-np.arange(len(distances)), distances))",
            ),
        ),
        TESTS,
        "row_order or zero_vectors",
    ),
    Fault(
        "contract: a zero vector is at no distance",
        DISTANCES,
        (("sums / np.where(lengths > 0, lengths, 1)", "sums / lengths"),),
        TESTS,
        "zero_vectors",
    ),
    Fault(
        "contract: a vector with NaN is found",
        DISTANCES,
        ((" = ~np.isnan(distances)\n", " = np.ones(len(distances), bool)\n"),),
        TESTS,
        "zero_vectors",
    ),
)
