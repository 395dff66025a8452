"""LLVM instructions that no loop of Numba's becomes: register tiles, transposes, prefetches.

Each intrinsic is called like a function from compiled code and emits its instructions there. Numba
calls what `intrinsic` decorates with the types of the arguments; it returns the types of the call,
and the function `emit`, which Numba then calls with the values to write the instructions
(https://numba.readthedocs.io/en/stable/extending/high-level.html#implementing-intrinsics).

They are written for any width of registers: 16 float32 with AVX-512, 8 without. With AVX512-BF16
tiles multiply bfloat16 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

# What Numba compiles for; NUMBA_CPU_NAME and NUMBA_CPU_FEATURES change it.
_, _CPU_NAME, _feature_list = cpu_target.target_context.codegen().magic_tuple()
_CPU_FEATURES = _feature_list.split(",")

REGISTER_FLOATS = 16 if "+avx512f" in _CPU_FEATURES else 8
"""float32 numbers in a SIMD register."""

TILE_ROWS = 4
"""Rows of a tile. With 2 registers in each, 8 sums are independent of each other: enough to keep
two multiply-add units with a latency of 4 cycles busy."""

TILE_COLUMNS = 2 * REGISTER_FLOATS
"""Columns of a whole tile; a half tile has one register in each row."""

CACHE_LINE_FLOATS = 16
"""float32 numbers in a cache line of 64 bytes, which the widest register holds too."""

HAS_BFLOAT16 = "+avx512bf16" in _CPU_FEATURES
"""Whether the processor multiplies bfloat16."""

FASTER_IN_BFLOAT16 = HAS_BFLOAT16 and _CPU_NAME.startswith("znver")
"""Whether that is faster than float32: AMD's processors do twice as many products, Intel's half."""

_INT64, _INT32, _INT8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_FLOAT_REGISTER = ir.VectorType(ir.FloatType(), REGISTER_FLOATS)
_INT_REGISTER = ir.VectorType(_INT32, REGISTER_FLOATS)


def describe_target(*, bfloat16: bool) -> str:
    """Returns the processor and the instructions that kernels are compiled for, for the log.

    `znver4 with AVX-512, products in bfloat16`, or, without AVX-512 or on another architecture,
    `haswell, 8 numbers at a time instead of 16, products in float32`.
    """
    widest = REGISTER_FLOATS == CACHE_LINE_FLOATS
    width = " with AVX-512" if widest else f", {REGISTER_FLOATS} numbers at a time instead of 16"
    return f"{_CPU_NAME}{width}, products in {'bfloat16' if bfloat16 else 'float32'}"


class _Bfloat16(ir.Type):
    """LLVM's bfloat, which llvmlite has no class for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bfloat16)

    def __hash__(self) -> int:
        return hash(_Bfloat16)


_BFLOAT16_REGISTER = ir.VectorType(_Bfloat16(), 2 * REGISTER_FLOATS)


class _Matrix:
    """A two-dimensional array of 32-bit elements, while code for it is emitted."""

    def __init__(self, context: Any, builder: Any, array_type: Any, value: Any) -> None:
        array = context.make_array(array_type)(context, builder, value)
        self._builder, self._data = builder, builder.bitcast(array.data, _INT8.as_pointer())
        self._strides = cgutils.unpack_tuple(builder, array.strides, 2)
        if array_type.layout == "C":
            self._strides[1] = _INT64(4)  # As a constant it becomes part of the address.

    def address(self, row: Any, column: Any) -> Any:
        """Returns a pointer to an element's first byte."""
        builder = self._builder
        rows, columns = builder.mul(row, self._strides[0]), builder.mul(column, self._strides[1])
        return builder.gep(self._data, [builder.add(rows, columns)], source_etype=_INT8)

    def load(self, row: Any, column: Any, value_type: Any) -> Any:
        """Returns what is at an element and after it, as an LLVM type."""
        pointer = self._builder.bitcast(self.address(row, column), value_type.as_pointer())
        return self._builder.load(pointer, align=4)

    def store(self, value: Any, row: Any, column: Any) -> None:
        """Writes a value to an element and those after it."""
        pointer = self._builder.bitcast(self.address(row, column), value.type.as_pointer())
        self._builder.store(value, pointer, align=4)


