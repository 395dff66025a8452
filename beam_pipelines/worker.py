"""A worker process of the local engine: Beam's own, without its account on the user's terminal.

Beam prints every error here as well as sending it to the program that waits, which tells it better.
What the interpreter itself has to say (a crash) still reaches the terminal.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from apache_beam.runners.worker import sdk_worker_main

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    with Path(os.devnull).open("w") as nowhere:
        sys.stderr = nowhere
        sdk_worker_main.main(sys.argv)
