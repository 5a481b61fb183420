"""Whether two output files are the same, and if not, by how much and where first.

Bytes first. JSON, NumPy arrays (without pickle), safetensors and numbers in text are then compared by value. Files of
`torch.save` are pickles and are never opened: save outputs as safetensors or .npy.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.errors import InputError
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Larger files are compared as bytes only.
LARGEST_TEXT_BYTES = 200_000_000
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")
_DEPTH = 100


@dataclass(frozen=True, kw_only=True)
class OutputCheck:
    """The result for one pair. `largest` is the largest absolute difference, None where values cannot be compared.

    `first` says where the first difference is (empty where there is none); `compared` counts the values.
    """

    identical: bool
    kind: str
    compared: int
    different: int
    largest: float | None
    first: str
    message: Message


def compare_outputs(before: Path, after: Path) -> OutputCheck:
    """Compare two files. Raises InputError where one is missing, or is a pickle that differs."""
    for path in (before, after):
        if not path.is_file():
            raise InputError(f"{path} is no file", "Name the output of each run: --outputs OFF ON")
    if _same_bytes(before, after):
        message = Message(_("identical, byte for byte"))
        return OutputCheck(
            identical=True,
            kind="bytes",
            compared=before.stat().st_size,
            different=0,
            largest=0.0,
            first="",
            message=message,
        )
    kinds = {path.suffix.lower() for path in (before, after)}
    if kinds & set(_PICKLES):
        raise InputError(
            "the files differ, and pickles (torch.save) are not opened to see where",
            "Save the outputs as .safetensors or .npy and run it again.",
        )
    if kinds <= {".npy", ".npz", ".safetensors"}:
        return _compare_arrays(_arrays(before), _arrays(after))
    if max(before.stat().st_size, after.stat().st_size) > LARGEST_TEXT_BYTES:
        return _judged("bytes", 0, 1, None, Message(_("the files are too large to say where")).render())
    if kinds == {".json"}:
        return _compare_values(_json(before), _json(after))
    return _compare_text(before, after)


def _same_bytes(before: Path, after: Path) -> bool:
    if before.stat().st_size != after.stat().st_size:
        return False
    with before.open("rb") as first, after.open("rb") as second:
        while True:
            one, other = first.read(1 << 20), second.read(1 << 20)
            if one != other:
                return False
            if not one:
                return True


def _judged(kind: str, compared: int, different: int, largest: float | None, first: str) -> OutputCheck:
    if different == 0:
        message = Message(_("equal in all {count} values, although the bytes differ"), count=compared)
    elif largest is None:
        message = Message(_("different: {first}"), first=first)
    else:
        message = Message(
            _("{different} of {count} values differ, by {largest:.6g} at most; the first: {first}"),
            different=different,
            count=compared,
            largest=largest,
            first=first,
        )
    return OutputCheck(
        identical=different == 0,
        kind=kind,
        compared=compared,
        different=different,
        largest=0.0 if different == 0 else largest,
        first=first,
        message=message,
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}", "Rename it to .txt to compare it as text.") from error


def _leaves(value: Any, place: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; a container's size is a leaf too, so that missing entries show."""
    if depth > _DEPTH:
        raise InputError(f"the JSON is nested more than {_DEPTH} deep")
    if isinstance(value, dict):
        yield f"{place}.keys", sorted(value)
        for key in value:
            yield from _leaves(value[key], f"{place}.{key}", depth + 1)
    elif isinstance(value, list):
        yield f"{place}.length", len(value)
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}[{index}]", depth + 1)
    else:
        yield place, value


def _compare_values(before: Any, after: Any) -> OutputCheck:
    old, new = dict(_leaves(before, "$")), dict(_leaves(after, "$"))
    compared = different = 0
    largest, first, comparable = 0.0, "", True
    for place, value in old.items():
        compared += 1
        other = new.get(place, _MISSING)
        if _same(value, other):
            continue
        different += 1
        first = first or f"{place}: {_short(value)} / {_short(other)}"
        difference = _difference(value, other)
        comparable &= difference is not None
        largest = max(largest, difference or 0.0)
    extra = [place for place in new if place not in old]
    if extra:
        different, comparable = different + len(extra), False
        first = first or f"{extra[0]}: - / {_short(new[extra[0]])}"
    return _judged("json", compared, different, largest if comparable else None, first)


class _Missing:
    def __repr__(self) -> str:
        return "-"


_MISSING = _Missing()


