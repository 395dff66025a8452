"""gensim's word2vec as a program: it scans a file of sentences, trains, saves, and prints JSON.

`benchmarks.training` runs it, as a process of its own, so that the memory is gensim's alone. The
vectors are saved as `KeyedVectors.load` reads them.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

from gensim.models import Word2Vec  # type: ignore[import-untyped]


def peak_mb() -> float:
    """Returns the peak memory of this program; Linux's getrusage starts from the parent's."""
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return int(peak[1]) / 1024


def main() -> None:
    """Trains skip-gram with negative sampling on a file of sentences, one in a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sentences")
    parser.add_argument("output")
    for name in ("vector_size", "window", "negative", "min_count", "epochs", "seed", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("sample", "ns_exponent", "alpha"):
        parser.add_argument(f"--{name}", type=float, required=True)
    options = vars(parser.parse_args())
    sentences, output = options.pop("sentences"), options.pop("output")
    epochs = options.pop("epochs")

    began = time.perf_counter()
    model = Word2Vec(sg=1, hs=0, **options)
    model.build_vocab(corpus_file=sentences)
    scanned = time.perf_counter()
    model.train(
        corpus_file=sentences,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=epochs,
    )
    trained = time.perf_counter()
    model.wv.save(output)
    facts = {
        "scan_seconds": scanned - began,
        "train_seconds": trained - scanned,
        "save_seconds": time.perf_counter() - trained,
        "vocabulary": len(model.wv),
        "peak_mb": peak_mb(),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
