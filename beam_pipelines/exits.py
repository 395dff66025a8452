"""How a program ends: one line on stderr and an exit status, whatever went wrong.

    0  done                      1    failed: a UserError, told in one line
    2  usage error               130  interrupted (SIGINT)        141  nobody reads its output

A fault of ours is no UserError and keeps its traceback. Every program runs inside `run`, both as
`pmc2vec build` and as `python -m beam_pipelines.build`.
"""

from __future__ import annotations

import os
import select
import sys
import traceback
from collections.abc import Callable

from beam_pipelines import manners
from beam_pipelines.records import UserError

FAILED = 1
INTERRUPTED = 130
BROKEN_PIPE = 141


def run(program: Callable[[], int]) -> int:
    """Returns the exit status of `program`, after the one line that its failure deserves.

    Args:
        program: returns its exit status, and has its arguments already.
    """
    try:
        status = program()
        sys.stdout.flush()
    except UserError as error:
        if manners.asked.verbose:
            traceback.print_exc()
        print(f"pmc2vec: error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("pmc2vec: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return BROKEN_PIPE
    return status


def _reader_is_gone() -> bool:
    """Returns whether nobody reads stdout, and if so silences it for good.

    Beam's and TensorFlow's own connections break too, and that is news.
    """
    stdout = sys.stdout.fileno()
    poll = select.poll()
    poll.register(stdout, 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return gone
