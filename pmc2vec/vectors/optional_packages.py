"""Packages that only some formats and pictures need: the optional extras of pmc2vec."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pmc2vec.errors import UserError


def import_optional(module: str, *, extra: str, purpose: str) -> Any:
    """Returns a module of an optional package.

    Args:
        module: its name, such as `gensim.models`.
        extra: of pmc2vec, which installs it.
        purpose: what needs it, in the user's words, such as `--format gensim`.

    Raises:
        UserError: the package is not installed.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise  # The package is there, and lacks one of its own: not for the user to mend.
        raise UserError(
            f"{purpose} needs {package}, which is not installed: pip install 'pmc2vec[{extra}]'"
        ) from error
