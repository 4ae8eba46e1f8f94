"""Memory does not grow with the rows."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="needs getrusage")

_CHILD = """
import resource, sys
import numpy as np, pyarrow as pa
from scripted import rows_of, job, scripted
from embow.pipeline import AddReport, Pipeline, PipelineOptions
rows = int(sys.argv[1])
function = scripted(
    lambda texts: np.ones((len(texts), 8), "f4"), max_items=2048, max_concurrency=16
)
texts = (f"this is row number {at} of so many" for at in range(rows))
stream = Pipeline(sys.argv[2]).embed_batches(
    rows_of(texts), [job(function)], PipelineOptions(), AddReport()
)
assert sum(out.batch.num_rows for out in stream) == rows
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_ten_times_the_rows_take_at_most_a_fifth_more_memory(tmp_path):
    """The peak of a process that embeds 200,000 rows is that of one that embeds 20,000."""
    import scripted

    support = scripted.__file__.rpartition("/")[0]
    peaks = []
    for rows in (20_000, 200_000):
        child = subprocess.run(
            [sys.executable, "-c", _CHILD, str(rows), str(tmp_path / f"{rows}.sqlite")],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": support, "OMP_NUM_THREADS": "1", "PATH": ""},
            check=True,
        )
        peaks.append(int(child.stdout))
    assert peaks[1] <= 1.2 * peaks[0]
