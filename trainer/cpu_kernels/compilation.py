"""Numba options of this package's functions, and the cache of their machine code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

# LLVM may reorder sums (reassoc) and use approximate functions (afn), but "nnan" and "ninf" are
# absent: a table that diverged must show as a loss that is NaN or infinite.
# https://llvm.org/docs/LangRef.html#fast-math-flags
_OPTIONS = {
    "fastmath": {"reassoc", "contract", "nsz", "arcp", "afn"},
    # Python raises ZeroDivisionError; the branch for it keeps loops from being vectorized.
    "error_model": "numpy",
}

# Inlined into the callers by LLVM: a call would pass each array as seven numbers, and a block makes
# hundreds of calls. `_nrt=False` compiles without Numba's reference counts, which slices and calls
# would otherwise update. In return these functions must not create arrays, and a function that is
# called from elsewhere must not return one.
inline_njit = njit(
    no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, _nrt=False, **_OPTIONS
)
"""Decorates a function that only compiled functions call, and that creates no array."""


def cached_njit(function: Callable[..., Any], *, parallel: bool = True) -> Any:
    """Compiles a function that Python calls, and caches its machine code on disk if possible.

    The cache is `__pycache__` beside the function's file, or a folder of the user
    (https://numba.readthedocs.io/en/stable/developer/caching.html). Numba compiles again when that
    file changes, or a variable that the function encloses; not when another file of this package
    does. So `train` encloses `source_digest()`.

    Args:
        function: to be compiled on its first call.
        parallel: whether `numba.prange` runs on many threads.
    """
    # Numba would fuse two loops of cores that follow each other into one, and then no core would
    # wait for the others between them.
    options = {**_OPTIONS, "parallel": {"fusion": False} if parallel else False, "nogil": True}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # Numba's "no locator available": no folder can be written.
        return njit(function, **options)


def source_digest() -> str:
    """Returns the SHA-256 of this package's source files."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
