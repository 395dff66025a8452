"""A worker process of the local engine: Beam's own, without its account on the user's terminal.

Beam prints every error here as well as sending it to the program that waits, which tells it better.
What the interpreter itself has to say (a crash) still reaches the terminal. A worker dies with the
program that started it, so that none goes on writing into a folder that the next build has taken.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

from pmc2vec import machine

with machine.garbage_collection_paused():
    from apache_beam.runners.worker import sdk_worker_main

_PR_SET_PDEATHSIG = 1  # prctl(2), Linux

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    logging.disable(logging.CRITICAL)
    machine.skip_garbage_collection_at_exit()
    with Path(os.devnull).open("w") as nowhere:
        sys.stderr = nowhere
        sdk_worker_main.main(sys.argv)
