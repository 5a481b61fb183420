"""What the published table promises for a template at this share. A claim, shown as such."""

from __future__ import annotations

from skadvisor.fusion.templates import claim_table
from skadvisor.records import Claim
from skadvisor.text.messages import Message, _


def published_claim(template: str, share: float, moe: bool) -> Claim | None:
    """The promised gain of the decode step at this share (a fraction of the step inside the scope).

    The table's rows follow from one rule, a saving of 29 to 43 % of the time in scope; the rule gives the figures,
    and the row that comes nearest stands beside them unchanged. None for templates the table does not list.
    """
    table = claim_table()
    kind = "moe" if moe else "dense"
    rows = [row for row in table.rows if row.template == template and row.model == kind]
    row = next((row for row in rows if row.share[0] <= share <= row.share[1]), None)
    if row is None:
        return None
    low, high = table.saving_of_scope
    return Claim(
        low_pct=round(100 * low * share, 2),
        high_pct=round(100 * high * share, 2),
        row=row.row,
        row_low_pct=float(row.gain_pct[0]),
        row_high_pct=float(row.gain_pct[1]),
        rule=Message(
            _("{low:.0%} to {high:.0%} of the {share:.1%} of the step in scope"), low=low, high=high, share=share
        ),
        source=table.source,
    )
