"""What a comparison found out goes into the ledger, so that the next forecast is better."""

from __future__ import annotations

from pathlib import Path

from skadvisor.comparison.records import Comparison
from skadvisor.records import Result
from skadvisor.text.messages import Message, _

#: Verdicts that the ledger learns nothing from.
NO_EVIDENCE = ("not_comparable", "insufficient_evidence")


def is_evidence(comparison: Comparison) -> bool:
    """Whether `keep_outcome` would keep it: a SuperKernel was on, and the comparison proves something."""
    fused = bool(comparison.superkernels) and comparison.template is not None
    return fused and comparison.verdict not in NO_EVIDENCE


def keep_outcome(path: Path | None, before: Result, comparison: Comparison) -> Message:
    """Add the outcome to the forecast that `before` (the analysis of BEFORE) makes; says what was done.

    `path` is the ledger file, None for the user's own. Nothing is kept where the comparison proves nothing, or where
    no SuperKernel was on. The same outcome again is not kept twice.
    """
    from skadvisor.gain.ledger import Ledger, Outcome, record_forecasts

    if comparison.verdict in NO_EVIDENCE:
        return Message(_("The ledger was not changed: this comparison is no evidence."))
    if not comparison.superkernels or comparison.template is None:
        return Message(_("The ledger was not changed: AFTER has no SuperKernel."))
    assert comparison.before is not None and comparison.after is not None
    record_forecasts(before, path)
    with Ledger.open(path) as ledger:
        found = ledger.forecasts(before.captures[0].fingerprint, comparison.template)
        number = found[-1].id if found else None
        if number is None:
            return Message(
                _("The ledger was not changed: there is no forecast for {name} on BEFORE."), name=comparison.template
            )
        times = (comparison.before.median_us, comparison.after.median_us)
        if times in {(kept.before_us, kept.after_us) for kept in ledger.outcomes(number)}:
            return Message(_("The ledger has this outcome already."))
        note = f"compare: {comparison.verdict}, {comparison.runs_before} and {comparison.runs_after} runs"
        outcome = Outcome(forecast=number, before_us=times[0], after_us=times[1], note=note)
        if not found[-1].allows(outcome):
            return Message(
                _("The ledger was not changed: by forecast {number} no scope moves a step so far."), number=number
            )
        ledger.add_outcome(outcome)
        return Message(_("Kept as the outcome of forecast {number} in {path}."), number=number, path=ledger.path)
