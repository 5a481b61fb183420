"""A plan as Markdown that also reads well in a terminal."""

from __future__ import annotations

from collections.abc import Callable

from skadvisor.plan.records import Expected, Plan, Snippet
from skadvisor.text.messages import Message, _
from skadvisor.text.plain_text import plain

Translate = Callable[[str], str]
#: More operator types of a scope are counted, not listed.
_MOST_OPERATORS = 12


def render_plan(plan: Plan, translate: Translate = str, *, changed: bool = False) -> str:
    """The whole plan; sections without content are left out.

    `changed` says that the user's own file is shown with its scope, so that the skeleton of the class is left out.
    """

    def say(template: str, **values: object) -> str:
        return Message(template, **values).render(translate)

    def show(message: Message) -> str:
        return message.render(translate)

    variant = say(_("variant {letter}"), letter=plan.variant.upper()) if plan.variant else ""
    name = f"{plan.template}, {variant}" if variant else plan.template
    lines = ["# " + say(_("Plan: {name} ({dialect})"), name=name, dialect=plan.dialect), ""]
    lines += [f"> {plain(show(note), 500)}" for note in plan.notes] + [""]
    lines += ["**" + say(_("Where")) + "**: " + show(plan.where), ""]
    lines += _expected_lines(plan.expected, say)
    lines += _profile_lines(plan, translate)
    lines += _operator_lines(plan, translate)
    for snippet in (*(plan.code[1:] if changed else plan.code), *plan.config):
        lines += _snippet_lines(snippet, translate)
    lines += ["## " + say(_("Options")), ""]
    for option in plan.weighed:
        value = f"{option.key}={option.value}" if option.value is not None else say(_("{key} not set"), key=option.key)
        lines.append(f"- `{value}`: {plain(show(option.reason), 500)} [{option.basis}]")
    lines += ["", *_risk_lines(plan, translate)]
    lines += ["## " + say(_("In the compile log")), ""]
    for check in plan.log_checks:
        mark = say(_("good")) if check.good else say(_("look"))
        lines.append(f"- {mark}: `{check.text}`: {show(check.meaning)}")
    lines += ["", "## " + say(_("If it fails")), ""]
    for remedy in plan.remedies:
        try_first = f" `{remedy.option}`;" if remedy.option else ""
        lines.append(f"- {show(remedy.symptom)}:{try_first} {show(remedy.next_step)}")
    lines += ["", *_snippet_lines(plan.proof, translate)]
    lines += ["## " + say(_("Next")), ""]
    steps: list[str] = []
    if plan.wider:
        steps.append(say(_("if it works: {name}"), name=plan.wider))
    if plan.narrower:
        steps.append(say(_("if it does not: {name}"), name=plan.narrower))
    elif plan.template == "attention-only":
        steps.append(say(_("if it does not: take operators out of the scope one by one, from its ends")))
    steps.append(say(_("after that: {step}"), step=show(plan.profile.next_step)))
    lines += [f"- {step}" for step in steps]
    return "\n".join(lines) + "\n"


def _expected_lines(expected: Expected | None, say: Callable[..., str]) -> list[str]:
    if expected is None:
        return []
    lines = [
        say(
            _("**Time in scope**: {share:.1%} of the decode step ({us:.1f} us)"),
            share=expected.share,
            us=expected.in_scope_us,
        )
    ]
    if expected.estimate is not None:
        lines.append(
            say(
                _("**Expected gain**: {low:.1f} to {high:.1f} % of the step, middle {mid:.1f} % ({us:.1f} us)"),
                low=expected.estimate.low_pct,
                high=expected.estimate.high_pct,
                mid=expected.estimate.mid_pct,
                us=expected.estimate.mid_us,
            )
        )
    if expected.claim is not None:
        lines.append(
            say(
                _("**The published table's row**: {row}; by the share here {low:.0f} to {high:.0f} %"),
                row=f"{expected.claim.row_low_pct:.0f}-{expected.claim.row_high_pct:.0f} % ({expected.claim.row})",
                low=expected.claim.low_pct,
                high=expected.claim.high_pct,
            )
        )
    return [item for line in lines for item in (line, "")]


def _profile_lines(plan: Plan, translate: Translate) -> list[str]:
    profile = plan.profile
    rows = (
        (_("Suits"), profile.suits),
        (_("Strengths"), profile.strengths),
        (_("Weaknesses"), profile.weaknesses),
        (_("Risk"), profile.risk),
        (_("Effort"), profile.effort),
    )
    lines = [f"- **{translate(name)}**: {message.render(translate)}" for name, message in rows]
    sources = [f"  - {source}" for source in profile.sources]
    return ["## " + translate(_("This template")), "", *lines, f"- **{translate(_('Sources'))}**:", *sources, ""]


def _operator_lines(plan: Plan, translate: Translate) -> list[str]:
    if not plan.operators:
        return []
    marks = {"likely": _("cuts the scope"), "unknown": _("may cut the scope"), "unlikely": ""}
    lines = [
        Message(
            _("{count:.1f} x {type} ({role}), {us:.1f} us"),
            count=item.per_scope,
            type=plain(item.op_type),
            role=item.role,
            us=item.us_per_scope,
        ).render(translate)
        + (f": {translate(marks[item.breaks])}" if marks.get(item.breaks) else "")
        for item in plan.operators[:_MOST_OPERATORS]
    ]
    left = len(plan.operators) - _MOST_OPERATORS
    if left > 0:
        lines.append(Message(_("{count} more operator types"), count=left).render(translate))
    return ["## " + translate(_("In one scope of this capture")), "", *(f"- {line}" for line in lines), ""]


def _snippet_lines(snippet: Snippet, translate: Translate) -> list[str]:
    title = snippet.title.render(translate)
    return [f"## {title}", "", f"```{snippet.language}", snippet.code.rstrip("\n"), "```", ""]


def _risk_lines(plan: Plan, translate: Translate) -> list[str]:
    if not plan.risks:
        return []
    lines = ["## " + translate(_("Risks with exactly these operators")), ""]
    for risk in plan.risks:
        remedy = f" {risk.remedy.render(translate)}" if risk.remedy else ""
        source = f" ({plain(translate(risk.source), 500)})" if risk.source else ""
        lines.append(f"- {plain(risk.what)}: {plain(risk.message.render(translate), 500)}.{remedy}{source}")
    return [*lines, ""]
