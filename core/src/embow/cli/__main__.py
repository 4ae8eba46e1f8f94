"""Lets ``python -m embow.cli`` stand in for the ``embow`` command."""

from __future__ import annotations

import sys

from embow.cli import main

sys.exit(main())
