"""Tables in memory, for tests and for trying things: the contract in its plainest form.

Every version of a table is one Arrow table, never changed: a snapshot is a reference to it, and a
commit puts a new one behind the last under a lock. Staged rows carry their data with them.
"""

from __future__ import annotations

from embow.engines._memory.engine import MemoryEngine

__all__ = ["MemoryEngine"]
