"""Whether two output files are the same, and if not, by how much and where first.

Bytes first. JSON, NumPy arrays (without pickle) and safetensors are then compared by value, text as `output_text` says.
Files of `torch.save` are pickles and are never opened: save outputs as safetensors or .npy.
"""

from __future__ import annotations

import filecmp
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.errors import InputError
from skadvisor.text.messages import Message, _, listed
from skadvisor.verification.log_text import read_lines_of, read_text_of
from skadvisor.verification.output_text import Difference, compare_said, generated_texts, result_lines, short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Larger files are compared as bytes only.
LARGEST_TEXT_BYTES = 200_000_000
#: Besides logs, what outputs are saved as.
OUTPUT_SUFFIXES = (".json", ".jsonl", ".npy", ".npz", ".safetensors")
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")
_DEPTH = 100
#: Keys of a server's answer that no two runs share.
_VOLATILE_KEYS = re.compile(
    r"(?i)^(?:id|created|created_at|request_id|timestamps?|time|date|pid|port|ttfts?|itls?|tpots?|e2els?|latencies|"
    r".*(?:_times?|_ms|_seconds|latency|throughput|duration|elapsed|timestamp)(?:_.*)?)$"
)
#: Keys of JSON under which stands what was asked for, how it was run, or that it failed: no output of the model.
_NO_OUTPUT_KEYS = re.compile(
    r"(?i)(?:errors?|exceptions?|traceback|detail|status|ok|success|code|object|type|role|param|index|usage"
    r"|finish_reason|prompts?|prompt_token_ids|inputs?|questions?|model|backend|endpoint|config|version"
    r"|completed|failed|request_rate|burstiness|max_concurrency|num_\w+|\w+_tokens|model_\w+|tokenizer\w*)"
)
#: What was not compared, as sentences.
_LEFT_OUT = {
    "other": _("{count} other lines of the logs"),
    "prefix": _("the prefixes of {count} log lines (time, process)"),
    "time": _("times and speeds in {count} lines"),
    "process": _("process numbers and addresses in {count} lines"),
    "switch": _("{count} lines about the SuperKernel switch"),
    "keys": _("{count} values of identifiers and times"),
}


@dataclass(frozen=True, kw_only=True)
class OutputCheck:
    """The result for one pair. `largest` is the largest absolute difference, None where values cannot be compared.

    `first` says where the first difference is (empty where there is none); `compared` counts what `kind` names: bytes,
    values (json, arrays), lines or generated texts, and `different` of them differ. `shows_output` says whether a
    generated text, a value or a line that can be a result is among them: without one, being the same proves nothing.
    """

    identical: bool
    kind: str
    compared: int
    different: int
    largest: float | None
    first: str
    message: Message
    shows_output: bool = True


def compare_outputs(before: Path, after: Path) -> OutputCheck:
    """Compare two files. Raises InputError where one is missing, or is a pickle that differs."""
    for path in (before, after):
        if not path.is_file():
            raise InputError(_("{path} is no file"), _("Name the output of each run: --outputs OFF ON"), path=path)
    found = _compare_files(before, after)
    return replace(found, message=Message(_("{file}: {said}"), file=after.name, said=found.message))


def _compare_files(before: Path, after: Path) -> OutputCheck:
    filecmp.clear_cache()  # it tells files apart by times, of which some file systems keep few digits
    if filecmp.cmp(before, after, shallow=False):
        same = _judged("bytes", Difference(before.stat().st_size))
        return replace(same, shows_output=_shows_output(before))
    kinds = {path.suffix.lower() for path in (before, after)}
    if kinds & set(_PICKLES):
        raise InputError(
            _("the files differ, and pickles (torch.save) are not opened to see where"),
            _("Save the outputs as .safetensors or .npy and run it again."),
        )
    if kinds <= {".npy", ".npz", ".safetensors"}:
        return _compare_arrays(_arrays(before), _arrays(after))
    if max(before.stat().st_size, after.stat().st_size) > LARGEST_TEXT_BYTES:
        return _judged("bytes", Difference(1, 1, None, str(Message(_("the files are too large to say where")))))
    if kinds <= {".json", ".jsonl"}:
        return _compare_values(_json(before), _json(after))
    return _compare_text(before, after)


def _shows_output(path: Path) -> bool:
    """Whether a file holds an output; of one that is not opened, or cannot be read, its bytes are the output."""
    suffix, size = path.suffix.lower(), path.stat().st_size
    if suffix in _PICKLES or size > LARGEST_TEXT_BYTES:
        return size > 0
    try:
        if suffix in (".npy", ".npz", ".safetensors"):
            return any(array.size for array in _arrays(path).values())
        if suffix in (".json", ".jsonl"):
            return _holds_output(_json(path))
    except InputError:
        return size > 0
    texts = generated_texts(read_lines_of(path))
    return (texts if texts.items else result_lines(read_lines_of(path))).shows_output


#: kind -> (equal, different with numbers, different otherwise)
_SENTENCES = {
    "texts": (
        _("the same in all {count} generated texts"),
        _("{different} of {count} generated texts differ; the first: {first}"),
        _("{different} of {count} generated texts differ; the first: {first}"),
    ),
    "lines": (
        _("the same in all {count} lines"),
        _("{different} of {count} lines differ, numbers by {largest:.6g} at most; the first: {first}"),
        _("{different} of {count} lines differ; the first: {first}"),
    ),
    "bytes": (_("identical, byte for byte"), _("different: {first}"), _("different: {first}")),
    "values": (
        _("equal in all {count} values, although the bytes differ"),
        _("{different} of {count} values differ, by {largest:.6g} at most; the first: {first}"),
        _("different: {first}"),
    ),
}


