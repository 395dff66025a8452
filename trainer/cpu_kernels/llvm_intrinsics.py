"""What LLVM can do and Numba has no words for: products in registers, transposes, prefetches.

Each is a function to be called from compiled code, and becomes the instructions of this machine's
processor: registers of 16 numbers where it has AVX-512, of 8 elsewhere, and, where it has
AVX512-BF16, products of pairs of bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_, _PROCESSOR, _features = cpu_target.target_context.codegen().magic_tuple()
_FEATURES = _features.split(",")

LANES = 16 if "+avx512f" in _FEATURES else 8
"""Numbers in a register."""

WIDE = 2 * LANES
"""Columns of the larger `tile`."""

HIGH = 4
"""Rows of a `tile`."""

LINE = 16
"""Numbers in a line of a cache, and in the widest register there is."""

HAS_BFLOAT16 = "+avx512bf16" in _FEATURES
"""Whether this processor multiplies pairs of bfloat16."""

FASTER_IN_BFLOAT16 = HAS_BFLOAT16 and _PROCESSOR.startswith("znver")
"""Whether it gains by it: AMD's do twice as many in a second as in float32, Intel's half."""

_INDEX, _INT32, _INT8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_WORDS = ir.VectorType(_INT32, LANES)


class _Bfloat16(ir.Type):
    """LLVM's bfloat, which llvmlite does not know."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bfloat16)

    def __hash__(self) -> int:
        return hash(_Bfloat16)


_PAIRS = ir.VectorType(_Bfloat16(), 2 * LANES)


class _Matrix:
    """A two-dimensional array, as code that is being emitted sees it."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder, self._data = builder, builder.bitcast(array.data, _INT8.as_pointer())
        self._strides = cgutils.unpack_tuple(builder, array.strides, 2)
        if kind.layout == "C":
            self._strides[1] = _INDEX(4)

    def place(self, row: Any, column: Any) -> Any:
        """Returns the address of an element."""
        builder = self._builder
        rows, columns = builder.mul(row, self._strides[0]), builder.mul(column, self._strides[1])
        return builder.gep(self._data, [builder.add(rows, columns)], source_etype=_INT8)

    def load(self, row: Any, column: Any, kind: Any) -> Any:
        """Returns what stands there, read as an LLVM type."""
        pointer = self._builder.bitcast(self.place(row, column), kind.as_pointer())
        return self._builder.load(pointer, align=4)

    def store(self, value: Any, row: Any, column: Any) -> None:
        """Writes what is to stand there."""
        pointer = self._builder.bitcast(self.place(row, column), value.type.as_pointer())
        self._builder.store(value, pointer, align=4)


def _shuffle(builder: Any, registers: Sequence[Any], order: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_INT32, len(order)), list(order))
    return builder.shuffle_vector(*registers, mask)


def _splat(builder: Any, value: Any) -> Any:
    """Returns a register that holds a value in each place."""
    kind = ir.VectorType(value.type, LANES)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INT32(0))
    return _shuffle(builder, [first, first], [0] * LANES)


def _multiply_add(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """Returns total + a * b; of pairs the sum of both products."""
    if a.type == _FLOATS:
        flags = ("reassoc", "contract", "nsz")
        return builder.fadd(total, builder.fmul(a, b, flags=flags), flags=flags)
    takes = ir.FunctionType(_FLOATS, [_FLOATS, _PAIRS, _PAIRS])
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    function = cgutils.get_or_insert_function(builder.module, takes, name)
    return builder.call(function, [total, *(builder.bitcast(part, _PAIRS) for part in (a, b))])


def _tile(registers: int) -> Any:
    """Returns a `tile` of so many registers' columns."""

    def typed(_: Any, a: Any, b: Any, out: Any, i: Any, j: Any, k: Any, end: Any, new: Any) -> Any:
        """Returns the types of a call of `tile`, and what emits it."""
        numbers = types.intp, types.intp, types.intp, types.intp, types.boolean
        return types.void(a, b, out, *numbers), emit

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits the loop over k, whose sums stay in registers."""
        a, b, out = (
            _Matrix(context, builder, kind, value)
            for kind, value in zip(signature.args[:3], args[:3], strict=True)
        )
        i, j, first, end, new = args[3:]
        register = _FLOATS if signature.args[0].dtype == types.float32 else _WORDS
        places = [
            (builder.add(i, _INDEX(row)), builder.add(j, _INDEX(LANES * column)))
            for row in range(HIGH)
            for column in range(registers)
        ]
        zero = ir.Constant(_FLOATS, None)
        starts = [builder.select(new, zero, out.load(*place, _FLOATS)) for place in places]
        before, loop = builder.block, builder.append_basic_block("product")
        builder.branch(loop)

        builder.position_at_end(loop)
        k, *totals = [builder.phi(kind) for kind in (_INDEX, *[_FLOATS] * len(places))]
        rows = [b.load(k, column, register) for _, column in places[:registers]]
        sums = []
        for at, total in enumerate(totals):
            if at % registers == 0:
                number = _splat(builder, a.load(places[at][0], k, register.element))
            sums.append(_multiply_add(builder, total, number, rows[at % registers]))
        following = builder.add(k, _INDEX(1))
        for phi, start, value in zip(
            [k, *totals], [first, *starts], [following, *sums], strict=True
        ):
            phi.add_incoming(start, before)
            phi.add_incoming(value, loop)
        after = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", following, end), loop, after)

        builder.position_at_end(after)
        for total, place in zip(sums, places, strict=True):
            out.store(total, *place)
        return context.get_dummy_value()

    return intrinsic(typed)


tile, narrow_tile = _tile(2), _tile(1)
"""Add a[i, k:end] @ b[k:end, j] to out[i, j], or set it, for 4 rows i and 2 or 1 registers of j.

