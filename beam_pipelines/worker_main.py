"""A worker process of the local engine: `python -m beam_pipelines.worker_main`, started by Beam.

It runs Beam's own worker and differs in three things. It does not print errors on the user's
terminal: Beam also sends them to the program that waits, which prints one line. A crash of the
interpreter still prints. And the worker dies with the program that started it, so that none goes on
writing into a folder that the next build has locked.
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

_PR_SET_PDEATHSIG = 1  # prctl(2): the signal that Linux sends to this process when its parent ends.

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    logging.disable(logging.CRITICAL)
    machine.skip_garbage_collection_at_exit()
    with Path(os.devnull).open("w") as nowhere:
        sys.stderr = nowhere
        sdk_worker_main.main(sys.argv)
