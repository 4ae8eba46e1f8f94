"""Find the ImageBind that is installed, and import only its model classes.

Imported as a whole, its package asks for torchaudio, pytorchvideo and decord. None is needed
here, and the last two no longer install.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from embow.embeddings import load_sdk
from embow.errors import PluginBrokenError

if TYPE_CHECKING:
    from embow.embeddings import EmbeddingFunction

_PACKAGE = "imagebind"
_VOCABULARY = "bpe/bpe_simple_vocab_16e6.txt.gz"
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ImageBind:
    """What is taken from the installed ImageBind.

    Attributes:
        models: Its module ``imagebind.models.imagebind_model``.
        tokenizer: Turns one text into 77 token numbers.
    """

    models: Any
    tokenizer: Any


def load_imagebind(function: EmbeddingFunction) -> ImageBind:
    """Import ImageBind's model classes, and read its vocabulary.

    Raises:
        MissingSdkError: ImageBind, or a package its classes import, is not installed.
        PluginBrokenError: It fails to import, or lacks its vocabulary.
    """
    for needed in ("torch", "PIL", "soundfile", "einops", "timm", "ftfy", "regex", "iopath"):
        load_sdk(function, needed)
    with _lock:
        folder = _bare_package()
        if folder is None:
            load_sdk(function, _PACKAGE)  # raises, saying what to install
        with warnings.catch_warnings():
            # It imports names of timm by a path that newer releases of timm deprecate.
            warnings.simplefilter("ignore", FutureWarning)
            models = load_sdk(function, f"{_PACKAGE}.models.imagebind_model")
            parts = load_sdk(function, f"{_PACKAGE}.models.multimodal_preprocessors")
    return ImageBind(models, parts.SimpleTokenizer(bpe_path=str(_vocabulary(folder))))


def _bare_package() -> Path | None:
    """Put the package's folder where its modules are found, without running its ``__init__``.

    Returns the folder, or ``None`` where there is no such package.
    """
    present = sys.modules.get(_PACKAGE)
    if present is not None:
        return Path(next(iter(present.__path__)))
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    package = ModuleType(_PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules[_PACKAGE] = package
    return Path(package.__path__[0])


def _vocabulary(folder: Path | None) -> Path:
    # In the repository's layout the file lies beside the package, in its wheel inside it.
    for base in (folder, folder.parent if folder else None):
        if base is not None and (base / _VOCABULARY).is_file():
            return base / _VOCABULARY
    raise PluginBrokenError(
        f"The ImageBind installed in {str(folder)!r} has no {_VOCABULARY}; install it again."
    )
