"""Lets ``python -m embow`` stand in for the ``embow`` command."""

from __future__ import annotations

import sys

from embow._cli import console

sys.exit(console())
