"""Let a CUDA build of torchvision be imported beside a CPU build of torch.

It registers two compiled operators when imported, which its library then lacks. Nothing here uses
them. Where torch has CUDA, or torchvision is never imported, this does nothing.
"""

from __future__ import annotations

import sys
from typing import Any


class _Mend:
    """Declares the operators when torchvision is about to be imported."""

    library: Any = None

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> None:
        if name == "torchvision" and cls.library is None:
            import torch

            if torch.version.cuda is None:
                cls.library = torch.library.Library("torchvision", "DEF")
                for operator in ("nms", "qnms"):
                    cls.library.define(
                        f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                    )


sys.meta_path.insert(0, _Mend)  # type: ignore[arg-type]
