"""A plan put into words: its document, the sections that other reports take over, and the user's own files changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from skadvisor.plan.patch import Declined, Patch
from skadvisor.plan.records import Plan, Snippet
from skadvisor.report.cells import Grid
from skadvisor.report.document import Code, Document, Item, Points, Section, Summary
from skadvisor.report.glossary import explain_words
from skadvisor.report.wording import (
    BASIS_NAMES,
    CHECK_NAMES,
    LIKELIHOOD_NAMES,
    LONGEST_VALUE,
    STATUS_NAMES,
    Wording,
    clip,
)
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.plan.recipe_config import ConfigReview

#: Operator types of a scope that a terminal shows.
MOST_OPERATORS = 8


def describe_plan(plan: Plan, language: str = "en", changes: Sequence[Section] = ()) -> Document:
    """The document of a plan; `changes` are the sections about the user's own files, which come first.

    Where they show the user's class with its scope, the skeleton of the class is left out.
    """
    wording = Wording(language)
    name = wording.template(plan.template, plan.variant)
    changed = any(code.language == "diff" for section in changes if section.name == "model" for code in section.codes)
    shown = replace(plan, code=plan.code[1:]) if changed else plan
    summary = Summary(
        wording.say(_("Plan: {name} ({dialect})"), name=name, dialect=plan.dialect),
        "",
        _facts(plan, wording),
        tuple(points for points in (_notes(plan, wording), _next(plan, wording)) if points.lines),
    )
    sections = (*changes, *plan_sections(shown, language), *_profile(plan, wording))
    return explain_words(Document(summary.headline, language, summary, sections), wording)


def plan_sections(plan: Plan, language: str = "en") -> tuple[Section, ...]:
    """What to type, the options with their reasons, the risks, what the compile log shows, and remedies."""
    wording = Wording(language)
    made = (
        _code(plan, wording),
        _operators(plan, wording),
        _options(plan, wording),
        _risks(plan, wording),
        _log_checks(plan, wording),
        _remedies(plan, wording),
        Section("proof", wording.sentence(plan.proof.title), codes=(_copied(plan.proof, "", wording),)),
    )
    return tuple(section for section in made if section is not None)


def _facts(plan: Plan, wording: Wording) -> tuple[tuple[str, str], ...]:
    expected = plan.expected
    if expected is None:
        return ()
    scope = wording.say(
        _("{share} of the decode step ({time})"),
        share=wording.share(expected.share),
        time=wording.us(expected.in_scope_us),
    )
    facts = [(wording.say(_("Time in scope")), scope)]
    if expected.estimate is not None:
        found = expected.estimate
        gain = wording.say(
            _("{mid} of the decode step ({interval}), {time}"),
            mid=wording.percent(found.mid_pct),
            interval=wording.interval(found.low_pct, found.high_pct),
            time=wording.us(found.mid_us),
        )
        facts.append((wording.say(_("Expected gain")), gain))
    if expected.claim is not None:
        claimed = wording.say(
            _("{row}; by the share here {interval}"),
            row=f"{expected.claim.row_low_pct:.0f}-{expected.claim.row_high_pct:.0f} % ({expected.claim.row})",
            interval=wording.interval(expected.claim.low_pct, expected.claim.high_pct),
        )
        facts.append((wording.say(_("The published table's row")), claimed))
    return tuple(facts)


def _notes(plan: Plan, wording: Wording) -> Points:
    return Points(wording.say(_("To know first")), tuple(wording.full_sentence(note) for note in plan.notes))


def _next(plan: Plan, wording: Wording) -> Points:
    steps: list[str] = []
    if plan.wider and plan.template != "per-block":  # whose next step says it
        steps.append(wording.say(_("if it works: {name}"), name=wording.template(plan.wider)))
    if plan.narrower:
        steps.append(wording.say(_("if it does not: {name}"), name=wording.template(plan.narrower)))
    elif plan.template == "attention-only" and plan.dialect != "vllm-ascend":
        steps.append(wording.say(_("if it does not: take operators out of the scope one by one, from its ends")))
    steps.append(wording.say(_("after that: {step}"), step=wording.sentence(plan.profile.next_step)))
    return Points(wording.say(_("What to do next")), tuple(steps))


def _copied(snippet: Snippet, title: str, wording: Wording) -> Code:
    return Code(title, snippet.language, wording.comments(snippet.code.strip("\n")))


def _operators(plan: Plan, wording: Wording) -> Section | None:
    """What stands in one scope of this capture."""
    grid = Grid(plan.operators, wording)
    grid.words(_("Operator"), lambda item: item.op_type)
    grid.words(_("Role"), lambda item: wording.role(item.role), 1)
    grid.numbers(_("Kernels per scope"), lambda item: item.per_scope)
    grid.numbers(_("Time per scope"), lambda item: item.us_per_scope, "µs")
    grid.words(_("Breaks"), lambda item: wording.name(LIKELIHOOD_NAMES, item.breaks) if item.breaks else None)
    title = wording.say(_("In one scope of this capture"))
    table = grid.table("scope_operators", title)
    return Section("scope", title, tables=(replace(table, brief=table.rows[:MOST_OPERATORS]),)) if table.rows else None


def _profile(plan: Plan, wording: Wording) -> tuple[Section, ...]:
    """What is said of the template, with its sources."""
    profile = plan.profile
    said = (
        (_("Suits"), profile.suits),
        (_("Strengths"), profile.strengths),
        (_("Weaknesses"), profile.weaknesses),
        (_("Risk"), profile.risk),
        (_("Effort"), profile.effort),
    )
    items = [Item(wording.sentence(message), label=wording.say(name)) for name, message in said]
    items += [Item(clip(source, LONGEST_VALUE), label=wording.say(_("Source"))) for source in profile.sources]
    return (Section("template", wording.say(_("This template")), items=tuple(items)),)


def _code(plan: Plan, wording: Wording) -> Section:
    codes = tuple(_copied(snippet, wording.sentence(snippet.title), wording) for snippet in (*plan.code, *plan.config))
    return Section("plan", wording.say(_("What to type")), wording.full_sentence(plan.where), codes=codes)


def _options(plan: Plan, wording: Wording) -> Section | None:
    not_set = wording.say(_("not set"))
    grid = Grid(plan.weighed, wording)
    grid.words(_("Option"), lambda option: option.key)
    grid.words(_("Value"), lambda option: not_set if option.value is None else option.value)
    grid.words(_("Reason"), lambda option: wording.sentence(option.reason), 0, LONGEST_VALUE)
    grid.words(_("Basis"), lambda option: wording.name(BASIS_NAMES, option.basis), 1)
    return grid.section("options", wording.say(_("Options")))


def _risks(plan: Plan, wording: Wording) -> Section | None:
    items = tuple(
        Item(
            wording.sentence(risk.message),
            "warn",
            clip(wording.name(CHECK_NAMES, risk.what) if risk.what in CHECK_NAMES else risk.what),
            wording.sentence(risk.remedy),
            wording.source(risk.source),
        )
        for risk in plan.risks
    )
    return Section("risks", wording.say(_("Risks with exactly these operators")), items=items) if items else None


def _log_checks(plan: Plan, wording: Wording) -> Section | None:
    good, look = (wording.say(_("good")), "pass"), (wording.name(STATUS_NAMES, "warn"), "warn")
    items = tuple(
        Item(f"`{check.text}`: {wording.sentence(check.meaning)}", status, label)
        for check in plan.log_checks
        for label, status in [good if check.good else look]
    )
    return Section("log", wording.say(_("In the compile log")), items=items) if items else None


def _remedies(plan: Plan, wording: Wording) -> Section | None:
    grid = Grid(plan.remedies, wording)
    grid.words(_("Symptom"), lambda remedy: wording.sentence(remedy.symptom), 0, LONGEST_VALUE)
    grid.words(_("Option to try"), lambda remedy: remedy.option or None)
    grid.words(_("Next step"), lambda remedy: wording.sentence(remedy.next_step), 0, LONGEST_VALUE)
    return grid.section("failures", wording.say(_("If it fails")))


def change_sections(
    patch: Patch | Declined | None, reviewed: ConfigReview | None, language: str = "en"
) -> tuple[Section, ...]:
    """One section for each file that was looked at."""
    wording = Wording(language)
    made = (_model_change(patch, wording) if patch else None, _config_change(reviewed, wording) if reviewed else None)
    return tuple(section for section in made if section is not None)


def _model_change(answer: Patch | Declined, wording: Wording) -> Section:
    name = clip(answer.path.name)
    if isinstance(answer, Patch):
        items = tuple(Item(wording.sentence(message)) for message in (*answer.places, *answer.notes))
        return Section("model", name, items=items, codes=(Code("", "diff", answer.diff.rstrip("\n")),))
    stays = wording.full_sentence(Message(_STAYS, reason=answer.reason))
    items = (Item(stays, "warn"), *(Item(wording.sentence(message)) for message in answer.seen))
    by_hand = Code(wording.say(_("To place by hand:")), "python", answer.by_hand.rstrip("\n"))
    return Section("model", name, items=items, codes=(by_hand,) if answer.by_hand else ())


def _config_change(reviewed: ConfigReview, wording: Wording) -> Section:
    items = tuple(
        Item(f"`{finding.key}`: {wording.sentence(finding.message)}", status, wording.name(STATUS_NAMES, status))
        for finding in reviewed.findings
        for status in [finding.status]
    )
    name, lead = clip(reviewed.path.name), ""
    codes: tuple[Code, ...] = ()
    if reviewed.declined is not None:
        stays = wording.full_sentence(Message(_STAYS, reason=reviewed.declined))
        items = (Item(stays, "warn"), *items)
    elif reviewed.diff:
        codes = (Code("", "diff", reviewed.diff.rstrip("\n")),)
    else:
        lead = wording.say(_("Nothing has to change."))
    return Section("configuration", name, lead, items=items, codes=codes)


_STAYS = _("The file stays as it is: {reason}")
