"""CPU cores by the container's limit; no garbage collection during imports and at exit."""

import contextlib
import gc
import subprocess
import sys

import pytest

from pmc2vec import machine


@pytest.mark.parametrize("enabled", [True, False])
def test_search_is_as_before_afterwards_whatever_happens(enabled):
    (gc.enable if enabled else gc.disable)()
    try:
        with contextlib.suppress(ImportError), machine.garbage_collection_paused():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


LAST = """
from pmc2vec import machine

class Witness:
    def __del__(self):
        print("found")

ring = Witness()
ring.self = ring
if {skipped}:
    machine.skip_garbage_collection_at_exit()
del ring
"""


@pytest.mark.parametrize("skipped", [True, False])
def test_the_last_search_of_a_process_is_left_out(skipped):
    process = subprocess.run(
        [sys.executable, "-c", LAST.format(skipped=skipped)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert process.stdout == ("" if skipped else "found\n")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("?", 8)],
)
def test_cores_are_limited_by_the_container(monkeypatch, tmp_path, limit, expected):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert machine.available_cores(tmp_path / "cpu.max") == expected
    assert machine.available_cores(tmp_path / "none") == 8