def _shuffle(builder: Any, registers: Sequence[Any], order: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_INT32, len(order)), list(order))
    return builder.shuffle_vector(*registers, mask)


def _broadcast(builder: Any, value: Any) -> Any:
    """Returns a register that has a value in each place."""
    register = ir.VectorType(value.type, REGISTER_FLOATS)
    first = builder.insert_element(ir.Constant(register, ir.Undefined), value, _INT32(0))
    return _shuffle(builder, [first, first], [0] * REGISTER_FLOATS)


def _multiply_add(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """Returns total + a * b. Where elements are two bfloat16, both products are added.

    That is VDPBF16PS, `_mm512_dpbf16_ps` in Intel's intrinsics guide; subnormal numbers are 0.
    """
    if a.type == _FLOAT_REGISTER:
        flags = ("reassoc", "contract", "nsz")  # "contract" makes it one multiply-add.
        return builder.fadd(total, builder.fmul(a, b, flags=flags), flags=flags)
    signature = ir.FunctionType(
        _FLOAT_REGISTER, [_FLOAT_REGISTER, _BFLOAT16_REGISTER, _BFLOAT16_REGISTER]
    )
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    factors = [builder.bitcast(factor, _BFLOAT16_REGISTER) for factor in (a, b)]
    return builder.call(function, [total, *factors])


def _matmul_tile(registers: int) -> Any:
    """Returns the intrinsic for tiles with so many registers in a row."""

    def typed(
        _: Any, a: Any, b: Any, out: Any, i: Any, j: Any, first: Any, end: Any, overwrite: Any
    ) -> Any:
        """Returns the types of the intrinsic, and what emits its code."""
        return types.void(a, b, out, *[types.intp] * 4, types.boolean), emit

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits a loop over k. Phi nodes keep the tile's sums in registers until it ends."""
        a, b, out = (
            _Matrix(context, builder, array_type, value)
            for array_type, value in zip(signature.args[:3], args[:3], strict=True)
        )
        i, j, first, end, overwrite = args[3:]
        is_float = signature.args[0].dtype == types.float32
        register = _FLOAT_REGISTER if is_float else _INT_REGISTER
        places = [
            (builder.add(i, _INT64(row)), builder.add(j, _INT64(REGISTER_FLOATS * column)))
            for row in range(TILE_ROWS)
            for column in range(registers)
        ]
        zero = ir.Constant(_FLOAT_REGISTER, None)
        starts = [
            builder.select(overwrite, zero, out.load(*place, _FLOAT_REGISTER)) for place in places
        ]
        entry, loop = builder.block, builder.append_basic_block("matmul")
        builder.branch(loop)

        builder.position_at_end(loop)
        k, *totals = [builder.phi(kind) for kind in (_INT64, *[_FLOAT_REGISTER] * len(places))]
        b_registers = [b.load(k, column, register) for _, column in places[:registers]]
        sums = []
        for at, total in enumerate(totals):
            if at % registers == 0:
                a_register = _broadcast(builder, a.load(places[at][0], k, register.element))
            sums.append(_multiply_add(builder, total, a_register, b_registers[at % registers]))
        next_k = builder.add(k, _INT64(1))
        for phi, start, value in zip([k, *totals], [first, *starts], [next_k, *sums], strict=True):
            phi.add_incoming(start, entry)
            phi.add_incoming(value, loop)
        after = builder.append_basic_block("store")
        builder.cbranch(builder.icmp_signed("<", next_k, end), loop, after)

        builder.position_at_end(after)
        for total, place in zip(sums, places, strict=True):
            out.store(total, *place)
        return context.get_dummy_value()

    return intrinsic(typed)


matmul_tile, matmul_half_tile = _matmul_tile(2), _matmul_tile(1)
"""Set a tile of `out` to a tile of a @ b, or add it.

The tile has rows i to i + TILE_ROWS and, from column j on, TILE_COLUMNS or REGISTER_FLOATS. Only
a[:, first:end] and b[first:end] are read; at least one k must be.

Args: a, b, out (float32), i, j, first, end, overwrite. `a` and `b` are float32, or uint32 that are
two bfloat16. Rows of `b` and `out` are contiguous; `a` may have any strides.
"""


@intrinsic
def square_sums(_: Any, rows: Any, i: Any) -> Any:
    """Returns the sums of squares of float32 rows i to i + TILE_ROWS, as a tuple."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits a loop over columns. Phi nodes keep the sums in registers until it ends."""
        source = _Matrix(context, builder, signature.args[0], args[0])
        shape = context.make_array(signature.args[0])(context, builder, args[0]).shape
        width = cgutils.unpack_tuple(builder, shape, 2)[1]
        entry, loop = builder.block, builder.append_basic_block("squares")
        builder.branch(loop)

        builder.position_at_end(loop)
        j, *totals = [builder.phi(kind) for kind in (_INT64, *[_FLOAT_REGISTER] * TILE_ROWS)]
        sums = []
        for row, total in enumerate(totals):
            numbers = source.load(builder.add(args[1], _INT64(row)), j, _FLOAT_REGISTER)
            sums.append(_multiply_add(builder, total, numbers, numbers))
        next_j = builder.add(j, _INT64(REGISTER_FLOATS))
        zero = ir.Constant(_FLOAT_REGISTER, None)
        for phi, start, value in zip(
            [j, *totals], [_INT64(0), *[zero] * TILE_ROWS], [next_j, *sums], strict=True
        ):
            phi.add_incoming(start, entry)
            phi.add_incoming(value, loop)
        after = builder.append_basic_block("reduce")
        builder.cbranch(builder.icmp_signed("<", next_j, width), loop, after)

        builder.position_at_end(after)
        reduction = ir.FunctionType(ir.FloatType(), [ir.FloatType(), _FLOAT_REGISTER])
        name = f"llvm.vector.reduce.fadd.v{REGISTER_FLOATS}f32"
        add = cgutils.get_or_insert_function(builder.module, reduction, name)
        zero = ir.Constant(ir.FloatType(), -0.0)  # The neutral element; "reassoc" makes it a tree.
        results = [builder.call(add, [zero, total], fastmath=("reassoc",)) for total in sums]
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(types.float32, TILE_ROWS)(rows, types.intp), emit


@intrinsic
def pack_two_rows(
    _: Any, source: Any, source_rows: Any, k: Any, rows: Any, columns: Any, i: Any, j: Any
) -> Any:
    """Copies a register's columns of two rows to rows i and i + 1 of an `Operand`.

    With float32 elements these are columns k to k + REGISTER_FLOATS, which become columns j and
    following of `rows`. With bfloat16 they are twice as many, rounded to nearest even: neighbours
    in a row go to rows[i, j / 2] and rows[i + 1, j / 2] and following, neighbours in a column to
    columns[i / 2, j] and following.

    Args: source, (row, other row), k, rows, columns, i, j.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits copies of float32 rows, or packs them into bfloat16."""
        array_types = signature.args
        table, in_rows, in_columns = (
            _Matrix(context, builder, array_types[at], args[at]) for at in (0, 3, 4)
        )
        sources, k, i, j = cgutils.unpack_tuple(builder, args[1]), args[2], args[5], args[6]
        targets = [i, builder.add(i, _INT64(1))]
        if array_types[3].dtype == types.float32:
            for row, target in zip(sources, targets, strict=True):
                in_rows.store(table.load(row, k, _FLOAT_REGISTER), target, j)
            return context.get_dummy_value()
        floats = ir.VectorType(ir.FloatType(), 2 * REGISTER_FLOATS)
        halves = [
            builder.fptrunc(table.load(row, k, floats), _BFLOAT16_REGISTER) for row in sources
        ]
        for half, target in zip(halves, targets, strict=True):
            in_rows.store(builder.bitcast(half, _INT_REGISTER), target, builder.lshr(j, _INT64(1)))
        for begin in (0, REGISTER_FLOATS):
            # Alternately one of the first row and one of the second.
            order = [
                at + row
                for at in range(begin, begin + REGISTER_FLOATS)
                for row in (0, 2 * REGISTER_FLOATS)
            ]
            packed = builder.bitcast(_shuffle(builder, halves, order), _INT_REGISTER)
            in_columns.store(packed, builder.lshr(i, _INT64(1)), builder.add(j, _INT64(begin)))
        return context.get_dummy_value()

    index = types.intp
    pair = types.UniTuple(index, 2)
    return types.void(source, pair, index, rows, columns, index, index), emit


@intrinsic
def transpose_tile(_: Any, a: Any, out: Any, i: Any, j: Any) -> Any:
    """Sets out[j:j + n, i:i + n] to the transpose of a[i:i + n, j:j + n]; n is REGISTER_FLOATS.

    Elements have 32 bits, of whatever type.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits loads, shuffles and stores, all in registers."""
        source = _Matrix(context, builder, signature.args[0], args[0])
        target = _Matrix(context, builder, signature.args[1], args[1])
        i, j = args[2:]
        half = REGISTER_FLOATS // 2
        rows = [
            source.load(builder.add(i, _INT64(row)), j, _INT_REGISTER)
            for row in range(REGISTER_FLOATS)
        ]
        # Each round interleaves row r with row r + n / 2; after log2(n) of them rows are columns.
        for _ in range(half.bit_length()):
            rows = [
                _shuffle(builder, both, [at + row for at in part for row in (0, REGISTER_FLOATS)])
                for both in zip(rows[:half], rows[half:], strict=True)
                for part in (range(half), range(half, REGISTER_FLOATS))
            ]
        for row, numbers in enumerate(rows):
            target.store(numbers, builder.add(j, _INT64(row)), i)
        return context.get_dummy_value()

    return types.void(a, out, types.intp, types.intp), emit


@intrinsic
def fetch_and_increment(_: Any, counters: Any, row: Any) -> Any:
    """Returns counters[row, 0], an int32, and adds 1 to it, atomically.

    "monotonic" is enough: no other memory is read because of the number.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emits one atomic instruction."""
        address = _Matrix(context, builder, signature.args[0], args[0]).address(args[1], _INT64(0))
        counter = builder.bitcast(address, _INT32.as_pointer())
        return builder.sext(builder.atomic_rmw("add", counter, _INT32(1), "monotonic"), _INT64)

    return types.intp(counters, types.intp), emit


def _prefetch(*, write: int, locality: int) -> Any:
    """Returns an intrinsic that calls `llvm.prefetch` for the cache line of array[row, column].

    Args:
        write: 1 if the line will be written, and other cores must give it up.
        locality: 3 for the first cache, 2 for the second.
    """

    def typed(_: Any, array: Any, row: Any, column: Any) -> Any:
        """Returns the types of the intrinsic, and what emits its code."""

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            """Emits the address and the call."""
            address = _Matrix(context, builder, signature.args[0], args[0]).address(*args[1:])
            arguments = ir.FunctionType(ir.VoidType(), [address.type, *[_INT32] * 3])
            function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], arguments)
            # The last argument: data, not instructions. https://llvm.org/docs/LangRef.html
            builder.call(function, [address, *map(_INT32, (write, locality, 1))])
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp), emit

    return intrinsic(typed)


prefetch_to_read = _prefetch(write=0, locality=3)
"""Starts to load the cache line of array[row, column]."""

prefetch_to_write = _prefetch(write=1, locality=3)
"""The same, and takes it from other cores' caches."""

prefetch_to_l2 = _prefetch(write=0, locality=2)
"""The same into the second cache: a block's rows do not fit the first beside what is in use."""
