"""Decodes PostgreSQL's binary `numeric` a column at a time, with Arrow's compute kernels.

`numeric_send` writes four big-endian 16-bit words (number of digits, weight, sign, scale for display) and then digits to
the base 10,000; the value is the sum of `digit[i] * 10000 ** (weight - i)`
(https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/adt/numeric.c, `numeric_send`). Nothing is
compiled at run time and only Arrow is imported, so that a reader starts quickly.
"""

import struct
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

GROUP = 4  # decimal digits in one digit to the base 10,000
LIMB = 4  # groups in one limb: 10 ** 16 fits an int64 with room to spare
HEADER = 4  # words before the first digit
MAX_DIGITS = 38  # of a decimal128
SIGN_MINUS, SIGN_NAN, SIGN_PLUS_INFINITY, SIGN_MINUS_INFINITY = 0x4000, 0xC000, 0xD000, 0xF000
_SPECIAL = {SIGN_NAN: "nan", SIGN_PLUS_INFINITY: "inf", SIGN_MINUS_INFINITY: "-inf"}  # as ADBC spells them


class NumericOutOfRange(Exception):
    """A value outside its declared type, as a foreign table may have it: the caller decodes the batch one by one."""


def decode_numerics(sent: pa.Array, target: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    """`numeric_send`'s bytes as `target`, and a mask of NaN and infinities (they are NULL in the values), None without any.

    Raises:
        NumericOutOfRange: a value has more digits than `target`.
    """
    words = _Words(sent)
    if not words.size:
        return pa.nulls(len(sent), target), None
    special = pc.greater(words.sign, _swapped(SIGN_MINUS))  # as they lie in memory; NaN and the infinities are greater
    is_special = (
        special.cast(pa.int8()) if not sent.null_count else pc.and_kleene(special, sent.is_valid()).cast(pa.int8())
    )
    has_special = bool(pc.max(is_special).as_py())
    limbs = _limbs(words, sent, target.scale)
    values = _joined(limbs, target)
    if (pc.max(words.sign).as_py() or 0) != 0:
        values = pc.if_else(pc.equal(words.sign, _swapped(SIGN_MINUS)), pc.negate(values), values)
    decoded = _as_decimal(values, target)
    mask = pc.or_(sent.is_null(), special) if has_special else sent.is_null() if sent.null_count else None
    if mask is not None:
        decoded = pc.if_else(mask, pa.scalar(None, target), decoded)
    return decoded, pc.and_(special, sent.is_valid()) if has_special else None


def numeric_text(sent: bytes) -> str:
    """One value as text, in full digits."""
    count, weight, sign, scale = struct.unpack_from(">hhHh", sent)
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    digits = struct.unpack_from(f">{count}h", sent, 2 * HEADER)
    text = "".join(f"{digit:04}" for digit in digits)
    point = GROUP * (weight + 1)
    if point <= 0:
        text, point = "0" * (1 - point) + text, 1
    whole = text[:point].ljust(point, "0").lstrip("0") or "0"
    rest = text[point:][:scale].ljust(scale, "0")
    return ("-" if sign == SIGN_MINUS else "") + whole + (f".{rest}" if scale else "")


class _Words:
    """The 16-bit words of a column, as they lie in memory, and where each value begins.

    A value is read beyond its end by up to one limb's digits, which then count zero times: so there are spare words.
    """

    def __init__(self, sent: pa.Array) -> None:
        rows = len(sent)
        _, offsets, content = sent.buffers()
        ends = pa.Array.from_buffers(pa.int32(), rows + 1, [None, offsets], offset=sent.offset)
        first, last = ends[0].as_py(), ends[rows].as_py()
        self.size = last - first
        if not self.size:
            return
        words = pa.Array.from_buffers(pa.uint16(), last // 2, [None, content])
        self._spare = pa.array([0] * (HEADER + 1), pa.uint16())
        self._words = pa.concat_arrays([words, self._spare])
        self._start = pc.shift_right(ends.slice(0, rows), 1)
        lengths = pc.subtract(ends.slice(1), ends.slice(0, rows))
        self.count = pc.subtract(pc.shift_right(lengths, 1), HEADER)  # -4 where NULL
        self.sign = self.at(2)

    def at(self, index: int) -> pa.Array:
        """The word at this index of each value, as it lies in memory."""
        missing = index + 1 - len(self._spare)
        if missing > 0:
            self._spare = pa.array([0] * (index + 8), pa.uint16())
            self._words = pa.concat_arrays([self._words, self._spare])
        return pc.take(self._words, pc.add(self._start, index), boundscheck=False)

    def weight(self) -> pa.Array:
        return pc.take(_signed(), self.at(1), boundscheck=False)

    def digit(self, index: int) -> pa.Array:
        return pc.take(_unsigned(), self.at(HEADER + index), boundscheck=False)


def _limbs(words: _Words, sent: pa.Array, scale: int) -> list[pa.Array]:
    """The absolute values, in units of 10 ** -scale, as limbs, the least first.

    All but the first have 16 decimal digits; the first has fewer where the scale is not a multiple of four.
    """
    fractions = -(-scale // GROUP)
    pad = fractions * GROUP - scale
    top = pc.add(
        words.weight(), fractions
    )  # the group of the first digit; group 0 is the last one that the scale allows
    least = pc.subtract(top, words.count)
    is_number = pc.and_(pc.greater(words.count, 0), pc.less_equal(words.sign, _swapped(SIGN_MINUS)))
    if (pc.min(pc.if_else(is_number, least, 0)).as_py() or 0) < -1:
        raise NumericOutOfRange
    top, count = pc.if_else(is_number, top, 0), pc.if_else(is_number, words.count, 0)
    most_top, most_count = pc.max(top).as_py(), pc.max(count).as_py()
    if most_top > -(-MAX_DIGITS // GROUP) + 1:
        raise NumericOutOfRange
    width = most_count + 1
    key = pc.add(pc.multiply(top, width), count)
    digits = [words.digit(index) for index in range(most_count)]
    limbs = []
    for limb in range(most_top // LIMB + 1):
        total = None
        for index, digit in enumerate(digits):
            factor = pc.take(_factors(limb, index, most_top, width), key, boundscheck=False)
            part = pc.multiply(digit, factor)
            total = part if total is None else pc.add(total, part)
        limbs.append(pa.array([0], pa.int64()).take(pc.multiply(key, 0)) if total is None else total)
    if pad:
        short = pc.divide(limbs[0], 10**pad)
        if not pc.all(pc.equal(pc.multiply(short, 10**pad), limbs[0])).as_py():
            raise NumericOutOfRange
        limbs[0] = short
    return limbs


@cache
def _factors(limb: int, index: int, most_top: int, width: int) -> pa.Array:
    """By `top * width + count`: the weight of the digit at `index` in this limb, 0 where the value has no such digit."""
    factors = []
    for top in range(most_top + 1):
        for count in range(width):
            group = top - index - limb * LIMB
            factors.append(10 ** (GROUP * group) if index < count and 0 <= group < LIMB else 0)
    return pa.array(factors, pa.int64())


def _joined(limbs: list[pa.Array], target: pa.DataType) -> pa.Array:
    """One limb stays an int64; more become decimals."""
    if len(limbs) == 1:
        return limbs[0]
    pad = -target.scale % GROUP
    wide = pa.decimal256 if len(limbs) > 2 else pa.decimal128
    joined = limbs[-1].cast(wide(19, 0))
    for index in range(len(limbs) - 2, -1, -1):
        step = 10 ** (LIMB * GROUP - (pad if index == 0 else 0))
        joined = pc.add(pc.multiply(joined, pa.scalar(step, wide(17, 0))), limbs[index].cast(wide(19, 0)))
    try:
        return joined.cast(pa.decimal128(MAX_DIGITS, 0))
    except pa.ArrowInvalid:
        raise NumericOutOfRange from None


def _as_decimal(values: pa.Array, target: pa.DataType) -> pa.Array:
    """The same numbers in units of 10 ** -scale."""
    if pa.types.is_int64(values.type):
        if (
            target.precision < 19
            and max(abs(bound or 0) for bound in pc.min_max(values).as_py().values()) >= 10**target.precision
        ):
            raise NumericOutOfRange
        values = values.cast(pa.decimal128(19, 0))
    else:
        try:
            values = values.cast(pa.decimal128(target.precision, 0))
        except pa.ArrowInvalid:
            raise NumericOutOfRange from None
    return pa.Array.from_buffers(target, len(values), values.buffers(), offset=values.offset)


def _swapped(word: int) -> pa.Scalar:
    """A big-endian word as it lies in memory."""
    return pa.scalar(struct.unpack("=H", struct.pack(">H", word))[0], pa.uint16())


@cache
def _unsigned() -> pa.Array:
    """Big-endian words by how they lie in memory."""
    return pa.array((struct.unpack(">65536H", struct.pack("=65536H", *range(65536)))), pa.int64())


@cache
def _signed() -> pa.Array:
    return pa.array((struct.unpack(">65536h", struct.pack("=65536H", *range(65536)))), pa.int32())
