"""Columns of decimal microseconds, as text, to int64 ns: exact, and many values at a time.

The texts are padded to one width, so that each is one, two or three words of eight digits. A word of eight digits
becomes a number in three steps that pair neighbours: digits to tens, tens to thousands, thousands to the number
(D. Lemire, "Quickly parsing eight digits"). The point is read as a digit 0 and divided out again. Texts of any other
form (signs, exponents, more than seven decimals) are converted one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skadvisor.capture.columns import nanoseconds
from skadvisor.capture.interface import ABSENT

if TYPE_CHECKING:
    import pyarrow as pa

#: So many rows are converted together: their words stay in the cache of a processor.
ROWS = 1 << 15
WORD = 8
MAX_WIDTH = 3 * WORD

_ONES = np.uint64(0x0101010101010101)
_ZERO_DIGITS = _ONES * np.uint64(ord("0"))
_POINTS = _ONES * np.uint64(ord("."))
_HIGH_BITS = _ONES * np.uint64(0x80)
_ABOVE_NINE = _ONES * np.uint64(0x7F - 9)
_POINT_AS_DIGIT = np.uint64(ord(".") ^ ord("0"))
#: Times the lowest bit of byte k, the highest byte is k + 1.
_BYTE_NUMBER = np.uint64(0x0102030405060708)

# By the number of the byte that holds the point, counted from 1; at 0 there is none.
_DECIMALS = np.array([0, *range(7, -1, -1)])
#: What divides the number of the last word into what stands before and behind the point, whose digit is 0.
_DIVISOR = np.array([1, *(10 ** (8 - place) * 10 for place in range(1, 9))], dtype="uint64")
#: What the words before the last one count.
_SCALE = np.array([10**8, *(10 ** (place - 1) for place in range(1, 9))], dtype="uint64")
#: Words before the last one up to here give fewer ns than int64 holds.
_LIMIT = np.uint64(9 * 10**15) // _SCALE
#: Behind the point: ns are (fraction * up + half) // down.
_UP = np.array([10 ** max(0, 3 - decimals) for decimals in _DECIMALS], dtype="uint64")
_DOWN = np.array([10 ** max(0, decimals - 3) for decimals in _DECIMALS], dtype="uint64")
_HALF = _DOWN // np.uint64(2)


def decimal_nanoseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimal microseconds in text as int64 ns, half a ns rounded up; null where the text is null or absent.

    Raises ArrowInvalid where a text is no number, does not fit int64, or holds a line end.
    """
    import pyarrow as pa

    pieces, made, rows = [], [], 0
    for chunk in column.chunks:
        pieces.append(chunk)
        rows += len(chunk)
        if rows >= ROWS:
            made.append(_converted(pa.concat_arrays(pieces)))
            pieces, rows = [], 0
    if pieces:
        made.append(_converted(pa.concat_arrays(pieces)))
    return pa.chunked_array(made, type=pa.int64())


def _converted(texts: pa.StringArray) -> pa.Int64Array:
    import pyarrow as pa
    from pyarrow import compute

    if (np.frombuffer(texts.buffers()[2] or b"", dtype="uint8") == ord("\n")).any():
        raise pa.ArrowInvalid("a number goes over the end of a line")
    missing = texts.is_null().to_numpy(zero_copy_only=False) if texts.null_count else None
    bare = compute.ascii_trim_whitespace(texts.fill_null("0") if texts.null_count else texts)
    length = compute.max(compute.binary_length(bare)).as_py() or 0
    if length > MAX_WIDTH:
        bare = compute.if_else(compute.greater(compute.binary_length(bare), MAX_WIDTH), "?", bare)
    width = min(-(-length // WORD), 3) * WORD or WORD
    padded = compute.ascii_lpad(bare, width=width, padding="0")
    words = np.frombuffer(padded.buffers()[2] or b"", dtype="<u8", count=len(texts) * width // WORD)
    values, odd = _from_words(words.reshape(len(texts), width // WORD).T)
    for row in np.flatnonzero(odd | _is_empty(bare)).tolist():
        text = texts[row].as_py()
        value = None if text is None or text.strip() in ABSENT else nanoseconds(text)
        if value is None:
            if text is not None and text.strip() not in ABSENT:
                raise pa.ArrowInvalid(f"no decimal number: {text[:40]!r}")
            missing = np.zeros(len(texts), dtype=bool) if missing is None else missing
            missing[row] = True
        else:
            values[row] = value
    return pa.array(values, mask=missing)


def _is_empty(texts: pa.StringArray) -> np.ndarray:
    lengths = np.diff(np.frombuffer(texts.buffers()[1], dtype="int32", count=len(texts) + 1 + texts.offset))
    return lengths[texts.offset :] == 0


def _from_words(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nanoseconds from one line per word of eight characters, and which rows are no plain decimal number."""
    last = words[-1] ^ _POINTS
    point = (last - _ONES) & ~last & _HIGH_BITS
    point &= ~point + np.uint64(1)
    point >>= np.uint64(7)
    place = (point * _BYTE_NUMBER) >> np.uint64(56)
    tail, odd = _numbers(words[-1] ^ _ZERO_DIGITS ^ (point * _POINT_AS_DIGIT))
    odd |= place == WORD  # a text that ends with its point may have no digit at all
    at = int(place[0]) if len(place) and (place == place[0]).all() else place
    before = tail // _DIVISOR[at]
    behind = tail - before * _DIVISOR[at]
    if len(words) > 1:
        upper, unreadable = _numbers(words[-2] ^ _ZERO_DIGITS)
        odd |= unreadable
        if len(words) > 2:
            first, unreadable = _numbers(words[0] ^ _ZERO_DIGITS)
            odd |= unreadable
            upper += first * np.uint64(10**8)
        odd |= upper >= _LIMIT[at]
        before += upper * _SCALE[at]
    before *= np.uint64(1000)
    before += (behind * _UP[at] + _HALF[at]) // _DOWN[at]
    return before.view("int64"), odd


def _numbers(digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of eight digits, the first one in the lowest byte, and which rows hold other bytes than 0 to 9."""
    odd = (((digits + _ABOVE_NINE) | digits) & _HIGH_BITS) != 0
    value = digits * np.uint64(10) + (digits >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    value = value * np.uint64(100) + (value >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    return value * np.uint64(10000) + (value >> np.uint64(32)) & np.uint64(0xFFFFFFFF), odd