def _judged(kind: str, found: Difference) -> OutputCheck:
    equal, by_number, otherwise = _SENTENCES.get(kind, _SENTENCES["values"])
    if not (found.compared or found.different) and kind != "bytes":
        template = _("nothing to compare: no generated text and no result line")
    elif found.different == 0:
        template = equal
    else:
        template = otherwise if found.largest is None else by_number
    values = {"different": found.different, "count": found.compared, "largest": found.largest, "first": found.first}
    return OutputCheck(
        identical=found.different == 0,
        kind=kind,
        compared=found.compared,
        different=found.different,
        largest=found.largest,
        first=found.first,
        message=Message(template, **values),
    )


def _json(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".jsonl":
            return [json.loads(line) for line in read_text_of(path).split("\n") if line.strip()]
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            _("{path} is no JSON: {error}"), _("Rename it to .txt to compare it as text."), path=path, error=error
        ) from error


def _leaves(value: Any, place: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; a container's size is a leaf too, so that missing entries show."""
    if depth > _DEPTH:
        raise InputError(_("the JSON is nested more than {depth} deep"), depth=_DEPTH)
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
    places = list(dict.fromkeys([*old, *new]))
    kept = [place for place in places if not _VOLATILE_KEYS.match(place.rpartition(".")[2].partition("[")[0])]
    found = Difference(len(kept))
    for place in kept:
        value, other = old.get(place, _MISSING), new.get(place, _MISSING)
        if not _same(value, other):
            first = found.first or f"{place}: {short(repr(value))} / {short(repr(other))}"
            found.add(_difference(value, other), first)
    judged = replace(_judged("json", found), shows_output=_holds_output(before) or _holds_output(after))
    return _with_left_out(judged, {"keys": len(places) - len(kept)})


def _holds_output(value: Any, depth: int = 0) -> bool:
    """Whether JSON has a number or a text that a model can have put out: keys may say that it is none."""
    if depth > _DEPTH:
        return False
    if isinstance(value, dict):
        kept = (key for key in value if not (_VOLATILE_KEYS.match(key) or _NO_OUTPUT_KEYS.fullmatch(key)))
        return value.get("object") != "error" and any(_holds_output(value[key], depth + 1) for key in kept)
    if isinstance(value, list):
        return any(_holds_output(item, depth + 1) for item in value)
    return _is_number(value) or (isinstance(value, str) and bool(value.strip()))


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


def _compare_text(before: Path, after: Path) -> OutputCheck:
    """Generated texts to the letter where a log marks them, else the lines that can be a result."""
    one, other = (generated_texts(read_lines_of(path)) for path in (before, after))
    if not (one.items or other.items):
        one, other = (result_lines(read_lines_of(path)) for path in (before, after))
    found = compare_said(one, other)
    judged = _judged("texts" if one.texts else "lines", found)
    judged = replace(judged, shows_output=one.shows_output and other.shows_output)
    return _with_left_out(judged, {kind: one.left_out.get(kind, 0) + other.left_out.get(kind, 0) for kind in _LEFT_OUT})


def _with_left_out(judged: OutputCheck, counts: Mapping[str, int]) -> OutputCheck:
    """The result that also says what was not compared."""
    parts = [Message(_LEFT_OUT[kind], count=count) for kind, count in counts.items() if count]
    if not parts:
        return judged
    message = Message(_("{judged}. Not compared: {left_out}"), judged=judged.message, left_out=listed(parts))
    return replace(judged, message=message)


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
            _("cannot read {path} as arrays: {error}"),
            _("Files with pickled objects are not opened."),
            path=path,
            error=error,
        ) from error
    except Exception as error:  # zipfile and tokenize raise kinds of their own on damaged files
        raise InputError(_("cannot read {path} as arrays: {error}"), path=path, error=error) from error


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
        return _judged("arrays", Difference(0, len(names), None, f"{names[0]!r} is in one file only"))
    found = Difference()
    for name, old in before.items():
        new = after[name]
        if old.shape != new.shape or old.dtype != new.dtype:
            kinds = f"{name}: {old.dtype}{old.shape} / {new.dtype}{new.shape}"
            return _judged("arrays", Difference(found.compared, 1, None, kinds))
        found.compared += old.size
        changed = ~_equal(old, new)
        if not changed.any():
            continue
        place = tuple(int(i) for i in np.argwhere(changed)[0])
        step = None
        if old.dtype.kind in "fiub":
            with np.errstate(all="ignore"):
                steps = np.abs(old[changed].astype("f8") - new[changed].astype("f8"))
            step = float(np.where(np.isnan(steps), np.inf, steps).max())
        found.add(step, f"{name}{list(place)}: {old[place]!r} / {new[place]!r}", int(np.count_nonzero(changed)))
    return replace(_judged("arrays", found), shows_output=found.compared > 0)


def _equal(old: NDArray[Any], new: NDArray[Any]) -> NDArray[np.bool_]:
    import numpy as np

    same = np.asarray(old == new)
    if old.dtype.kind in "fc":
        same |= np.isnan(old) & np.isnan(new)
    return same
