"""The runs that are compared: analyses, or the paths of captures, which are analysed here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from skadvisor.analysis import Analysis, analyze
from skadvisor.comparison.records import RankChange
from skadvisor.errors import InputError, SkadvisorError
from skadvisor.options import Options, PathText
from skadvisor.text.messages import _

Run = Analysis | PathText
Given = Run | Sequence[Run]


@dataclass(frozen=True, eq=False)
class Pair:
    """The runs of both sides, and every rank where each side is one folder of many."""

    before: tuple[Analysis, ...]
    after: tuple[Analysis, ...]
    ranks: tuple[RankChange, ...] = ()


def read_pair(
    before: Given,
    after: Given,
    options: Options,
    *,
    left_out: Callable[[Run, SkadvisorError], None] | None = None,
) -> Pair:
    """Analyse what is not analysed yet. Raises InputError and NotEnoughError as `skadvisor.analyze`.

    With `left_out` a run that cannot be analysed is told to it and left out; a side without any is an InputError.
    """
    first, second = _listed(before), _listed(after)
    ranks: tuple[RankChange, ...] = ()
    if options.rank is None and len(first) == len(second) == 1 and _has_ranks(first[0]) and _has_ranks(second[0]):
        ranks = _compare_ranks(first[0], second[0], options)
        options = replace(options, rank=next(item.rank for item in ranks if item.compared))
    return Pair(_analysed(first, options, left_out), _analysed(second, replace(options, tpot_ms=None), left_out), ranks)


def _listed(given: Given) -> list[Run]:
    return [given] if isinstance(given, Analysis | str | os.PathLike) else list(given)


def _analysed(
    runs: Sequence[Run],
    options: Options,
    left_out: Callable[[Run, SkadvisorError], None] | None,
) -> tuple[Analysis, ...]:
    done = []
    for run in runs:
        try:
            done.append(run if isinstance(run, Analysis) else analyze(run, options))
        except SkadvisorError as error:
            if left_out is None:
                raise
            left_out(run, error)
    if not done:
        raise InputError(_("one side has no capture that can be read"), _("Each side has to hold at least one run."))
    return tuple(done)


def _has_ranks(run: Run) -> TypeGuard[PathText]:
    from skadvisor.capture import list_captures

    if isinstance(run, Analysis):
        return False
    found = list_captures(Path(run))
    return len(found) > 1 and all(item.rank is not None for item in found)


def _compare_ranks(before: PathText, after: PathText, options: Options) -> tuple[RankChange, ...]:
    """The step of every rank; compared in depth is the one that sets the pace of BEFORE."""
    from skadvisor.ranks.analysis import analyze_ranks

    first, second = (
        {record.rank: record for record in analyze_ranks(run, options).result.ranks} for run in (before, after)
    )
    return tuple(
        RankChange(
            rank=rank,
            before_us=first[rank].wall_us if rank in first else None,
            after_us=second[rank].wall_us if rank in second else None,
            compared=rank in first and first[rank].reference,
        )
        for rank in sorted(first.keys() | second.keys(), key=lambda number: (number is None, number or 0))
    )