Arguments: a, b, out, i, j, k, end, new (whether to set); k < end. `out` is float32. `a` and `b` are
float32, or uint32 for pairs of bfloat16, of which k counts the pairs. Rows of `b` and `out` are
contiguous.
"""


@intrinsic
def square_sums(_: Any, rows: Any, i: Any) -> Any:
    """Returns the sums of the squares of rows i to i + 4, float32, whose columns fill registers."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits the loop over columns, and the sums of its registers."""
        source = _Matrix(context, builder, signature.args[0], args[0])
        columns = context.make_array(signature.args[0])(context, builder, args[0]).shape
        width = cgutils.unpack_tuple(builder, columns, 2)[1]
        before, loop = builder.block, builder.append_basic_block("squares")
        builder.branch(loop)

        builder.position_at_end(loop)
        j, *totals = [builder.phi(kind) for kind in (_INDEX, *[_FLOATS] * HIGH)]
        found = []
        for row, total in enumerate(totals):
            numbers = source.load(builder.add(args[1], _INDEX(row)), j, _FLOATS)
            found.append(_multiply_add(builder, total, numbers, numbers))
        following = builder.add(j, _INDEX(LANES))
        zero = ir.Constant(_FLOATS, None)
        for phi, start, value in zip(
            [j, *totals], [_INDEX(0), *[zero] * HIGH], [following, *found], strict=True
        ):
            phi.add_incoming(start, before)
            phi.add_incoming(value, loop)
        after = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<", following, width), loop, after)

        builder.position_at_end(after)
        takes = ir.FunctionType(ir.FloatType(), [ir.FloatType(), _FLOATS])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        add = cgutils.get_or_insert_function(builder.module, takes, name)
        none = ir.Constant(ir.FloatType(), -0.0)
        sums = [builder.call(add, [none, total], fastmath=("reassoc",)) for total in found]
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.float32, HIGH)(rows, types.intp), emit