def _same(value: Any, other: Any) -> bool:
    both_floats = isinstance(value, float) and isinstance(other, float)
    if both_floats and math.isnan(value) and math.isnan(other):
        return True
    alike = type(value) is type(other) or (_is_number(value) and _is_number(other))
    return alike and bool(value == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _difference(value: Any, other: Any) -> float | None:
    if not (_is_number(value) and _is_number(other)):
        return None
    try:
        difference = abs(float(value) - float(other))
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(difference) else difference


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)\b")


def _compare_text(before: Path, after: Path) -> OutputCheck:
    """Line by line; numbers by value where the words round them are the same."""
    compared = different = 0
    largest, first, comparable = 0.0, "", True
    with (
        before.open(encoding="utf-8", errors="replace") as old,
        after.open(encoding="utf-8", errors="replace") as new,
    ):
        for number, (line, other) in enumerate(_pairs(old, new), start=1):
            if line == other:
                compared += 1
                continue
            difference = _line_difference(line or "", other or "") if line is not None and other is not None else None
            count, step, where = difference or (1, None, f"{_short(line)} / {_short(other)}")
            compared, different = compared + 1, different + (count if count else 0)
            comparable &= step is not None
            largest = max(largest, step or 0.0)
            if count and not first:
                first = f"line {number}: {where}"
    return _judged("text", compared, different, largest if comparable else None, first)


def _pairs(old: Iterator[str], new: Iterator[str]) -> Iterator[tuple[str | None, str | None]]:
    while True:
        line, other = next(old, None), next(new, None)
        if line is None and other is None:
            return
        yield line, other


def _line_difference(line: str, other: str) -> tuple[int, float | None, str] | None:
    """(numbers that differ, the largest difference, the first pair); None where the words differ."""
    if _NUMBER.sub("#", line).split() != _NUMBER.sub("#", other).split():
        return None
    pairs = list(zip(_NUMBER.findall(line), _NUMBER.findall(other), strict=True))
    changed = [(one, two) for one, two in pairs if not _same(float(one), float(two))]
    if not changed:
        return 0, 0.0, ""
    steps = [_difference(float(one), float(two)) or 0.0 for one, two in changed]
    return len(changed), max(steps), f"{changed[0][0]} / {changed[0][1]}"


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    try:
        if path.suffix.lower() == ".safetensors":
            return _safetensors(path)
        loaded = np.load(path, allow_pickle=False, mmap_mode=None)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except InputError:
        raise
    except (ValueError, OSError, EOFError, KeyError, SyntaxError, MemoryError) as error:
        raise InputError(
            f"cannot read {path} as arrays: {error}", "Files with pickled objects are not opened."
        ) from error
    except Exception as error:  # zipfile and tokenize raise kinds of their own on damaged files
        raise InputError(f"cannot read {path} as arrays: {error}") from error


_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The format is a length, a JSON header and raw data; nothing in it can run."""
    import numpy as np

    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, 100_000_000):
        raise ValueError("the header is longer than the file")
    header = json.loads(content[8 : 8 + length])
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data = content[8 + length + begin : 8 + length + end]
        if entry["dtype"] == "BF16":
            # bfloat16 is the upper half of a float32
            values = (np.frombuffer(data, dtype="<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(data, dtype=_DTYPES[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    return arrays


def _compare_arrays(before: dict[str, NDArray[Any]], after: dict[str, NDArray[Any]]) -> OutputCheck:
    import numpy as np

    if before.keys() != after.keys():
        names = sorted(before.keys() ^ after.keys())
        return _judged("arrays", 0, len(names), None, f"{names[0]!r} is in one file only")
    compared = different = 0
    largest, first, comparable = 0.0, "", True
    for name, old in before.items():
        new = after[name]
        if old.shape != new.shape or old.dtype != new.dtype:
            return _judged("arrays", compared, 1, None, f"{name}: {old.dtype}{old.shape} / {new.dtype}{new.shape}")
        compared += old.size
        changed = ~_equal(old, new)
        count = int(np.count_nonzero(changed))
        if not count:
            continue
        different += count
        place = tuple(int(i) for i in np.argwhere(changed)[0])
        first = first or f"{name}{list(place)}: {old[place]!r} / {new[place]!r}"
        if old.dtype.kind in "fiub":
            with np.errstate(all="ignore"):
                step = np.abs(old[changed].astype("f8") - new[changed].astype("f8"))
            largest = max(largest, float(np.where(np.isnan(step), np.inf, step).max()))
        else:
            comparable = False
    return _judged("arrays", compared, different, largest if comparable else None, first)


def _equal(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    import numpy as np

    same = np.asarray(old == new)
    if old.dtype.kind in "fc":
        same |= np.isnan(old) & np.isnan(new)
    return same
