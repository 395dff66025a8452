"""The explicit pairs of a dataset as NumPy arrays, for a model of one's own.

    for (target, context), label in pmc2vec.iterate_pairs("dataset", negative=4, epoch=0):
        ...  # target [1024], context [1024, 5], label [1024, 5]

`trainer.pairs` gives the same as a `tf.data.Dataset`. Windows and negatives are drawn anew in each
epoch: a record says which tokens stand beside each other and how wide a window may be, and the
manifest has the distribution of the negatives. Nothing here needs TensorFlow, so the iterator suits
PyTorch too (docs/api.md).

There are three forms, all ids and labels int64:

| form | elements | for |
|---|---|---|
| tutorial | ((target [B], context [B, 1 + n]), label [B, 1 + n]) | TensorFlow's word2vec tutorial |
| flat | (target [B], context [B], label [B]) | one output for a pair, such as a sigmoid |
| windows | ((context [B, 2w], mask [B, 2w]), target [B]) | CBOW; context is 0 where mask is False |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pmc2vec.dataset.manifest import MANIFEST_NAME, Manifest, parse_manifest
from pmc2vec.dataset.records import (
    PADDING,
    SENTENCE_START,
    TRAIN,
    WINDOW_BITS,
    Record,
    read_shard,
)
from pmc2vec.dataset.vocabulary import NoiseSampler, noise_distribution, parse_vocabulary
from pmc2vec.errors import UserError
from pmc2vec.storage import files

Ids = NDArray[np.int64]
PairForm = Literal["tutorial", "flat", "windows"]

CHUNK_RECORDS = 256
"""Records whose pairs are shuffled together: a million pairs or so."""


@dataclass(frozen=True)
class PairOptions:
    """What pairs look like.

    Attributes:
        batch_size: B, elements of a batch; the last elements that do not fill one are dropped.
        negative: n, negatives of a pair; None for the dataset's own number.
        form: see the module.
        unique_negatives: the negatives of a pair are different words, and none is its context.
            Otherwise they are independent draws, as in word2vec.c.
    """

    batch_size: int = 1024
    negative: int | None = None
    form: PairForm = "tutorial"
    unique_negatives: bool = False

    def __post_init__(self) -> None:
        """Raises UserError for values that cannot be."""
        if self.form not in get_args(PairForm):
            raise UserError(f"form {self.form!r}: must be one of {', '.join(get_args(PairForm))}")
        if self.batch_size < 1 or (self.negative is not None and self.negative < 1):
            raise UserError("batch_size and negative must be at least 1")

    def negatives_of(self, manifest: Manifest) -> int:
        """Returns n for a dataset.

        Raises:
            UserError: it has not so many different words.
        """
        negative = self.negative or manifest.shape.negative
        if self.unique_negatives and negative >= manifest.vocabulary.size:
            raise UserError(
                f"negative {negative}: the vocabulary has {manifest.vocabulary.size} words, too "
                "few for so many different ones; give less, or unique_negatives=False"
            )
        return negative


def iterate_pairs(
    folder: str,
    *,
    epoch: int = 0,
    seed: int = 0,
    split: str = TRAIN,
    part: tuple[int, int] = (0, 1),
    **options: Any,
) -> Iterator[Any]:
    """Yields batches of pairs of one epoch; see the module for their forms.

    Equal arguments give equal batches.

    Args:
        folder: written by `pmc2vec build`, local or in an object store.
        epoch: counted from 0; with `seed` it decides windows, negatives and the order.
        seed: of the draws.
        split: `train` or `validation`.
        part: (2, 8) is the third of eight parts of the epoch, for one of eight processes.
        **options: attributes of `PairOptions`.

    Raises:
        UserError: the dataset is not finished or a shard is damaged, or an option cannot be.
    """
    pair_options, folder = PairOptions(**options), str(folder).rstrip("/")
    text = files.read_text(f"{folder}/{MANIFEST_NAME}")
    if text is None:
        raise UserError(f"{folder}: no {MANIFEST_NAME}; give a folder that pmc2vec build finished")
    manifest = parse_manifest(text, f"{folder}/{MANIFEST_NAME}")
    pair_options.negatives_of(manifest)
    noise = _noise_sampler(folder, manifest)
    rng = np.random.default_rng([seed, epoch, part[0]])
    names = [
        s.name for s in manifest.select(split, epoch % manifest.passes if split == TRAIN else 0)
    ]
    order = np.random.default_rng([seed, epoch]).permutation(len(names)).tolist()
    chunks = _chunks(folder, [names[place] for place in order])
    expanded = (
        chunk_pairs(chunk, manifest, noise, pair_options, rng)
        for chunk in islice(chunks, part[0], None, part[1])
    )
    form = pair_options.form
    return (_as_form(batch, form) for batch in _rebatched(expanded, pair_options.batch_size))


def chunk_pairs(
    records: list[Record],
    manifest: Manifest,
    noise: NoiseSampler,
    options: PairOptions,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], ...]:
    """Returns the elements of some records in random order: arrays of equal length.

    Args:
        records: of the dataset.
        manifest: of the dataset.
        noise: its distribution of negatives.
        options: what pairs look like.
        rng: of windows, negatives and the order.
    """
    tokens = np.stack([record.tokens for record in records]).astype(np.int64)
    windows = np.stack([record.windows for record in records])
    if manifest.config.get("shrink_windows", True):
        new_windows = rng.integers(1, manifest.shape.window + 1, windows.shape, dtype=np.uint8)
        new_windows |= windows & SENTENCE_START
        windows = np.where(windows & WINDOW_BITS, new_windows, windows)
    target, context, mask = window_contexts(tokens, windows, manifest.shape.window)
    if options.form == "windows":
        order = rng.permutation(len(target))
        return context[order], mask[order], target[order]
    rows, columns = np.nonzero(mask)
    order = rng.permutation(len(rows))
    target, context = target[rows[order]], context[rows[order], columns[order]]
    negatives = draw_pair_negatives(
        context, options.negatives_of(manifest), noise, rng, unique=options.unique_negatives
    )
    words = np.concatenate([context[:, None], negatives], 1)
    label = np.zeros_like(words)
    label[:, 0] = 1
    if options.form == "tutorial":
        return target, words, label
    order = rng.permutation(words.size)
    return np.repeat(target, words.shape[1])[order], words.ravel()[order], label.ravel()[order]


def window_contexts(
    tokens: Ids, windows: NDArray[np.uint8], window: int
) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    """Returns each token that has contexts, with its contexts.

    Args:
        tokens: [N, T] word ids, PADDING where there is none.
        windows: [N, T], as in `records.Record`.
        window: w, the largest.

    Returns:
        target [P]; context [P, 2w], 0 where there is none; mask [P, 2w].
    """
    offsets = np.array([*range(-window, 0), *range(1, window + 1)])
    sentences = np.cumsum(windows >= SENTENCE_START, axis=1)
    sentences = np.where(tokens == PADDING, -1, sentences)
    around = np.arange(tokens.shape[1])[:, None] + offsets + window  # [T, 2w], in a padded record

    def neighbours(values: NDArray[Any]) -> NDArray[Any]:
        """Returns [N, T, 2w]: the values around each of [N, T], -1 beyond the record."""
        return np.pad(values, [(0, 0), (window, window)], constant_values=-1)[:, around]

    mask = (neighbours(sentences) == sentences[..., None]) & (sentences >= 0)[..., None]
    mask &= np.abs(offsets) <= (windows & WINDOW_BITS)[..., None]
    is_target = mask.any(2)
    mask = mask[is_target]
    return tokens[is_target], np.where(mask, neighbours(tokens)[is_target], 0), mask


def draw_pair_negatives(
    context: Ids, count: int, noise: NoiseSampler, rng: np.random.Generator, *, unique: bool
) -> Ids:
    """Returns negatives for each pair, [P, count].

    Unique ones are drawn one after the other, each again until it is new: the rule of
    `tf.random.log_uniform_candidate_sampler(unique=True)`, which does not leave out the context.
    """
    negatives = noise.sample(rng.random(len(context) * count)).reshape(-1, count).astype(np.int64)
    while unique and len(again := np.argwhere(repeated(context, negatives))):
        negatives[again[:, 0], again[:, 1]] = noise.sample(rng.random(len(again)))
    return negatives


def repeated(context: Ids, negatives: Ids) -> NDArray[np.bool_]:
    """Returns where a negative is the context, or a negative before it: [P, count].

    >>> repeated(np.array([7]), np.array([[3, 7, 3, 4]])).tolist()
    [[False, True, True, False]]
    """
    words = np.concatenate([context[:, None], negatives], 1)
    is_same_word = words[:, :, None] == words[:, None, :]  # [P, 1 + count, 1 + count]
    return np.asarray(np.tril(is_same_word, -1).any(2)[:, 1:])


# --- reading and batches -------------------------------------------------------------------------


def _noise_sampler(folder: str, manifest: Manifest) -> NoiseSampler:
    path = f"{folder}/{manifest.vocabulary.name}"
    counts = parse_vocabulary(files.read_text(path) or "", path).counts
    config = manifest.config
    return NoiseSampler(noise_distribution(counts, config["noise"], config["ns_exponent"]))


def _chunks(folder: str, names: Iterable[str]) -> Iterator[list[Record]]:
    """Yields the records of shards, CHUNK_RECORDS at a time."""
    for name in names:
        path = f"{folder}/{name}"
        with files.open_binary(path) as file:
            records = read_shard(file, path)
            while chunk := list(islice(records, CHUNK_RECORDS)):
                yield chunk


def _rebatched(
    chunks: Iterable[tuple[NDArray[Any], ...]], size: int
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yields batches of `size` elements out of chunks of any length."""
    carried_rows: tuple[NDArray[Any], ...] | None = None
    for chunk in chunks:
        arrays = (
            chunk
            if carried_rows is None
            else tuple(map(np.concatenate, zip(carried_rows, chunk, strict=True)))
        )
        whole = len(arrays[0]) // size * size
        for begin in range(0, whole, size):
            yield tuple(array[begin : begin + size] for array in arrays)
        carried_rows = tuple(array[whole:] for array in arrays)


def _as_form(batch: tuple[NDArray[Any], ...], form: PairForm) -> Any:
    return batch if form == "flat" else (batch[:2], batch[2])
