"""Word vectors from PubMed Central.

The names that a program needs; each is imported when it is first used, so that building
needs no TensorFlow and training no Beam.

    >>> import pmc2vec
    >>> pmc2vec.build.__module__
    'beam_pipelines.build'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_pipelines.build import build
    from beam_pipelines.text.tokenizers import tokenize
    from pmc2vec.dataset.pairs import iterate_pairs
    from pmc2vec.vectors.keyed_vectors import Vectors
    from trainer.pairs import pairs
    from trainer.task import train

__version__ = "0.1.0"

__all__ = ["Vectors", "__version__", "build", "iterate_pairs", "pairs", "tokenize", "train"]

_HOMES = {
    "build": "beam_pipelines.build",
    "iterate_pairs": "pmc2vec.dataset.pairs",
    "pairs": "trainer.pairs",
    "tokenize": "beam_pipelines.text.tokenizers",
    "train": "trainer.task",
    "Vectors": "pmc2vec.vectors.keyed_vectors",
}


def __getattr__(name: str) -> Any:
    """Returns a public name from the module it lives in, imported now (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """Returns the public names, loaded or not."""
    return sorted({*globals(), *__all__})
