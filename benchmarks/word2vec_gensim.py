"""gensim's word2vec as one whole program: scan the vocabulary, train, save; then one line of JSON.

Run by `training.py`, which says with what. Its output is what `KeyedVectors.load` reads.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

from gensim.models import Word2Vec  # type: ignore[import-untyped]


def peak_mb() -> float:
    """Returns the most memory held since this program began; getrusage counts its parent's too."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


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
