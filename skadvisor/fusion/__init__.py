"""What the SuperKernel compiler is expected to do with a scope: what fuses, where it is cut, what stands in the way."""

from skadvisor.fusion.eligibility import check
from skadvisor.fusion.judging import exchanges_with_ranks, judge, judge_step
from skadvisor.fusion.preview import Preview, preview_scope
from skadvisor.fusion.rules import Judgement, Rule, load_rules

__all__ = [
    "Judgement",
    "Preview",
    "Rule",
    "check",
    "exchanges_with_ranks",
    "judge",
    "judge_step",
    "load_rules",
    "preview_scope",
]
