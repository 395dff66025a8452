"""How the functions of this folder become machine code, and where that is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

# Sums may be taken in any order, but infinities and NaN keep their meaning, so that a loss that is
# no number is seen. Without NumPy's rules for errors every division is a branch.
_OPTIONS = {
    "fastmath": {"reassoc", "contract", "nsz", "arcp", "afn"},
    "error_model": "numpy",
}

compiled = njit(
    no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, _nrt=False, **_OPTIONS
)
"""Compiles a function that compiled functions call, and that makes no arrays.

It becomes part of those that call it: a call hands over each array as seven numbers, and a block's
calls some hundreds of them.

Numba would count who holds an array at every slice and call, which took a seventh of the time. So
what is called by others than these must not return arrays: nobody has counted them.
"""


def kept(function: Callable[..., Any], *, parallel: bool = True) -> Any:
    """Compiles a function for many cores; the machine code is kept where there is a place for it.

    That is beside the function's file or in the user's cache. Numba compiles anew when that file
    changes or what the function encloses; it knows nothing of other files: see `sources`.
    """
    options = {**_OPTIONS, "parallel": parallel, "nogil": True}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # Numba found no folder to keep it in.
        return njit(function, **options)


def sources() -> str:
    """Returns a digest of the files of this folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
