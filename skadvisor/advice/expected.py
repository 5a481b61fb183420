"""What a template is expected to win: what the user's own runs showed, else the estimate."""

from __future__ import annotations

from skadvisor.records import Template


def expected_pct(template: Template) -> float:
    """The middle, percent of the step; 0 for a template that was not assessed."""
    if template.measured is not None:
        return template.measured.mid_pct
    return template.estimate.mid_pct if template.estimate is not None else 0.0


def expected_us(template: Template) -> float:
    """The middle, us per step; a measured gain is taken of the step that the estimate refers to."""
    found = template.estimate
    if found is None:
        return 0.0
    if template.measured is None or not found.mid_pct:
        return found.mid_us
    return found.mid_us * template.measured.mid_pct / found.mid_pct


def chance_above_noise(template: Template) -> float:
    """The chance that the step gains more than the noise floor, a fraction; 0 for one that was not assessed."""
    return template.chance_above_noise or 0.0
