"""Rerankers: LanceDB's names for embow's.

Those that ask a model need a plugin: ``pip install embow-cohere``.
"""

from __future__ import annotations

import embow.rerankers

__getattr__ = embow.rerankers.__getattr__
