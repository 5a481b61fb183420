"""The sections about gain: templates compared, what cuts the scope, how the estimate is made up, the checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skadvisor.records import Result, Template
from skadvisor.report.cells import Grid
from skadvisor.report.document import Cell, Item, Section
from skadvisor.report.figures import ceiling_pct, term_figures
from skadvisor.report.summary import claim_line, step_wall, subject_template
from skadvisor.report.wording import (
    BASIS_NAMES,
    LIKELIHOOD_NAMES,
    LONGEST_VALUE,
    RISK_NAMES,
    STATUS_NAMES,
    TERM_NAMES,
    VERDICT_NAMES,
    Wording,
    minus,
)
from skadvisor.text.messages import _

BANDS = ("low", "mid", "high")
#: Inputs that the gain models name; another one is shown with its underscores replaced.
INPUT_NAMES = {
    "boundaries": _("task boundaries in scope"),
    "boundaries_removed": _("removed"),
    "boundaries_with_pmu": _("with core times"),
    "gap_us": _("gap, µs each"),
    "head_us": _("head, µs each"),
    "inside_us": _("inside the cores, µs each"),
    "sync_us": _("synchronisation, µs each"),
    "block_us": _("saved in scope, µs"),
    "reached_us": _("of it on the critical path, µs"),
    "overlap_us": _("overlap of streams in scope, µs"),
    "lost_fraction": _("part of it lost"),
    "saved_us": _("saved in scope, µs"),
    "fraction": _("part that the step does not show"),
    "in_scope_us": _("time in scope, µs"),
    "ceiling_us": _("ceiling, µs"),
    "recovered": _("saved of what was there, parts"),
    "weight_of_the_capture": _("weight of this capture"),
    "base_pct": _("base rate, %"),
    "nets": _("published nets"),
}


def templates(result: Result, wording: Wording) -> Section | None:
    """Claim, ceiling and estimate of every template beside each other."""
    if not result.templates:
        return None
    wall = step_wall(result)
    grid = Grid([(template, template.estimate) for template in result.templates], wording)
    grid.words(_("Template"), lambda row: wording.template(row[0].name, row[0].variant))
    grid.numbers(_("Share of step"), lambda row: 100 * row[0].share, "%")
    grid.cells(_("Claim by share"), lambda row: _claim(row[0], wording), numeric=True, priority=1)
    grid.numbers(_("Ceiling"), lambda row: ceiling_pct(row[0], wall), "%", priority=1)
    grid.numbers(_("Estimate"), lambda row: row[1].mid_pct if row[1] else None, "%")
    grid.intervals(_("Interval"), lambda row: (row[1].low_pct, row[1].high_pct) if row[1] else (None, None))
    grid.numbers(_("Estimate"), lambda row: row[1].mid_us if row[1] else None, "µs", priority=2)
    grid.words(_("Verdict"), lambda row: wording.name(VERDICT_NAMES, row[0].verdict))
    grid.words(_("Risk"), lambda row: wording.name(RISK_NAMES, row[0].risk), 3)
    grid.numbers(_("Effort (1 is least)"), lambda row: float(row[0].effort), "", 0, 3)
    grid.words(_("Published row"), lambda row: _published_row(row[0], wording), 3)
    grid.words(_("Reason"), lambda row: wording.sentence(row[0].reason), 3, LONGEST_VALUE)
    table = grid.table("templates", wording.say(_("Templates")))
    estimated = (row for row, template in zip(table.rows, result.templates, strict=True) if template.estimate)
    return Section(
        "templates",
        wording.say(_("Templates compared")),
        wording.say(
            _(
                "Gains are for one decode step. The claim is the share times 29 to 43 %, as the templates reckon; the "
                "estimate is from this capture."
            )
        ),
        (replace(table, brief=tuple(estimated)),),
    )


def _claim(template: Template, wording: Wording) -> Cell:
    return Cell(claim_line(template, wording), template.claim.high_pct if template.claim else None)


def _published_row(template: Template, wording: Wording) -> str:
    """The row of the published table that comes nearest, unchanged."""
    claim = template.claim
    if claim is None:
        return wording.say(_("no claim"))
    return f"{claim.row}: {claim.row_low_pct:g}-{claim.row_high_pct:g} %"


def breakers(result: Result, wording: Wording) -> Section | None:
    """What cuts the scope, dearest first."""
    template = subject_template(result)
    if template is None or (not template.breakers and template.fragments is None):
        return None
    grid = Grid(sorted(template.breakers, key=lambda breaker: -breaker.cost_us), wording)
    grid.words(_("Operator"), lambda breaker: breaker.op_type)
    grid.words(_("Role"), lambda breaker: wording.role(breaker.role), 2)
    grid.numbers(_("Lost saving per step"), lambda breaker: breaker.cost_us, "µs")
    grid.numbers(_("Cuts per layer"), lambda breaker: breaker.cuts_per_layer)
    grid.numbers(_("Cuts per step"), lambda breaker: breaker.cuts_per_step, "", 0, 2)
    grid.words(_("Breaks"), lambda breaker: wording.name(LIKELIHOOD_NAMES, breaker.likelihood), 1)
    grid.words(_("Compiler's reason"), lambda breaker: breaker.reason, 2)
    grid.words(_("Remedy"), lambda breaker: wording.sentence(breaker.remedy), 0, LONGEST_VALUE)
    grid.words(_("Source"), lambda breaker: wording.source(breaker.source), 3, LONGEST_VALUE)
    table = grid.table("breakers", wording.say(_("Breakers")))
    return Section(
        "breakers",
        wording.say(_("What cuts the scope")),
        _fragment_words(template, wording),
        (table,) if table.rows else (),
    )


def _fragment_words(template: Template, wording: Wording) -> str:
    parts = template.fragments
    name = wording.template(template.name, template.variant)
    if parts is None:
        return wording.say(_("For {name}, the fragments are unknown."), name=name)
    return wording.say(
        _(
            "With {name}, the compiler is expected to make {count} fragments per step ({per_layer:.1f} per layer) of "
            "{kernels} kernels; {single} hold one kernel only. {removed} of {boundaries} task boundaries go away."
        ),
        name=name,
        count=parts.count,
        per_layer=parts.per_layer,
        kernels=parts.kernels,
        single=parts.single_kernel,
        removed=parts.boundaries_removed,
        boundaries=parts.boundaries,
    )


def terms(result: Result, wording: Wording) -> Section | None:
    """The named parts of the estimate."""
    template = subject_template(result)
    if template is None or not template.terms or template.estimate is None:
        return None
    figures, estimate = term_figures(template), template.estimate
    rows = [(wording.name(TERM_NAMES, name), figures[name], term) for name, term in template.terms.items()]
    total = (wording.say(_("estimate")), (estimate.low_us, estimate.mid_us, estimate.high_us), None)
    grid = Grid([*rows, total], wording)
    grid.words(_("Term"), lambda row: row[0])
    grid.numbers(_("Low"), lambda row: row[1][0], "µs", priority=1)
    grid.numbers(_("Middle"), lambda row: row[1][1], "µs")
    grid.numbers(_("High"), lambda row: row[1][2], "µs", priority=1)
    grid.words(_("Basis"), lambda row: wording.name(BASIS_NAMES, row[2].basis) if row[2] else None)
    grid.words(
        _("Follows from"), lambda row: _inputs_text(row[2].inputs, wording) if row[2] else None, 2, LONGEST_VALUE
    )
    grid.words(_("Source"), lambda row: wording.source(row[2].source) if row[2] else None, 3, LONGEST_VALUE)
    return Section(
        "terms",
        wording.say(_("How the estimate is made up")),
        wording.say(
            _("Savings and losses of {name} per decode step. Low, middle and high are P10, P50 and P90."),
            name=wording.template(template.name, template.variant),
        ),
        (grid.table("terms", wording.say(_("Terms"))),),
    )


def _inputs_text(inputs: Mapping[str, float], wording: Wording) -> str:
    """What a term follows from, in one line: `removed: 584 / 599 / 663` for low, middle and high."""
    values: dict[str, list[float]] = {}
    for key, value in inputs.items():
        name, _underscore, band = key.rpartition("_")
        values.setdefault(name if band in BANDS else key, []).append(value)
    said = [
        wording.say(_("{name}: {value}"), name=wording.name(INPUT_NAMES, name), value=_together(found))
        for name, found in values.items()
    ]
    return wording.say(_("; ")).join(said)


def _together(values: list[float]) -> str:
    """One number where they all read the same."""
    shown = [minus(f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}") for value in values]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def findings(result: Result, wording: Wording) -> Section | None:
    """The eligibility checks of the template in question, the blocking ones first."""
    template = subject_template(result)
    if template is None or not template.findings:
        return None
    order = ("block", "warn", "unknown", "pass")
    items = tuple(
        Item(
            text=wording.sentence(finding.message),
            status=finding.status,
            label=wording.name(STATUS_NAMES, finding.status),
            remedy=wording.sentence(finding.remedy),
            source=wording.source(finding.source),
        )
        for finding in sorted(template.findings, key=lambda finding: order.index(finding.status))
    )
    title = wording.say(_("Checks for {name}"), name=wording.template(template.name, template.variant))
    return Section("findings", title, items=items)
