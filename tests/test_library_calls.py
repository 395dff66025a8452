"""pmc2vec.build and pmc2vec.train leave logging, exception hooks and signals to their caller."""

import subprocess
import sys

from tests.bulk import write_bulk

CALLS = """
import logging, signal, sys, threading
from pathlib import Path

def state():
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "pmc2vec", "trainer")}
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return root.handlers[:], levels, sys.excepthook, threading.excepthook, handlers, \\
        logging.warnings_showwarning if hasattr(logging, "warnings_showwarning") else None

import pmc2vec
import apache_beam, tensorflow
from beam_pipelines.config import BuildConfig
from trainer.config import TrainConfig
logging.basicConfig(level=logging.ERROR)
bulk, data, run = sys.argv[1:]
before = state()
pmc2vec.build(
    BuildConfig(input=(bulk,), output=data, min_count=2, num_shards=2, log_format="json"),
    ["--direct_num_workers=1"],
)
assert state() == before
pmc2vec.train(
    TrainConfig(dataset=data, workdir=Path(run), epochs=1, vector_size=8, log_format="json")
)
assert state() == before
"""


def test_library_calls_change_no_logging_hooks_or_signals(tmp_path):
    bulk = write_bulk(tmp_path / "bulk", archives=1, articles=40)
    command = [sys.executable, "-c", CALLS, bulk, str(tmp_path / "data"), str(tmp_path / "run")]
    subprocess.run(command, check=True)
