"""The template that a report speaks of."""

from __future__ import annotations

from skadvisor.records import Result, Template, find_template


def subject_template(result: Result) -> Template | None:
    """The template that the report speaks of: the recommended one, else the one that promises most, else None."""
    chosen = find_template(result.templates, result.recommendation.choice, result.recommendation.variant)
    if chosen is not None:
        return chosen
    assessed = [template for template in result.templates if template.estimate is not None]
    if assessed:
        return max(assessed, key=lambda template: template.estimate.mid_us if template.estimate else 0.0)
    return next(iter(result.templates), None)
