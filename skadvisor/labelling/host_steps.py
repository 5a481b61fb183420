"""The steps that a serving framework announces on the host: their phase and tokens stand in the names of ranges.

vLLM wraps each pass in `execute_context_<prompts>(<tokens>)_generation_<sequences>(<tokens>)`, SGLang in
`step[<mode> bs=<sequences> toks=<tokens>]`; others name a range by the phase alone (`prefill`, `model_decode_3`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from skadvisor.capture.links import step_ids
from skadvisor.records import Phase
from skadvisor.vocabulary.arrays import Ints

_VLLM = re.compile(r"execute_context_(\d+)\((\d+)\)_generation_(\d+)\((\d+)\)")
_SGLANG = re.compile(r"step\[(\w+)([^\]]*)\]", re.IGNORECASE)
_COUNTS = re.compile(r"(bs|toks?|tokens)=(\d+)")
_WORD = re.compile(r"(?:^|[\W_])(prefill|decode|mixed)(?=$|[\W_\d])", re.IGNORECASE)
#: A name with these is that of an operator or a module, not of a pass.
_NO_PASS = re.compile(r"::|aclnn|kernel|attention|attn|nn\.Module|token(izer|ize)|detokenize", re.IGNORECASE)
#: SGLang's forward modes; modes of idle ranks run the model on nothing that anyone asked for.
_MODES: dict[str, Phase] = {
    "prefill": "prefill",
    "extend": "prefill",
    "split_prefill": "prefill",
    "decode": "decode",
    "target_verify": "decode",
    "draft_extend": "decode",
    "mixed": "mixed",
}
#: A range announces a step if it holds this share of the launches of the step's kernels.
MOST_LAUNCHES = 0.5


@dataclass(frozen=True)
class Announced:
    """One pass as the host announced it; `tokens` is None where the name does not count them.

    `dummy` marks a pass of a rank that only keeps step with the others.
    """

    start_ns: int
    end_ns: int
    phase: Phase
    tokens: int | None
    dummy: bool = False


def announced_steps(host: pd.DataFrame) -> list[Announced]:
    """The passes that ranges of the host announce, in time order; those of the most telling kind of name."""
    names = host["name"].cat
    texts = [str(name) for name in names.categories]
    for read in (_of_vllm, _of_sglang, _of_word):
        meanings = [read(text) for text in texts]
        if not any(meanings):
            continue
        meant = np.array([meaning is not None for meaning in meanings] + [False])[names.codes.to_numpy()]
        rows = host[meant].sort_values(["start_ns", "dur_ns"], ascending=[True, False], kind="stable")
        found: list[Announced] = []
        for start, length, code in zip(rows["start_ns"], rows["dur_ns"], rows["name"].cat.codes, strict=True):
            meaning = meanings[code]
            if meaning is not None and (not found or start >= found[-1].end_ns):
                found.append(Announced(int(start), int(start + length), *meaning))
        return found
    return []


def _of_vllm(name: str) -> tuple[Phase, int | None, bool] | None:
    found = _VLLM.search(name)
    if found is None:
        return None
    prompts, prompt_tokens, sequences, tokens = map(int, found.groups())
    phase: Phase = "mixed" if prompts and sequences else "prefill" if prompts else "decode" if sequences else "unknown"
    return phase, prompt_tokens + tokens or None, phase == "unknown"


def _of_sglang(name: str) -> tuple[Phase, int | None, bool] | None:
    found = _SGLANG.search(name)
    if found is None:
        return None
    mode, rest = found.group(1).lower(), dict(_COUNTS.findall(found.group(2)))
    count = rest.get("toks") or rest.get("tok") or rest.get("tokens") or (rest.get("bs") if mode == "decode" else None)
    dummy = mode == "idle" or mode.startswith("dummy")
    return _MODES.get(mode, "unknown"), None if count is None else int(count), dummy


def _of_word(name: str) -> tuple[Phase, int | None, bool] | None:
    words = set() if _NO_PASS.search(name) else {word.lower() for word in _WORD.findall(name)}
    if not words:
        return None
    return ("mixed" if len(words) > 1 else _MODES[words.pop()]), None, "dummy" in name.lower()


def launched_in(announced: Sequence[Announced], launch: pd.Series) -> Ints:
    """The announced step in which each kernel was launched, -1 where the launch is unknown or in none, (N,)."""
    if not announced:
        return np.full(len(launch), -1, dtype=np.int64)
    times = launch.fillna(-1).to_numpy(dtype="int64")
    starts, ends = (np.array([getattr(one, name) for one in announced]) for name in ("start_ns", "end_ns"))
    place = np.searchsorted(starts, times, side="right") - 1
    return np.where((place >= 0) & (times <= ends[np.maximum(place, 0)]), place, -1)


def with_step_marks(kernels: pd.DataFrame, announced: Sequence[Announced]) -> pd.DataFrame:
    """The kernels with the announced steps for the profiler's own numbers, where it wrote none."""
    if kernels["step_id"].notna().any() or not announced:
        return kernels
    launch = kernels["launch_ns"].fillna(-1).to_numpy(dtype="int64")
    listed = [(number, one.start_ns, one.end_ns) for number, one in enumerate(announced)]
    return kernels.assign(step_id=step_ids(listed, kernels["start_ns"].to_numpy(), launch))


def of_steps(
    announced: Sequence[Announced], kernels: pd.DataFrame, rows_of_steps: Sequence[Ints]
) -> list[Announced | None]:
    """What the host announced of each step, given the rows of its kernels; None where it cannot be told.

    By the launches; without them in their order where as many steps were announced as ran, or where all are alike.
    """
    nothing: list[Announced | None] = [None] * len(rows_of_steps)
    if not announced:
        return nothing
    inside = launched_in(announced, kernels["launch_ns"])
    found = list(nothing)
    for number, rows in enumerate(rows_of_steps):
        counts = Counter(inside[rows][inside[rows] >= 0].tolist())
        place, count = counts.most_common(1)[0] if counts else (-1, 0)
        known = int(kernels["launch_ns"].iloc[rows].notna().sum())
        if count and count >= MOST_LAUNCHES * known:
            found[number] = announced[place]
    if any(found):
        return found
    if len(announced) == len(rows_of_steps):
        return list(announced)
    return [announced[0]] * len(rows_of_steps) if len({(one.phase, one.tokens) for one in announced}) == 1 else nothing
