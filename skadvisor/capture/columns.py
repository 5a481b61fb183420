"""Text columns to exact values: microseconds to int64 ns, integers, categories; never through a float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skadvisor.capture.interface import ABSENT, NO_ID

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_INT64_MAX = 2**63 - 1
#: Core names of older releases -> the names that the kernel table uses.
CORE_NAMES = {
    "MIXED_AIC": "MIX_AIC",
    "MIXED_AIV": "MIX_AIV",
    "HCCL": "COMMUNICATION",
    "KERNEL_AICORE": "AI_CORE",
    "KERNEL_AIVEC": "AI_VECTOR_CORE",
    "KERNEL_AICPU": "AI_CPU",
    "KERNEL_MIX_AIC": "MIX_AIC",
    "KERNEL_MIX_AIV": "MIX_AIV",
}


def nanoseconds(text: str) -> int | None:
    """Decimal microseconds as int ns, half a ns rounded up; None where the text is no number of that kind.

    >>> nanoseconds("1736408883704643.212\\t"), nanoseconds("27.0805"), nanoseconds("N/A")
    (1736408883704643212, 27081, None)
    """
    text = text.strip()
    if "e" in text or "E" in text:
        return _exponent_nanoseconds(text)
    negative = text.startswith("-")
    whole, _, fraction = text.lstrip("+-").partition(".")
    if not (whole + fraction).isdecimal() or not (whole + fraction).isascii() or len(whole.lstrip("0")) > 18:
        return None
    value = int(whole or "0") * 1000 + int((fraction + "000")[:3])
    if fraction[3:4] >= "5":
        value += 1
    return None if value > _INT64_MAX else -value if negative else value


def _exponent_nanoseconds(text: str) -> int | None:
    """Numbers such as 1.2e-05, which JSON writers give for tiny durations."""
    from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

    try:
        value = Decimal(text)
        if not value.is_finite() or not -30 < value.adjusted() < 16:
            return 0 if value.is_finite() and value.adjusted() <= -30 else None
        return int((value * 1000).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    except InvalidOperation:
        return None


def decimal_nanoseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of microseconds as decimals or in text as int64 ns, half a ns rounded up; null where null or absent.

    Raises ArrowInvalid where a text is no number of that kind or does not fit.
    """
    import pyarrow as pa

    return pa.chunked_array([_whole_nanoseconds(chunk) for chunk in column.chunks], type=pa.int64())


def thousandths() -> pa.DataType:
    """Microseconds with three decimals, as many digits as int64 ns may have."""
    import pyarrow as pa

    return pa.decimal128(19, 3)


def _decimals(texts: pa.Array) -> pa.Array:
    import pyarrow as pa
    from pyarrow import compute

    bare = compute.ascii_trim_whitespace(texts)
    try:
        return bare.cast(thousandths())
    except pa.ArrowInvalid:  # more decimals, or texts for absent values
        known = compute.if_else(compute.is_in(bare, pa.array(ABSENT)), pa.scalar(None, pa.string()), bare)
        return compute.round(known.cast(pa.decimal128(38, 15)), 3, "half_towards_infinity").cast(thousandths())