@intrinsic
def pack_rows(
    _: Any, source: Any, one: Any, other: Any, k: Any, rows: Any, columns: Any, i: Any, j: Any
) -> Any:
    """Copies a register's columns, from k on, of two rows of `source`, as units of products.

    Float32 go to rows[i, j] and rows[i + 1, j]. Of bfloat16, twice as many columns are taken, and
    pairs of neighbours in a row go to rows[i, j / 2] and rows[i + 1, j / 2], of neighbours in a
    column to columns[i / 2, j].
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits loads, and stores of rows or of pairs."""
        kinds = signature.args
        read, in_rows, in_columns = (
            _Matrix(context, builder, kinds[at], args[at]) for at in (0, 4, 5)
        )
        sources, k, i, j = args[1:3], args[3], args[6], args[7]
        targets = [i, builder.add(i, _INDEX(1))]
        if kinds[4].dtype == types.float32:
            for row, target in zip(sources, targets, strict=True):
                in_rows.store(read.load(row, k, _FLOATS), target, j)
            return context.get_dummy_value()
        two = ir.VectorType(ir.FloatType(), 2 * LANES)
        halves = [builder.fptrunc(read.load(row, k, two), _PAIRS) for row in sources]
        for half, target in zip(halves, targets, strict=True):
            in_rows.store(builder.bitcast(half, _WORDS), target, builder.lshr(j, _INDEX(1)))
        for begin in (0, LANES):
            places = [at + way for at in range(begin, begin + LANES) for way in (0, 2 * LANES)]
            pairs = builder.bitcast(_shuffle(builder, halves, places), _WORDS)
            in_columns.store(pairs, builder.lshr(i, _INDEX(1)), builder.add(j, _INDEX(begin)))
        return context.get_dummy_value()

    index = types.intp
    return types.void(source, index, index, index, rows, columns, index, index), emit


@intrinsic
def turn_square(_: Any, a: Any, out: Any, i: Any, j: Any) -> Any:
    """Sets out[j:j + LANES, i:i + LANES] to the transpose of a[i:i + LANES, j:j + LANES].

    Both are of numbers of 32 bits, whichever.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits log2(LANES) rounds of shuffles."""
        source = _Matrix(context, builder, signature.args[0], args[0])
        target = _Matrix(context, builder, signature.args[1], args[1])
        i, j = args[2:]
        rows = [source.load(builder.add(i, _INDEX(at)), j, _WORDS) for at in range(LANES)]
        halves = [range(LANES // 2), range(LANES // 2, LANES)]
        size = 1
        while size < LANES:
            # Each round puts the numbers of two rows in turn, as one shuffles cards.
            rows = [
                _shuffle(builder, both, [at + way for at in half for way in (0, LANES)])
                for both in zip(rows[: LANES // 2], rows[LANES // 2 :], strict=True)
                for half in halves
            ]
            size *= 2
        for at, row in enumerate(rows):
            target.store(row, builder.add(j, _INDEX(at)), i)
        return context.get_dummy_value()

    return types.void(a, out, types.intp, types.intp), emit


@intrinsic
def take(_: Any, turns: Any, row: Any, column: Any) -> Any:
    """Returns turns[row, column], an int32, and adds 1, as one act, whoever else does so."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits an atomic addition."""
        place = _Matrix(context, builder, signature.args[0], args[0]).place(*args[1:])
        number = builder.bitcast(place, _INT32.as_pointer())
        found = builder.atomic_rmw("add", number, _INT32(1), "monotonic")
        return builder.sext(found, _INDEX)

    return types.intp(turns, types.intp, types.intp), emit


def _prefetch(write: int, cache: int) -> Any:
    """Returns what asks for the cache line of array[row, column]."""

    def typed(_: Any, array: Any, row: Any, column: Any) -> Any:
        """Returns the types of a call, and what emits it."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            """Emits LLVM's prefetch."""
            place = _Matrix(context, builder, signature.args[0], args[0]).place(*args[1:])
            takes = ir.FunctionType(ir.VoidType(), [place.type, *[_INT32] * 3])
            function = builder.module.declare_intrinsic("llvm.prefetch", [place.type], takes)
            builder.call(function, [place, *map(_INT32, (write, 4 - cache, 1))])
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp), emit

    return intrinsic(typed)


will_read, will_write, will_need = _prefetch(0, 1), _prefetch(1, 1), _prefetch(0, 2)
"""Ask for the cache line of array[row, column]: to be read or written next, or to be read soon. For
the last the second cache is meant, since the first has no room for so much."""
