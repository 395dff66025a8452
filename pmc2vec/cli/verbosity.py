"""How a program speaks: --quiet and --verbose, which every program takes, --json, --log_format.

    --quiet     no progress and no notes on stderr; failures and results are told all the same
    --verbose   what the engines log, and with a failure where in the code it comes from
    --json      the result of `build` or `train` as JSON
    --log_format json   of long programs: lines on stderr as JSON; see `logs`

`options.parse` takes them; `progress`, `exits` and the programs ask here.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

LogFormat = Literal["text", "json"]

FLAGS = ("--quiet", "--verbose", "--json")


@dataclass
class Manners:
    """What this process was asked for last."""

    quiet: bool = False
    verbose: bool = False
    json: bool = False
    log_format: LogFormat = "text"


asked = Manners()


def obey(flags: Collection[str]) -> None:
    """Sets how this process speaks from now on.

    Args:
        flags: those of `FLAGS` that were given.
    """
    asked.quiet, asked.verbose, asked.json = (flag in flags for flag in FLAGS)
    if asked.verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # TensorFlow reads it when it is loaded.
