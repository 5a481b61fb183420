"""The judgement of every kernel of one step: made once, read by the preview of each template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skadvisor.fusion.rules import Judgement, judge, load_rules

if TYPE_CHECKING:
    from skadvisor.accounting.representative import StepKernels
    from skadvisor.accounting.situation import Situation


def judge_step(step: StepKernels, situation: Situation, rules: Sequence[Path] = ()) -> tuple[Judgement, ...]:
    """One judgement per kernel of the step, in its order, by the user's rules (files) and then ours.

    Conditions that rules need (tiling sink, AIV expansion) are taken from `situation`. Raises InputError for a file
    that is no rules file.
    """
    judged = judge(
        step.kernels,
        load_rules(*rules),
        situation.hardware,
        situation.graph_kind,
        eager=step.mode == "eager",
    )
    return tuple(judgement.under(situation.conditions) for judgement in judged)
