"""Faults of the embedded engine."""

from __future__ import annotations

from fault import Fault

CATALOG = "engines/_local/catalog.py"
COMMITS = "engines/_local/commits.py"
BEGUN = "engines/_local/begun.py"
FILES = "engines/_local/files.py"
SWEEP = "engines/_local/sweep.py"
LEASES = "engines/_local/leases.py"
TABLE = "engines/_local/table.py"
USUAL = "tests/engines/test_contract.py::TestUsualSizes"
SMALL = "tests/engines/test_contract.py::TestSmallSizes"
DURABLE = "tests/engines/test_durability.py"

FAULTS = (
    Fault(
        "local: alone is ignored",
        COMMITS,
        (("    if not change.alone or not others:\n", "    if True:\n"),),
        USUAL,
        "alone or merges_of_the_same",
    ),
    Fault(
        "local: a merge lets the next one pass",
        COMMITS,
        (('plain=operation == "add" and not change.alone', 'plain=operation == "add"'),),
        USUAL,
        "alone",
    ),
    Fault(
        "local: rows staged before a metadata swap come in",
        COMMITS,
        (("    if row.schema_version > change.base.version:\n", "    if False:\n"),),
        USUAL,
        "swap",
    ),
    Fault(
        "local: removed rows need not be there",
        COMMITS,
        (("    if alive != len(row_ids):\n", "    if False:\n"),),
        USUAL,
        "gone",
    ),
    Fault(
        "local: the checks are made before the transaction",
        COMMITS,
        (
            (
                "    work = partial(_apply, store, change, columns, files)\n",
                "    with store.catalog.read() as early:\n"
                "        begun = _start(store, early, change)\n"
                "    work = partial(_apply, store, change, columns, files, begun)\n",
            ),
            ("files: NewFiles, db: Connection\n", "files: NewFiles, before: Any, db: Connection\n"),
            ("    before = _start(store, db, change)\n", ""),
        ),
        USUAL,
        "Race or merges_of_the_same or counter or committed_once_by",
    ),
    Fault(
        "local: a commit in two transactions",
        COMMITS,
        (
            (
                "            done = _try_commit(store, change, aligned, files)\n",
                "            if change.add and change.remove is not None and len(change.remove):\n"
                "                first = Change(change.base, remove=change.remove)\n"
                "                _try_commit(store, first, (), files)\n"
                "                change = Change(change.base, change.add)\n"
                "            done = _try_commit(store, change, aligned, files)\n",
            ),
        ),
        USUAL,
        "half_a_commit or reports_its_rows",
    ),
    Fault(
        "local: a token is committed twice",
        COMMITS,
        (
            (
                "    known = earlier(db, change.add)\n",
                "    known = earlier(db, ())\n",
            ),
        ),
        USUAL,
        "repeated or again or once",
    ),
    Fault(
        "local: what is committed is not remembered",
        LEASES,
        (
            (
                "    for each in staged:\n        if each.rows or each.column:\n",
                "    for each in ():\n        if each.rows or each.column:\n",
            ),
        ),
        USUAL,
        "repeated or again or once",
    ),
    Fault(
        "local: rows for a table that went come in",
        "engines/_local/store.py",
        (("        if base.table != self.identity:\n", "        if False:\n"),),
        USUAL,
        "another_table or went or old_handle or its_own_token",
    ),
    Fault(
        "local: a search reads a newer version than its snapshot",
        TABLE,
        (
            (
                "search.search(self._view, query)",
                "search.search(self._store.latest(), query)",
            ),
        ),
        USUAL,
        "held",
    ),
    Fault(
        "local: optimize ignores leases",
        LEASES,
        (
            (
                '    db.execute("DELETE FROM staged WHERE until <= ? OR table_id = ?", (time,',
                '    db.execute("DELETE FROM staged WHERE until >= ? OR table_id = ?", (0,',
            ),
        ),
        SMALL,
        "leased or lease_counts or travel",
    ),
    Fault(
        "local: the sweep forgets what is staged",
        LEASES,
        (('t ON t.id = f.table_id "\n', 't ON t.id = f.table_id WHERE f.staged IS NULL "\n'),),
        SMALL,
        "leased or travel",
    ),
    Fault(
        "local: the sweep has no second look",
        SWEEP,
        (
            (
                " for path, descriptor in held if _key(path) not in after]",
                " for path, descriptor in held]",
            ),
        ),
        DURABLE,
    ),
    Fault(
        "local: data files are not synced",
        BEGUN,
        (("            os.fsync(self._descriptor)\n", ""),),
        DURABLE,
    ),
    Fault(
        "local: data files are synced before their end",
        FILES,
        (
            (
                '        with storing(self.path, "write"):\n            self._writer.close()\n',
                "        done = self.synced()\n"
                '        with storing(self.path, "write"):\n            self._writer.close()\n',
            ),
            ("        return self.synced()\n", "        return done\n"),
        ),
        DURABLE,
    ),
    Fault(
        "local: folders are not synced",
        BEGUN,
        (("    try:\n        os.fsync(descriptor)\n", "    try:\n        pass\n"),),
        DURABLE,
    ),
    Fault(
        "local: optimize drops a tagged version",
        "engines/_local/retention.py",
        ((" and each.version not in tagged\n", "\n"),),
        USUAL,
        "tag",
    ),
    Fault(
        "local: optimize drops rows that were restored",
        "engines/_local/retention.py",
        (("            first[hidden] = end\n", "            first[hidden] = count\n"),),
        SMALL,
        "restored",
    ),
    Fault(
        "local: a dropped column's name brings its values back",
        "engines/_local/columns.py",
        (
            (
                "    stored = fresh_name(values.field.name)\n",
                "    stored = first_name(values.field)\n",
            ),
            ("import Layout, fresh_name\n", "import Layout, first_name\n"),
        ),
        USUAL,
        "used_again or another_type",
    ),
    Fault(
        "local: a capability is claimed and not kept",
        TABLE,
        (
            (
                "        Capability.FRAGMENTS,\n",
                "        Capability.FRAGMENTS,\n        Capability.REMOTE_WRITE,\n",
            ),
        ),
        USUAL,
        "claim",
    ),
    Fault(
        "local: a capability is kept and not claimed",
        TABLE,
        (("        Capability.TAGS,\n", ""),),
        USUAL,
        "claim",
    ),
    Fault(
        "local: changed bytes of a file are read",
        BEGUN,
        (
            (
                "    if ALGORITHMS[file.algorithm][1](memoryview(whole)[start:end]) != expected:\n",
                "    if False:\n",
            ),
        ),
        "tests/engines/test_check.py",
        "bit or damages",
    ),
    Fault(
        "local: changed rows of the catalog are read",
        "engines/_local/sealed.py",
        (("        if not whole:\n", "        if False:\n"),),
        "tests/engines/test_check.py",
        "bit",
    ),
    Fault(
        "local: rows that went with a page are not missed",
        "engines/_local/view.py",
        (("    if sum(map(_ROWS, parts)) != at.rows:\n", "    if False:\n"),),
        "tests/engines/test_check.py",
        "fewer",
    ),
    Fault(
        "local: work that fails stays in the transaction it shared",
        "engines/_local/together.py",
        (('            db.execute("ROLLBACK TO job")\n', "            pass\n"),),
        "tests/engines/test_group_commit.py",
        "undone_by_itself",
    ),
    Fault(
        "local: callers are told before the disk has what they wrote",
        CATALOG,
        (
            (
                "                    each.share(db)\n",
                "                    each.share(db)\n                    each.done = True\n",
            ),
        ),
        "tests/engines/test_group_commit.py",
        "told_to_each",
    ),
    Fault(
        "local: a deletion changes the mask of an earlier version",
        "engines/_local/alive.py",
        (("part.live.copy()", "part.live"),),
        "tests/engines/test_alive.py",
        "step_by_step",
    ),
    Fault(
        "local: a commit goes where the folder was",
        CATALOG,
        (("        if self._place is None:\n", "        if True:\n"),),
        "tests/engines/test_place.py",
        "went or goes",
    ),
    Fault(
        "local: a child goes on with its parent's connections",
        CATALOG,
        (
            ("            if lock.acquire(timeout=self._busy):\n", "            if False:\n"),
            ("        if child:\n", "        if False:\n"),
        ),
        "tests/engines/test_fork.py",
        "",
    ),
    Fault(
        "memory: a child waits for a thread it has not",
        "engines/_forks.py",
        (("        each.pause()\n", "        pass\n"), ("().resume(child=child)\n", "()\n")),
        "tests/engines/test_fork.py",
        "memory",
    ),
)
