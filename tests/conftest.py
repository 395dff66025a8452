"""What every test relies on: quiet engines, no GPU unless asked for, and repeatable hypothesis."""

import atexit
import gc
import os

import numpy as np
import pytest
from hypothesis import settings

from pmc2vec.cli.console import set_verbosity
from pmc2vec.vectors.formats.workdir_files import write_vectors

# Read by TensorFlow when it is loaded, so set before any test module is.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

settings.register_profile("pmc2vec", deadline=None, derandomize=True)
settings.load_profile("pmc2vec")


@pytest.fixture(autouse=True)
def text_logging():
    """Logs text on stderr, as a program does, whatever the programs that tests run set up."""
    set_verbosity(())
    yield
    set_verbosity(())


@pytest.fixture
def family(tmp_path):
    """A workdir with the vectors of five words, as a string."""
    words = ["man", "woman", "father", "mother", "[b]table[/b]"]
    matrix = [[1, 0, 0], [-1, 0, 0], [1, 1, 0], [-1, 1, 0], [0, 0.1, 5]]
    counts = np.array([50, 40, 30, 20, 10])
    write_vectors(tmp_path, words, counts, np.array(matrix, np.float32))
    return str(tmp_path)


def pytest_configure(config: pytest.Config) -> None:
    if "not gpu" in config.getoption("markexpr"):
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def pytest_unconfigure() -> None:
    # Commands that tests run in here have asked for it (`exit_codes`); DuckDB would call it a leak.
    atexit.unregister(gc.freeze)
