"""A plan as Markdown that also reads well in a terminal."""

from __future__ import annotations

from collections.abc import Callable

from skadvisor.plan.records import Expected, Plan, Snippet
from skadvisor.text.messages import Message, _
from skadvisor.text.plain_text import plain

Translate = Callable[[str], str]


def render_plan(plan: Plan, translate: Translate = str) -> str:
    """The whole plan; sections without content are left out."""

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
    for snippet in (*plan.code, *plan.config):
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
    lines += ["", "## " + say(_("Next")), ""]
    steps = [say(_("prove it: skadvisor verify, then skadvisor compare BEFORE AFTER"))]
    if plan.wider:
        steps.append(say(_("if it works: {name}"), name=plan.wider))
    if plan.narrower:
        steps.append(say(_("if it does not: {name}"), name=plan.narrower))
    elif plan.template == "attention-only":
        steps.append(say(_("if it does not: take operators out of the scope one by one, from its ends")))
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
                _("**Claimed by the published table**: {low:.0f} to {high:.0f} %"),
                low=expected.claim.low_pct,
                high=expected.claim.high_pct,
            )
        )
    return [item for line in lines for item in (line, "")]


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
