"""Faults of exact search in the embedded engine."""

from __future__ import annotations

from fault import Fault

NEAREST = "engines/_local/nearest.py"
SEARCH = "engines/_local/search.py"
THREADS = "engines/_local/threads.py"
PARSE = "engines/predicate/_parse.py"
CANDIDATES = "tests/engines/test_candidates.py"
RANDOM = "tests/engines/test_search_random.py"

FAULTS = (
    Fault(
        "search: estimates are taken for the truth",
        NEAREST,
        (("bound = self._reach() + scores.error", "bound = self._reach()"),),
        CANDIDATES,
    ),
    Fault(
        "search: the first limit is too tight",
        NEAREST,
        (("        high = sample + error\n", "        high = sample\n"),),
        CANDIDATES,
    ),
    Fault(
        "search: rows below the range set the first limit",
        NEAREST,
        (("        high[~(sample - error >= self._lower)] = np.inf\n", ""),),
        CANDIDATES,
    ),
    Fault(
        "search: rows that may fall out set a limit",
        NEAREST,
        (("        pairs.high[low < self._lower] = np.inf\n", ""),),
        CANDIDATES,
        "fall_out",
    ),
    Fault(
        "search: the limit is that of one row fewer",
        NEAREST,
        (("counts + self._k - 1", "counts + self._k - 2"),),
        CANDIDATES,
    ),
    Fault(
        "search: rows that do not count are candidates",
        NEAREST,
        (("            at, query = at[passing], query[passing]\n", "            pass\n"),),
        RANDOM,
        "plain_numpy",
    ),
    Fault(
        "search: rows whose scores say nothing are left out",
        NEAREST,
        (("            near[:, scores.unknown] = True\n", "            pass\n"),),
        CANDIDATES,
    ),
    Fault(
        "search: a piece loses its place in the block",
        NEAREST,
        (("return at + piece.rows.start if", "return at if"),),
        RANDOM,
        "at_a_time",
    ),
    Fault(
        "search: skipped rows are not skipped",
        SEARCH,
        (("[query.offset : query.offset + query.k]", "[: query.k]"),),
        RANDOM,
        "plain_numpy",
    ),
    Fault(
        "search: results come as threads end",
        THREADS,
        (("first, done = ahead.popleft()", "first, done = ahead.pop()"),),
        RANDOM,
        "side_by_side",
    ),
    Fault(
        "search: the time of a condition is that of its first reading",
        PARSE,
        (("if not any(name in lowered for name in MOMENTS):", "if True:"),),
        "tests/engines/test_predicate.py",
        "moment",
    ),
    Fault(
        "kinds: a null vector counts among a row's",
        "engines/contract/_distances.py",
        (("            if rows.valid is not None:\n", "            if False:\n"),),
        "tests/engines/test_memory.py",
        "several_vectors",
    ),
    Fault(
        "kinds: the farthest vector of a row counts",
        "engines/contract/_distances.py",
        (("np.fmin.reduceat", "np.fmax.reduceat"),),
        "tests/engines/test_memory.py",
        "several_vectors",
    ),
    Fault(
        "kinds: scores of odd vectors of a list are believed",
        "engines/_local/several.py",
        (
            (
                '    rows = np.unique(np.searchsorted(offsets, unknown, "right") - 1)\n',
                "    rows = np.empty(0, np.intp)\n",
            ),
        ),
        "tests/engines/test_kinds.py",
        "",
    ),
    Fault(
        "kinds: a number out of the range of its column is wrapped round",
        "_table/incoming/vectors.py",
        (("else numbers == matrix\n", "else np.ones(numbers.shape, np.bool_)\n"),),
        "tests/table/test_kinds.py",
        "narrow or fill",
    ),
    Fault(
        "kinds: half floats keep the exponent's top bits",
        "engines/_local/products.py",
        (("np.int32(-0x70002000)", "np.int32(-1)"),),
        "tests/engines/test_kinds.py",
        "products",
    ),
)
