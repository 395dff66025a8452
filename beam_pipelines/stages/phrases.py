"""Phrases (collocations): `breast cancer` becomes the word `breast_cancer`.

A phrase pass counts words and pairs of neighbours in the corpus and joins the pairs that score
above a threshold (word2phrase, Mikolov et al. 2013, section 4). The next pass counts what this one
joined, and so finds `new_york city`:

    score(a, b) = (count(a b) - min_count) / (count(a) * count(b)) * N

with N the number of distinct words and pairs, as in gensim's Phrases (word2phrase.c takes the
number of tokens). The corpus on disk stays as it was read; phrases are joined where it is used.

    >>> join_phrases(["the", "breast", "cancer", "gene"], {"breast": frozenset({"cancer"})})
    ['the', 'breast_cancer', 'gene']
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beam_pipelines.stages import corpus_files
from beam_pipelines.stages.output_folder import OutputFolder
from beam_pipelines.stages.word_counts import CountsWriter, read_merged
from pmc2vec.storage.files import atomic_file, open_binary, read_text, write_text

JOINER = "_"
_HEADER = "first\tsecond\tscore"

Phrases = Mapping[str, Collection[str]]
"""First word to the words that follow it in a phrase."""


def join_phrases(words: Sequence[str], phrases: Phrases) -> list[str]:
    """Returns the words with phrases joined, greedily from the left (as gensim's Phraser)."""
    joined: list[str] = []
    before: str | None = None
    for word in words:
        if before is not None and word in phrases.get(before, ()):
            joined.append(f"{before}{JOINER}{word}")
            before = None
            continue
        if before is not None:
            joined.append(before)
        before = word
    if before is not None:
        joined.append(before)
    return joined


def join_passes(sentence: str, passes: Iterable[Phrases]) -> list[str]:
    """Returns the tokens of a sentence of the corpus after every pass."""
    words = sentence.split(" ")
    for phrases in passes:
        words = join_phrases(words, phrases)
    return words


def phrase_scores(
    pairs: NDArray[np.int64],
    firsts: NDArray[np.int64],
    seconds: NDArray[np.int64],
    *,
    distinct: int,
    min_count: int,
) -> NDArray[np.float64]:
    """Returns [n] float64 scores of pairs.

    Args:
        pairs: [n] count of each pair.
        firsts: [n] count of its first word.
        seconds: [n] count of its second word.
        distinct: N, distinct words and pairs.
        min_count: the discount.
    """
    return np.asarray((pairs - min_count) / firsts / seconds * distinct, np.float64)


# --- files -------------------------------------------------------------------------------------


def phrases_name(number: int) -> str:
    """Returns the file name of a pass: `phrases-1.tsv`."""
    return f"phrases-{number}.tsv"


@lru_cache(maxsize=8)
def read_phrases(output: OutputFolder, number: int) -> Phrases:
    """Returns the phrases of one pass."""
    text = read_text(output.path(phrases_name(number))) or _HEADER
    phrases: dict[str, set[str]] = {}
    for row in text.splitlines()[1:]:
        first, second, _ = row.split("\t")
        phrases.setdefault(first, set()).add(second)
    return phrases


def write_counts(
    part: str,
    *,
    output: OutputFolder,
    passes: int,
    folder: str,
    pairs: bool,
) -> str:
    """Counts one part after some passes, into `folder`; returns the part's name.

    Args:
        part: name of the part of the corpus.
        output: the dataset.
        passes: how many passes to join first.
        folder: where the counts go.
        pairs: count neighbours too, as `first second`.
    """
    passes_before = [read_phrases(output, number) for number in range(1, passes + 1)]
    with atomic_file(output.path(folder, f"{part}.parquet")) as file:
        counter = CountsWriter(file)
        heartbeat, token_count = output.heartbeat(f"counted-{folder}-{part}"), 0
        with open_binary(output.corpus_path("corpus", f"{part}.parquet")) as source:
            for text in _texts(pq.ParquetFile(source)):
                joined = [join_passes(line, passes_before) for line in text.sentences.to_pylist()]
                token_count += sum(map(len, joined))
                heartbeat.beat({"words": token_count})
                counter.count_sentences(map(" ".join, joined))
                if pairs:
                    neighbours = (f"{a} {b}" for words in joined for a, b in pairwise(words))
                    counter.count(pa.array(neighbours, pa.string()))
        counter.close()
        heartbeat.beat({"words": token_count}, last=True)
    return part


def _texts(reader: pq.ParquetFile) -> Iterator[corpus_files.Tokens]:
    for group in range(reader.num_row_groups):
        yield from corpus_files.read_group(reader, group)


def write_phrases(
    dropped: Iterable[tuple[int, int]],
    *,
    number: int,
    output: OutputFolder,
    folder: str,
    min_count: int,
    threshold: float,
) -> int:
    """Writes the phrases of one pass from its merged counts; returns how many.

    Args:
        dropped: of each partition, the distinct words and pairs that are not frequent enough.
        number: of the pass, from 1.
        output: the dataset.
        folder: where the merged counts are.
        min_count: the discount; a pair that is not more frequent has no score.
        threshold: a pair with a greater score is a phrase.
    """
    merged_counts = read_merged(output, folder)
    is_pair = pc.match_substring(merged_counts["word"], " ")
    words, pairs = merged_counts.filter(pc.invert(is_pair)), merged_counts.filter(is_pair)
    counts = dict(zip(words["word"].to_pylist(), words["count"].to_pylist(), strict=True))
    split = [pair.split(" ") for pair in pairs["word"].to_pylist()]
    scored = phrase_scores(
        pairs["count"].to_numpy(),
        np.array([counts[first] for first, _ in split], np.int64),
        np.array([counts[second] for _, second in split], np.int64),
        distinct=merged_counts.num_rows + sum(rare for rare, _ in dropped),
        min_count=min_count,
    )
    above = [i for i in np.argsort(-scored, kind="stable") if scored[i] > threshold]
    rows = (f"{split[i][0]}\t{split[i][1]}\t{scored[i]:.6g}" for i in above)
    write_text(output.path(phrases_name(number)), "\n".join((_HEADER, *rows)) + "\n")
    return len(above)
