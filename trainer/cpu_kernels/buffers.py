"""The arrays that the kernels read and write, and the order of what is in them.

Kernels take these named tuples apart and together again as plain tuples of arrays (`step.train`
says why), so each has `flatten_arrays` on one side and its own constructor on the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from trainer.cpu_kernels.compilation import inline_njit
from trainer.cpu_kernels.llvm_intrinsics import CACHE_LINE_FLOATS, TILE_ROWS
from trainer.cpu_kernels.matmul import Operand

# The piece of a record that a core takes at a time, in tokens. Smaller pieces have more context
# rows in common; larger ones leave cores waiting at the end of a batch.
_PIECE_TOKENS = 128

# Word partitions for each core: enough that a core which is slower for a moment takes fewer.
_PARTITIONS_PER_CORE = 8

# Hardware prefetchers run ahead up to the end of a page of 4 KB. Where arrays of two cores share a
# page, one core's prefetcher takes cache lines that the other is writing.
_PAGE_BYTES = 4096

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


class Tables(NamedTuple):
    """What a step changes. Both tables may be one array.

    Attributes:
        target: [V, D] float32.
        context: [V, D] float32.
        target_sums: [V] float32, Adagrad's accumulators; [0] for gradient descent.
        context_sums: likewise.
    """

    target: Floats
    context: Floats
    target_sums: Floats
    context_sums: Floats


class KernelSizes(NamedTuple):
    """Sizes of records, vectors and pieces.

    Attributes:
        block: S, tokens that share their negatives.
        block_negatives: K.
        window: w, the largest.
        negative: negatives of a pair in the loss.
        piece: P, tokens of a record that a core takes at a time: whole blocks, and at least 2w
            unless the record is shorter.
        frame: S + 2w rounded up, the tokens that a block's targets may have pairs with.
        vector_size: D.
        packing: numbers in an element of an `Operand`: 1 float32 or 2 bfloat16.
        pieces: of a record; the last one may be shorter than P.
    """

    block: int
    block_negatives: int
    window: int
    negative: int
    piece: int
    frame: int
    vector_size: int
    packing: int
    pieces: int


class GradientRows(NamedTuple):
    """Gradients of n table rows. In a batch there is an axis of pieces before the others.

    Attributes:
        rows: [n, D'] float32. D' is D rounded up; the columns beyond D are zero.
        mean_squares: [n] float32, of each row, by which Adagrad's accumulators grow.
    """

    rows: Floats
    mean_squares: Floats


class PieceGradients(NamedTuple):
    """Gradients of a piece. In a batch there is an axis of pieces before the others.

    Each has some rows more than are used, since whole tiles are written.

    Attributes:
        targets: [P + 4] rows of the target table; token t of the piece has row t.
        contexts: [P + 2w + 4] rows of the context table; token t of the piece has row w + t. The w
            rows before and after belong to tokens of the neighbouring pieces.
        negatives: [P / S * K + 32] rows of the context table, block after block.
    """

    targets: GradientRows
    contexts: GradientRows
    negatives: GradientRows


class GradientIndex(NamedTuple):
    """Which row of a batch's gradients, piece after piece, belongs to which word of the batch.

    Attributes:
        targets: [B * T] int32, by token.
        contexts: [B * T] int32, by token.
        neighbor_contexts: [B * T] int32, the row that a neighbouring piece has for the token; -1
            if there is none.
        negatives: [B * T / S * K] int32, by negative.
    """

    targets: Ints
    contexts: Ints
    neighbor_contexts: Ints
    negatives: Ints


class WordPartitions(NamedTuple):
    """The places of a batch's words, by partition. Word v is in partition v modulo their number.

    One core updates all rows of a partition, so no two cores write to the same row.

    Attributes:
        tokens: [B * T] int32, places of tokens, in ascending order within a partition; without
            padding.
        token_ends: [partitions + 1] int32; partition p has those from token_ends[p] to
            token_ends[p + 1].
        negatives: [B * T / S * K] int32, places of negatives, likewise.
        negative_ends: [partitions + 1] int32.
    """

    tokens: Ints
    token_ends: Ints
    negatives: Ints
    negative_ends: Ints


class Scratch(NamedTuple):
    """What a core computes of a block. It stays in the core's cache.

    S, K, F (frame) and D are rounded up to whole tiles. For many cores there is an axis before the
    others, on which each core has one place in every n; the places between are never used.

    Attributes:
        targets: [S, D'] rows of the block's tokens in the target table.
        contexts: [F, D'] rows of the frame's tokens in the context table.
        negatives: [K, D'] rows of the block's negatives in the context table.
        contexts_transposed: [D' / packing, F] elements of `contexts.rows`.
        negatives_transposed: [D' / packing, K] elements of `negatives.rows`.
        negative_logits: [S, K] float32; then, in place, the loss's derivatives by them.
        negative_operand: the derivatives as an operand.
        band_logits: [S, F] float32, of the contexts; then, in place, the derivatives.
        band_operand: the derivatives as an operand.
        pair_mask: [S, F] float32, 1 where target and context are a pair. Rows beyond the block are
            never set and must stay zero.
        first_context: [T] int32, the first context of each token of a record, or the token itself.
        last_context: [T] int32, the last one.
        pair_counts: [S] float32, of each target.
        best_negative: [S] float32, the largest logit of a target's first `negative` negatives.
        row_ends: [2, 32] float32, the columns of two rows that do not fill a register; the rest
            must stay zero.
    """

    targets: Operand
    contexts: Operand
    negatives: Operand
    contexts_transposed: NDArray[Any]
    negatives_transposed: NDArray[Any]
    negative_logits: Floats
    negative_operand: Operand
    band_logits: Floats
    band_operand: Operand
    pair_mask: Floats
    first_context: Ints
    last_context: Ints
    pair_counts: Floats
    best_negative: Floats
    row_ends: Floats


def kernel_sizes(
    shape: RecordShape, vector_size: int, *, packing: int = 1, piece: int = _PIECE_TOKENS
) -> KernelSizes:
    """Returns the sizes, with pieces of at least `piece` tokens if a record has so many.

    A piece has 2w tokens or more, so a token has context gradients in two pieces at most.
    """
    piece = min(round_up(max(piece, 2 * shape.window), shape.block), shape.length)
    return KernelSizes(
        block=shape.block,
        block_negatives=shape.block_negatives,
        window=shape.window,
        negative=shape.negative,
        piece=piece,
        frame=round_up(shape.block + 2 * shape.window, TILE_ROWS),
        vector_size=vector_size,
        packing=packing,
        pieces=-(-shape.length // piece),
    )


def new_gradients(sizes: KernelSizes, records: int) -> PieceGradients:
    """Returns zeros for the gradients of so many records."""
    width = round_up(sizes.vector_size, CACHE_LINE_FLOATS * sizes.packing)
    pieces = records * sizes.pieces
    return PieceGradients(
        *(
            GradientRows(aligned_zeros(pieces, rows, width), aligned_zeros(pieces, rows))
            for rows in _rows_per_piece(sizes)
        )
    )


def gradient_index(shape: RecordShape, sizes: KernelSizes, records: int) -> GradientIndex:
    """Returns where the gradients of so many records are."""
    pieces, window = sizes.pieces, sizes.window
    target_rows, context_rows, negative_rows = _rows_per_piece(sizes)
    record, token = (axis.ravel() for axis in np.indices((records, shape.length)))
    piece, offset = record * pieces + token // sizes.piece, token % sizes.piece
    context = piece * context_rows + window + offset
    in_previous = (offset < window) & (token >= sizes.piece)
    in_next = (offset >= sizes.piece - window) & (token // sizes.piece < pieces - 1)
    neighbor = np.where(
        offset < window, context - context_rows + sizes.piece, context + context_rows - sizes.piece
    )
    record, negative = (axis.ravel() for axis in np.indices((records, shape.negatives)))
    piece_negatives = sizes.piece // sizes.block * sizes.block_negatives
    rows = (
        piece * target_rows + offset,
        context,
        np.where(in_previous | in_next, neighbor, -1),
        (record * pieces + negative // piece_negatives) * negative_rows
        + negative % piece_negatives,
    )
    return GradientIndex(*(each.astype(np.int32) for each in rows))


def new_word_partitions(shape: RecordShape, records: int, cores: int) -> WordPartitions:
    """Returns empty partitions of so many records, a power of two of them; one for one core."""
    partitions = 1 << (cores * _PARTITIONS_PER_CORE - 1).bit_length() if cores > 1 else 1
    lengths = (records * shape.length, partitions + 1, records * shape.negatives, partitions + 1)
    return WordPartitions(*(np.zeros(length, np.int32) for length in lengths))


def new_scratch(shape: RecordShape, sizes: KernelSizes, cores: int) -> Scratch:
    """Returns zeros for so many cores."""
    packing, length = sizes.packing, shape.length
    register = CACHE_LINE_FLOATS * packing
    width, block = round_up(sizes.vector_size, register), round_up(sizes.block, TILE_ROWS)
    negatives, frame = round_up(sizes.block_negatives, register), round_up(sizes.frame, register)

    def elements(rows: int, columns: int) -> NDArray[Any]:
        """Returns [cores, rows, columns] float32, or uint32 for packed bfloat16."""
        numbers = _zeros_on_own_pages(cores, rows, columns)
        return numbers if packing == 1 else numbers.view(np.uint32)

    def operand(rows: int, columns: int) -> Operand:
        """Returns zeros for a matrix of so many numbers; unpacked, both forms are one array."""
        by_row = elements(rows, columns // packing)
        return Operand(by_row, by_row if packing == 1 else elements(rows // packing, columns))

    negative_logits = _zeros_on_own_pages(cores, block, negatives)
    band_logits = _zeros_on_own_pages(cores, block, frame)
    return Scratch(
        targets=operand(block, width),
        contexts=operand(frame, width),
        negatives=operand(negatives, width),
        contexts_transposed=elements(width // packing, frame),
        negatives_transposed=elements(width // packing, negatives),
        negative_logits=negative_logits,
        negative_operand=Operand(negative_logits, negative_logits)
        if packing == 1
        else operand(block, negatives),
        band_logits=band_logits,
        band_operand=Operand(band_logits, band_logits) if packing == 1 else operand(block, frame),
        pair_mask=_zeros_on_own_pages(cores, block, frame),
        first_context=_zeros_on_own_pages(cores, length).view(np.int32),
        last_context=_zeros_on_own_pages(cores, length).view(np.int32),
        pair_counts=_zeros_on_own_pages(cores, block),
        best_negative=_zeros_on_own_pages(cores, block),
        row_ends=_zeros_on_own_pages(cores, 2, 2 * CACHE_LINE_FLOATS),
    )


@inline_njit
def piece_gradients(arrays: Any, piece: int) -> PieceGradients:
    """Returns the gradients of a piece, out of the flat arrays of a batch."""
    return PieceGradients(
        GradientRows(arrays[0][piece], arrays[1][piece]),
        GradientRows(arrays[2][piece], arrays[3][piece]),
        GradientRows(arrays[4][piece], arrays[5][piece]),
    )


@inline_njit
def batch_gradients(arrays: Any) -> PieceGradients:
    """Returns the gradients of a batch without the axis of pieces, out of its flat arrays."""
    width = arrays[0].shape[2]
    return PieceGradients(
        GradientRows(arrays[0].reshape(-1, width), arrays[1].reshape(-1)),
        GradientRows(arrays[2].reshape(-1, width), arrays[3].reshape(-1)),
        GradientRows(arrays[4].reshape(-1, width), arrays[5].reshape(-1)),
    )


@inline_njit
def scratch_of_core(arrays: Any, core: int, cores: int) -> Scratch:
    """Returns the scratch of a core, out of the flat arrays of all."""
    return Scratch(
        _operand(arrays[0], arrays[1], core, cores),
        _operand(arrays[2], arrays[3], core, cores),
        _operand(arrays[4], arrays[5], core, cores),
        arrays[6][_place(arrays[6], core, cores)],
        arrays[7][_place(arrays[7], core, cores)],
        arrays[8][_place(arrays[8], core, cores)],
        _operand(arrays[9], arrays[10], core, cores),
        arrays[11][_place(arrays[11], core, cores)],
        _operand(arrays[12], arrays[13], core, cores),
        arrays[14][_place(arrays[14], core, cores)],
        arrays[15][_place(arrays[15], core, cores)],
        arrays[16][_place(arrays[16], core, cores)],
        arrays[17][_place(arrays[17], core, cores)],
        arrays[18][_place(arrays[18], core, cores)],
        arrays[19][_place(arrays[19], core, cores)],
    )


@inline_njit
def _operand(rows: Any, columns: Any, core: int, cores: int) -> Operand:
    return Operand(rows[_place(rows, core, cores)], columns[_place(columns, core, cores)])


@inline_njit
def _place(array: Any, core: int, cores: int) -> int:
    """Returns a core's place on the axis of cores."""
    return len(array) // cores * core


def flatten_arrays(buffers: tuple[Any, ...]) -> tuple[NDArray[Any], ...]:
    """Returns the arrays of nested tuples, in their order."""
    parts = (flatten_arrays(part) if isinstance(part, tuple) else (part,) for part in buffers)
    return tuple(array for part in parts for array in part)


def round_up(number: int, multiple: int) -> int:
    """Returns the smallest multiple that is not below a number."""
    return -(-number // multiple) * multiple


def aligned_zeros(*sizes: int) -> Floats:
    """Returns float32 zeros that begin at a cache line, a multiple of 64 bytes.

    A register of AVX-512 is a whole line: if rows began elsewhere, each load would read two.
    """
    count = int(np.prod(sizes))
    memory = np.zeros(count + CACHE_LINE_FLOATS, np.float32)
    skip = -(memory.ctypes.data // memory.itemsize) % CACHE_LINE_FLOATS
    return memory[skip : skip + count].reshape(sizes)


def _zeros_on_own_pages(cores: int, *sizes: int) -> Floats:
    """Returns [cores * n, *sizes] zeros, where n is such that every n-th is a page apart."""
    size = int(np.prod(sizes)) * np.dtype(np.float32).itemsize
    return aligned_zeros(cores * (1 + -(-_PAGE_BYTES // size)), *sizes)


def _rows_per_piece(sizes: KernelSizes) -> tuple[int, int, int]:
    """Returns the rows of a piece's targets, contexts and negatives."""
    blocks = sizes.piece // sizes.block
    return (
        sizes.piece + TILE_ROWS,
        sizes.piece + 2 * sizes.window + TILE_ROWS,
        blocks * sizes.block_negatives + 2 * CACHE_LINE_FLOATS,
    )
