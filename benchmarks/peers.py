r"""Other programs that train word2vec, each as a process: which arguments it takes.

    gensim               gensim's package, by `gensim_word2vec.py`
    word2vec=BINARY      word2vec.c, https://github.com/tmikolov/word2vec
    pword2vec=BINARY     Intel's, https://github.com/IntelLabs/pWord2Vec, which shares negatives

The binaries are built by who measures. pWord2Vec is written for Intel's compiler; GCC makes it with
MKL's packages of PyPI, mkl and mkl-include, in a folder VENV (`-l:` since they have no symbolic
link `libmkl_rt.so`):

    g++ -std=c++14 -O3 -march=native -fopenmp -D USE_MKL -include immintrin.h -include cstdio \
        -include cstdlib -I VENV/include pWord2Vec.cpp -o pWord2Vec \
        -L VENV/lib -l:libmkl_rt.so.3 -Wl,-rpath,VENV/lib
    gcc -O3 -march=native -funroll-loops -pthread word2vec.c -o word2vec -lm
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

MAX_PATH = 100  # word2vec.c and pWord2Vec copy a path into so many bytes, without a check.

GENSIM = "gensim"


@dataclass(frozen=True)
class Settings:
    """What all trainers are told, by the names of our options.

    Attributes:
        vector_size: dimensions.
        window: largest distance between target and context.
        negative: noise words for each pair.
        min_count: words that occur less often are left out.
        sample: threshold of subsampling.
        workers: threads.
    """

    vector_size: int
    window: int
    negative: int
    min_count: int
    sample: float
    workers: int


@dataclass(frozen=True)
class Peer:
    """A trainer to compare with.

    Attributes:
        name: of the program.
        suffix: of the file of vectors that it writes.
        command: arguments of the process, from sentences, vectors, settings, epochs and seed.
    """

    name: str
    suffix: str
    command: Callable[[Path, Path, Settings, int, int], list[str]]


def parse_peer(text: str) -> Peer:
    """Returns the peer that `--peer` names: `gensim`, or `NAME=BINARY`.

    Raises:
        ValueError: there is no such program, or no such binary.
    """
    name, _, path = text.partition("=")
    if name == GENSIM and not path:
        return Peer(GENSIM, ".kv", _gensim_command)
    if name not in _EXTRA_ARGUMENTS:
        names = ", ".join([GENSIM, *(f"{name}=BINARY" for name in _EXTRA_ARGUMENTS)])
        raise ValueError(f"{text}: must be one of {names}")
    binary = Path(path).absolute()
    if not binary.is_file():
        raise ValueError(f"{text}: no such binary")

    def command(
        sentences: Path, output: Path, settings: Settings, epochs: int, _: int
    ) -> list[str]:
        """Returns the command of a binary; neither program takes a seed."""
        if max(len(str(sentences)), len(str(output))) >= MAX_PATH:
            raise ValueError(f"{output}: too long for {name}; set TMPDIR to a shorter folder")
        arguments = {
            "train": sentences,
            "output": output,
            "size": settings.vector_size,
            "window": settings.window,
            "negative": settings.negative,
            "min-count": settings.min_count,
            "sample": settings.sample,
            "threads": settings.workers,
            "iter": epochs,
            "alpha": 0.025,
            "binary": 1,
            **_EXTRA_ARGUMENTS[name](settings),
        }
        flags = [text for key, value in arguments.items() for text in (f"-{key}", str(value))]
        # pWord2Vec's threads each call MKL, which is to start none of its own.
        return ["env", "MKL_THREADING_LAYER=SEQUENTIAL", str(binary), *flags]

    return Peer(name, ".bin", command)


_EXTRA_ARGUMENTS: dict[str, Callable[[Settings], dict[str, int]]] = {
    "word2vec": lambda _: {"cbow": 0},
    "pword2vec": lambda settings: {"batch-size": 2 * settings.window + 1},
}


def _gensim_command(
    sentences: Path, output: Path, settings: Settings, epochs: int, seed: int
) -> list[str]:
    arguments = {**asdict(settings), "alpha": 0.025, "epochs": epochs, "seed": seed}
    flags = [text for key, value in arguments.items() for text in (f"--{key}", str(value))]
    program = Path(__file__).with_name("gensim_word2vec.py")
    return [sys.executable, str(program), str(sentences), str(output), *flags]
