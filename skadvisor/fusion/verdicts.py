"""Verdicts on operator types, one per chip, kind of graph and CANN version where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skadvisor.fusion.judging import NOT_KNOWN, Task, judge_task, version_text
from skadvisor.fusion.readings import MODES, Reading, families, list_readings
from skadvisor.fusion.rules import Fusible, Judgement, Rule, index
from skadvisor.text.messages import Message
from skadvisor.vocabulary.labels_of_kernels import operator_label

if TYPE_CHECKING:
    import pandas as pd

ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the rules say of one operator type. `hardware`, `mode` and `cann` are "any" where the verdict is one.

    `kernels` counts a capture's kernels of this type, None where no capture was asked about.
    """

    op_type: str
    hardware: str
    mode: str
    cann: str
    fuses: Fusible
    reason_word: str
    remedy: Message
    source: str
    needs: str | None = None
    kernels: int | None = None

    @property
    def without_rule(self) -> bool:
        """Whether no rule names the operator."""
        return self.source == NOT_KNOWN.source


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What is known of chip (a family, several as in "A2/A3", or "unknown"), mode and CANN version (None: open)."""

    hardware: str = "unknown"
    mode: str | None = None
    cann: str | None = None


def tasks_of(kernels: pd.DataFrame) -> dict[Task, int]:
    """The kinds of kernels of a kernel table with their counts, the most frequent first."""
    columns = [kernels[name].astype("object").fillna("") for name in ("op_type", "name", "core", "kind")]
    found: Counter[Task] = Counter()
    for op_type, name, core, kind in zip(*columns, strict=True):
        label = operator_label(op_type, name)
        if label:
            on_aicpu = str(core) if core == "AI_CPU" or kind == "collective" else ""
            found[Task(label, on_aicpu, kind=str(kind), triton="triton" in str(name).lower())] += 1
    return dict(found.most_common())


def list_verdicts(
    tasks: Iterable[Task], rules: tuple[Rule, ...], known: Circumstances, counts: dict[Task, int] | None = None
) -> tuple[Verdict, ...]:
    """The verdicts on each task; one row per chip, mode and version where they differ, else one for all."""
    steps = index(rules).steps
    left = list_readings(known.hardware, known.mode, known.cann, steps)
    found: list[Verdict] = []
    for task in tasks:
        judged = dict(zip(left, judge_task(task, rules, left), strict=True))
        rows = _collapsed(task.label, judged, known)
        found += [replace(row, kernels=None if counts is None else counts[task]) for row in rows]
    return tuple(found)


def _collapsed(label: str, judged: dict[Reading, Judgement], known: Circumstances) -> list[Verdict]:
    chips = families(known.hardware)
    by_chip = {chip: {key: found for key, found in judged.items() if key.hardware == chip} for chip in chips}
    rows = {chip: _rows_of_chip(label, found, known) for chip, found in by_chip.items()}
    if len(chips) > 1 and known.hardware == "unknown" and len({_meaning(found) for found in rows.values()}) == 1:
        return rows[chips[0]]
    return [replace(row, hardware=chip) for chip in chips for row in rows[chip]]


def _rows_of_chip(label: str, judged: dict[Reading, Judgement], known: Circumstances) -> list[Verdict]:
    """One row where mode and version do not matter, else one for each value of what does."""
    modes = MODES if known.mode is None else (known.mode,)
    versions = tuple(dict.fromkeys(reading.cann for reading in judged))
    by = {(reading.mode, reading.cann): found for reading, found in judged.items()}
    mode_matters = any(len({_key(by[mode, version]) for mode in modes}) > 1 for version in versions)
    version_matters = any(len({_key(by[mode, version]) for version in versions}) > 1 for mode in modes)
    return [
        Verdict(
            op_type=label,
            hardware=ANY,
            mode=mode if mode_matters else known.mode or ANY,
            cann=_range(versions, number) if version_matters else known.cann or ANY,
            fuses=by[mode, version].fusible,
            reason_word=by[mode, version].reason,
            remedy=by[mode, version].remedy,
            source=by[mode, version].source,
            needs=by[mode, version].needs,
        )
        for mode in (modes if mode_matters else modes[:1])
        for number, version in enumerate(versions if version_matters else versions[-1:])
    ]


def _range(versions: Sequence[tuple[int, ...]], number: int) -> str:
    """The versions from one at which a rule changes to the next."""
    bounds = [f">={version_text(versions[number])}"] if number else []
    if number + 1 < len(versions):
        bounds.append(f"<{version_text(versions[number + 1])}")
    return ",".join(bounds)


def _key(judgement: Judgement) -> tuple[Any, ...]:
    return judgement.fusible, judgement.reason, judgement.needs, str(judgement.remedy)


def _meaning(rows: Sequence[Verdict]) -> tuple[Any, ...]:
    return tuple((row.mode, row.cann, row.fuses, row.reason_word, row.needs, str(row.remedy)) for row in rows)
