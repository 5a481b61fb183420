"""How results show themselves in a notebook: small HTML tables, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from skadvisor.records import Result

_CELL = "padding:2px 10px;text-align:right"
_HEAD = "padding:2px 10px;text-align:right;border-bottom:1px solid currentColor"


def result_html(result: Result) -> str:
    """The verdict, the regions of the phase it speaks of, and the templates, as HTML without style sheets."""
    from skadvisor import report

    recommendation = result.recommendation
    regions = [
        (record.region, f"{record.exposed_us:,.1f}", f"{record.share:.1%}")
        for record in result.regions
        if record.phase == result.phase
    ]
    templates = []
    for template in result.templates:
        claim, estimate = template.claim, template.estimate
        templates.append(
            (
                template.name,
                f"{template.share:.1%}",
                f"{claim.low_pct:.1f} to {claim.high_pct:.1f} %" if claim else "",
                f"{estimate.low_pct:.1f} to {estimate.high_pct:.1f} %" if estimate else "",
                template.verdict.replace("_", " "),
            )
        )
    return "".join(
        (
            f"<p><b>{escape(report.verdict(result))}</b></p>",
            f"<p>{escape(str(recommendation.reason))}</p>",
            _table(("region", f"exposed in {result.phase}, us", "share of step"), regions),
            _table(("template", "in scope", "claim", "estimate", "verdict"), templates),
        )
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    heads = "".join(f'<th style="{_HEAD}">{escape(text)}</th>' for text in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(str(text))}</td>' for text in row) + "</tr>" for row in rows
    )
    return f'<table style="margin:6px 0;border-collapse:collapse"><tr>{heads}</tr>{body}</table>'
