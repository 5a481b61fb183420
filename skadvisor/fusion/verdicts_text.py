"""What fuses, put into words: the document of the verdicts, and the lines of them for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skadvisor.fusion.learning import rules_for
from skadvisor.fusion.verdicts import ANY, Verdict
from skadvisor.report.cells import Grid, number
from skadvisor.report.document import Cell, Code, Document, Section, Summary
from skadvisor.report.wording import LIKELIHOOD_NAMES, LONGEST_SENTENCE, Wording
from skadvisor.text.messages import Message, _


def describe_verdicts(verdicts: Sequence[Verdict], how: Message | None, language: str = "en") -> Document:
    """The document of verdicts on operator types; `how` says how a capture's chip is known."""
    wording = Wording(language)
    counts = {
        kind: len({one.op_type for one in verdicts if one.fuses == kind}) for kind in ("likely", "unlikely", "unknown")
    }
    headline = wording.say(
        _("Operator types that fuse: {likely}, that do not: {unlikely}, unknown: {unknown}."), **counts
    )
    # One row for the verdicts of an operator on several chips: what they share is that of the first.
    grid = Grid([(rows[0], rows) for rows in _joined(verdicts)], wording)
    grid.cells(_("Kernels"), lambda row: _kernels(row[0], wording), numeric=True, priority=1)
    grid.words(_("Operator"), lambda row: row[0].op_type)
    grid.words(_("Chip"), lambda row: _chips(row[1]))
    grid.words(_("Graph"), lambda row: _open(row[0].mode))
    grid.words("CANN", lambda row: _open(row[0].cann))
    grid.words(_("Fuses"), lambda row: wording.name(LIKELIHOOD_NAMES, row[0].fuses))
    grid.words(_("Reason"), lambda row: row[0].reason_word, 1)
    grid.words(_("Remedy"), lambda row: row[0].remedy.render(wording.translate), 2, LONGEST_SENTENCE)
    grid.words(_("Source"), lambda row: _sources(row[1], wording), 3, LONGEST_SENTENCE)
    title = wording.say(_("What fuses"))
    sections = [Section("verdicts", title, tables=(grid.table("verdicts", title),))]
    if lines := lines_to_fill(verdicts):
        told = wording.say(_("Operators without a rule; once you know, paste into a file for --rules:"))
        sections.append(Section("without_rule", told, codes=(Code("", "toml", lines),)))
    facts = ((wording.say(_("Hardware")), wording.full_sentence(how)),) if how else ()
    return Document(title, language, Summary(headline, facts=facts), tuple(sections))


def verdict_lines(verdicts: Sequence[Verdict], how: Message | None, translate: Callable[[str], str]) -> str:
    """The verdicts as a terminal shows them: a line each, with its sources and the remedy below."""
    lines = [] if how is None else [how.render(translate), ""]
    for rows in _joined(verdicts):
        first = rows[0]
        count = "" if first.kernels is None else f"{first.kernels:>7} x "
        where = ", ".join(part for part in (_chips(rows), _open(first.mode), _cann(first)) if part)
        lines += [f"{count}{first.op_type:<28} {where:<22} {first.fuses:<9} {first.reason_word}".rstrip()]
        lines += [f"    {translate(source)}" for source in dict.fromkeys(row.source for row in rows)]
        if str(first.remedy):
            lines.append(f"    -> {first.remedy.render(translate)}")
    if to_fill := lines_to_fill(verdicts):
        lines += ["", translate(_("Operators without a rule; once you know, paste into a file for --rules:")), ""]
        lines.append(to_fill)
    return "\n".join(lines).rstrip() + "\n"


def lines_to_fill(verdicts: Sequence[Verdict]) -> str:
    """The rules to fill in for a capture's operators without one; empty where there are none, or no capture."""
    unruled = {one.op_type: one.kernels for one in verdicts if one.without_rule and one.kernels is not None}
    return rules_for(unruled.items())


def _kernels(verdict: Verdict, wording: Wording) -> Cell:
    return Cell("") if verdict.kernels is None else number(float(verdict.kernels), wording, 0)


def _sources(rows: Sequence[Verdict], wording: Wording) -> str:
    return "; ".join(dict.fromkeys(wording.translate(row.source) for row in rows))


def _joined(verdicts: Sequence[Verdict]) -> list[list[Verdict]]:
    """Rows that say the same of different chips, joined; in order."""
    found: dict[Any, list[Verdict]] = {}
    for verdict in verdicts:
        key = (verdict.op_type, verdict.mode, verdict.cann, verdict.fuses, verdict.reason_word, str(verdict.remedy))
        found.setdefault((*key, verdict.kernels), []).append(verdict)
    return list(found.values())


def _chips(rows: Sequence[Verdict]) -> str:
    return ", ".join(dict.fromkeys(row.hardware for row in rows if row.hardware != ANY))


def _open(value: str) -> str:
    return "" if value == ANY else value


def _cann(verdict: Verdict) -> str:
    return f"CANN {verdict.cann}" if verdict.cann != ANY else ""