def _whole_nanoseconds(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    exact = values if pa.types.is_decimal(values.type) else _decimals(values)
    # the number of thousandths, in 16 bytes
    low, high = np.frombuffer(exact.buffers()[1], dtype="<i8", count=2 * (len(exact) + exact.offset)).reshape(-1, 2).T
    missing = exact.is_null().to_numpy(zero_copy_only=False) if exact.null_count else None
    low, high = low[exact.offset :], high[exact.offset :]
    if ((high != low >> 63) & (True if missing is None else ~missing)).any():
        raise pa.ArrowInvalid("a time does not fit 64 bits")
    return pa.array(low, mask=missing)


def integer(text: str) -> int | None:
    """A whole number that fits 64 bits; `13.0` counts as 13; None otherwise."""
    text = text.strip()
    try:
        value = int(text.removesuffix(".0"))
    except ValueError:
        return None
    return value if -_INT64_MAX <= value <= _INT64_MAX else None


def text_column(values: Sequence[str | None], convert: Callable[[str], int | None]) -> tuple[Any, int]:
    """Convert texts one by one into a nullable pandas array; returns it and how many non-absent ones failed."""
    import pandas as pd

    missing = np.ones(len(values), dtype=bool)
    made = np.zeros(len(values), dtype="int64")
    failed = 0
    for index, text in enumerate(values):
        if text is None or text.strip() in ABSENT:
            continue
        value = convert(text)
        if value is None:
            failed += 1
        else:
            made[index] = value
            missing[index] = False
    return pd.arrays.IntegerArray(made, missing), failed


def whole_numbers(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """An integer column as int64, 0 where null, and where it is null; the arrays belong to the caller."""
    missing = _owned(column.is_null().to_numpy()) if column.null_count else np.zeros(len(column), dtype=bool)
    return _owned((column.fill_null(0) if column.null_count else column).to_numpy()), missing


def _owned(values: np.ndarray) -> np.ndarray:
    """A copy where `values` is only a view of arrow's memory."""
    return values if values.flags.writeable else values.copy()


def categorical(codes: np.ndarray, words: Sequence[str], clean: Callable[[str], str | None] = str) -> Any:
    """A categorical with sorted categories from `codes` into `words` (-1 for null), each word cleaned once.

    Returns None where every value is null, so that the column counts as absent.
    """
    import pandas as pd

    used = np.zeros(len(words) + 1, dtype=bool)
    used[codes] = True
    cleaned = [clean(word) if seen else None for word, seen in zip(words, used, strict=False)]
    kept = sorted({word for word in cleaned if word is not None})
    if not kept:
        return None
    place = {word: index for index, word in enumerate(kept)}
    narrow = np.min_scalar_type(-len(kept) - 1)
    table = np.array([-1 if word is None else place[word] for word in cleaned] + [-1], dtype=narrow)
    return pd.Categorical.from_codes(table[codes], categories=pd.Index(kept))


def with_null_columns(made: dict[str, Any]) -> dict[str, Any]:
    """All columns of the kernel table, those that `made` lacks as nulls of their type; a name is never null."""
    import pandas as pd

    from skadvisor.events import KERNEL_COLUMNS

    rows = len(made["start_ns"])
    complete = dict(made)
    for name, (dtype, _) in KERNEL_COLUMNS.items():
        if name in made:
            continue
        if dtype == "Int64":
            complete[name] = pd.arrays.IntegerArray(np.zeros(rows, dtype="int64"), np.ones(rows, dtype=bool))
        elif dtype == "category":
            nothing = np.full(rows, -1, dtype="int8")
            complete[name] = pd.Categorical.from_codes(nothing, categories=pd.Index([], dtype="object"))
    for name in ("start_ns", "dur_ns"):
        complete[name] = _owned(np.asarray(complete[name], dtype="int64"))
    names = pd.Series(complete["name"])
    if names.isna().any():
        words = pd.Index(sorted({"", *map(str, names.cat.categories)}))
        complete["name"] = names.cat.set_categories(words).fillna("")
    return complete


def clean_text(word: str) -> str | None:
    """Without blanks and quotes; None for the ways to write an absent value."""
    word = word.strip().strip('"')
    return None if word in ABSENT else word


def clean_shapes(word: str) -> str | None:
    """Shapes without quotes; empty slots stay: `"1;"` becomes `1;`, and quotes around nothing are one empty slot."""
    bare = word.strip()
    return None if bare in ABSENT else bare.strip('"')


def clean_core(word: str) -> str | None:
    """The core or task type under the name that the kernel table uses."""
    bare = clean_text(word)
    return None if bare is None else CORE_NAMES.get(bare, bare)


def without_no_id(values: pd.Series) -> pd.Series:
    """Model ids, with null where the file says that there is no model."""
    return values.mask(values == NO_ID)


def float_nanoseconds(durations: Sequence[float | str | None] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """JSON durations in microseconds as int64 ns (half up), and where they are absent or unreadable.

    A double holds 15 decimal digits, so its ns are certain unless it lies at half a ns; those few, and huge ones,
    are decided by the shortest decimal text of the double, which is the text of the file.
    """
    try:
        micro = np.array(durations, dtype="float64")
    except (TypeError, ValueError):
        made = [nanoseconds(str(value)) for value in durations]
        missing = np.array([value is None for value in made], dtype=bool)
        return np.array([value or 0 for value in made], dtype="int64"), missing
    missing = ~np.isfinite(micro)
    scaled = np.where(missing, 0.0, micro) * 1000.0
    floor = np.floor(scaled)
    fraction = scaled - floor
    unsure = (np.abs(fraction - 0.5) < 1e-3) | (scaled > 1e12)
    scaled[unsure] = floor[unsure] = fraction[unsure] = 0
    values = floor.astype("int64") + (fraction >= 0.5)
    for row in np.flatnonzero(unsure).tolist():
        value = nanoseconds(repr(float(micro[row])))
        values[row], missing[row] = (0, True) if value is None else (value, missing[row])
    return values, missing
