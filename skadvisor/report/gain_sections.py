"""The sections about gain: templates compared, what cuts the scope, how the estimate is made up, the checks."""

from __future__ import annotations

from skadvisor.records import Result, Template
from skadvisor.report.cells import number, percent, text
from skadvisor.report.document import Cell, Column, Item, Section, Table
from skadvisor.report.figures import term_figures
from skadvisor.report.inputs import inputs_text
from skadvisor.report.sources import source_text
from skadvisor.report.subject import subject_template
from skadvisor.report.summary import claim_line, step_wall
from skadvisor.report.wording import (
    BASIS_NAMES,
    LIKELIHOOD_NAMES,
    LONGEST_VALUE,
    RISK_NAMES,
    STATUS_NAMES,
    TERM_NAMES,
    VERDICT_NAMES,
    Wording,
)
from skadvisor.text.messages import _


def templates(result: Result, wording: Wording) -> Section | None:
    """Claim, ceiling and estimate of every template beside each other."""
    if not result.templates:
        return None
    wall = step_wall(result)
    rows = []
    for template in result.templates:
        estimate = template.estimate
        ceiling = None if template.ceiling_us is None or not wall else 100 * template.ceiling_us / wall
        rows.append(
            (
                text(wording.template(template.name, template.variant)),
                percent(template.share, wording),
                Cell(claim_line(template, wording), template.claim.high_pct if template.claim else None),
                number(ceiling, wording),
                number(estimate.mid_pct if estimate else None, wording),
                Cell(
                    wording.interval(estimate.low_pct, estimate.high_pct) if estimate else wording.say(_("unknown")),
                    estimate.low_pct if estimate else None,
                ),
                number(estimate.mid_us if estimate else None, wording),
                text(wording.name(VERDICT_NAMES, template.verdict)),
                text(wording.name(RISK_NAMES, template.risk)),
                number(float(template.effort), wording, 0),
                text(_published_row(template, wording)),
                text(wording.sentence(template.reason), LONGEST_VALUE),
            )
        )
    brief = tuple(row for row, template in zip(rows, result.templates, strict=True) if template.estimate is not None)
    columns = (
        Column(wording.say(_("Template"))),
        Column(wording.say(_("Share of step")), "%", True),
        Column(wording.say(_("Claim by share")), "", True, 1),
        Column(wording.say(_("Ceiling")), "%", True, 1),
        Column(wording.say(_("Estimate")), "%", True),
        Column(wording.say(_("Interval")), "", True),
        Column(wording.say(_("Estimate")), "µs", True, 2),
        Column(wording.say(_("Verdict"))),
        Column(wording.say(_("Risk")), priority=3),
        Column(wording.say(_("Effort (1 is least)")), "", True, 3),
        Column(wording.say(_("Published row")), priority=3),
        Column(wording.say(_("Reason")), priority=3),
    )
    return Section(
        "templates",
        wording.say(_("Templates compared")),
        wording.say(
            _(
                "Gains are for one decode step. The claim is the share times 29 to 43 %, as the templates reckon; the "
                "estimate is from this capture."
            )
        ),
        (Table("templates", wording.say(_("Templates")), columns, tuple(rows), brief=brief),),
    )


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
    rows = tuple(
        (
            text(breaker.op_type),
            text(wording.role(breaker.role)),
            number(breaker.cost_us, wording),
            number(breaker.cuts_per_layer, wording),
            number(breaker.cuts_per_step, wording, 0),
            text(wording.name(LIKELIHOOD_NAMES, breaker.likelihood)),
            text(breaker.reason),
            text(wording.sentence(breaker.remedy), LONGEST_VALUE),
            text(source_text(breaker.source, wording), LONGEST_VALUE),
        )
        for breaker in sorted(template.breakers, key=lambda breaker: -breaker.cost_us)
    )
    columns = (
        Column(wording.say(_("Operator"))),
        Column(wording.say(_("Role")), priority=2),
        Column(wording.say(_("Lost saving per step")), "µs", True),
        Column(wording.say(_("Cuts per layer")), "", True),
        Column(wording.say(_("Cuts per step")), "", True, 2),
        Column(wording.say(_("Breaks")), priority=1),
        Column(wording.say(_("Compiler's reason")), priority=2),
        Column(wording.say(_("Remedy"))),
        Column(wording.say(_("Source")), priority=3),
    )
    return Section(
        "breakers",
        wording.say(_("What cuts the scope")),
        _fragment_words(template, wording),
        (Table("breakers", wording.say(_("Breakers")), columns, rows),) if rows else (),
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
    rows = tuple(
        (
            text(wording.name(TERM_NAMES, name)),
            *(number(value, wording) for value in figures[name]),
            text(wording.name(BASIS_NAMES, term.basis)),
            text(inputs_text(term.inputs, wording), LONGEST_VALUE),
            text(source_text(term.source, wording), LONGEST_VALUE),
        )
        for name, term in template.terms.items()
    )
    total = (estimate.low_us, estimate.mid_us, estimate.high_us)
    sums = (
        text(wording.say(_("estimate"))),
        *(number(value, wording) for value in total),
        *(Cell("") for _place in "123"),
    )
    columns = (
        Column(wording.say(_("Term"))),
        Column(wording.say(_("Low")), "µs", True, 1),
        Column(wording.say(_("Middle")), "µs", True),
        Column(wording.say(_("High")), "µs", True, 1),
        Column(wording.say(_("Basis"))),
        Column(wording.say(_("Follows from")), priority=2),
        Column(wording.say(_("Source")), priority=3),
    )
    return Section(
        "terms",
        wording.say(_("How the estimate is made up")),
        wording.say(
            _("Savings and losses of {name} per decode step. Low, middle and high are P10, P50 and P90."),
            name=wording.template(template.name, template.variant),
        ),
        (Table("terms", wording.say(_("Terms")), columns, (*rows, sums)),),
    )


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
            source=source_text(finding.source, wording),
        )
        for finding in sorted(template.findings, key=lambda finding: order.index(finding.status))
    )
    title = wording.say(_("Checks for {name}"), name=wording.template(template.name, template.variant))
    return Section("findings", title, items=items)
