"""gensim's word2vec as a program: it scans a file of sentences, trains and saves.

`benchmarks.training` runs it, as a process of its own. The vectors are saved as `KeyedVectors.load`
reads them.
"""

from __future__ import annotations

import argparse

from gensim.models import Word2Vec  # type: ignore[import-untyped]


def main() -> None:
    """Trains skip-gram with negative sampling on a file of sentences, one in a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sentences")
    parser.add_argument("output")
    for name in ("vector_size", "window", "negative", "min_count", "epochs", "seed", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("sample", "alpha"):
        parser.add_argument(f"--{name}", type=float, required=True)
    options = vars(parser.parse_args())
    sentences, output = options.pop("sentences"), options.pop("output")
    Word2Vec(corpus_file=sentences, sg=1, hs=0, **options).wv.save(output)


if __name__ == "__main__":
    main()
