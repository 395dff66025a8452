"""No garbage collection while modules are loaded, and none when a process ends."""

import contextlib
import gc
import subprocess
import sys

import pytest

from pmc2vec.cli import garbage_collection


@pytest.mark.parametrize("enabled", [True, False])
def test_search_is_as_before_afterwards_whatever_happens(enabled):
    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.suppress(ImportError), garbage_collection.not_sought():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


LAST = """
from pmc2vec.cli import garbage_collection

class Found:
    def __del__(self):
        print("found")

ring = Found()
ring.self = ring
if {not_sought}:
    garbage_collection.not_sought_at_exit()
del ring
"""


@pytest.mark.parametrize("not_sought", [True, False])
def test_the_last_search_of_a_process_is_left_out(not_sought):
    done = subprocess.run(
        [sys.executable, "-c", LAST.format(not_sought=not_sought)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ("" if not_sought else "found\n")
