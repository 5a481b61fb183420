"""The last section of a report: inputs, versions, how far the labels can be trusted, what was assumed."""

from __future__ import annotations

from skadvisor.records import Result
from skadvisor.report.cells import number
from skadvisor.report.document import Cell, Column, Item, Section, Table
from skadvisor.report.sources import source_text
from skadvisor.report.subject import subject_template
from skadvisor.report.wording import STATUS_NAMES, TERM_NAMES, Wording, clip, minus
from skadvisor.text.messages import _

MOST_FILES = 8


def derivation_section(result: Result, wording: Wording) -> Section:
    """What the answer rests on."""
    return Section(
        "derivation",
        wording.say(_("How this was derived")),
        wording.say(
            _("Made by {tool} {version}, result format {schema}, from the files below and nothing else."),
            tool=result.tool.name,
            version=result.tool.version,
            schema=result.schema_version,
        ),
        (_captures(result, wording), _labels(result, wording)),
        tuple(_caveats(result, wording)),
    )


def _captures(result: Result, wording: Wording) -> Table:
    rows = []
    for capture in result.captures:
        files = ", ".join(capture.files[:MOST_FILES])
        if len(capture.files) > MOST_FILES:
            files += wording.say(_(" and {count} more"), count=len(capture.files) - MOST_FILES)
        skipped = ", ".join(f"{wording.say(reason)}: {count}" for reason, count in capture.skipped.items())
        rank = wording.say(_("unknown")) if capture.rank is None else str(capture.rank)
        rows.append(
            (
                Cell(clip(capture.path), capture.path),
                Cell(clip(capture.producer), capture.producer),
                Cell(rank, capture.rank),
                Cell(clip(capture.level), capture.level),
                Cell(clip(capture.state), capture.state),
                Cell(f"{capture.kernels:,}", capture.kernels),
                number(capture.span_us, wording),
                Cell(clip(skipped) or wording.say(_("nothing"))),
                Cell(clip(files, 300)),
            )
        )
    columns = (
        Column(wording.say(_("Capture"))),
        Column(wording.say(_("Producer")), priority=1),
        Column(wording.say(_("Rank")), "", True, 2),
        Column(wording.say(_("Level")), priority=1),
        Column(wording.say(_("State"))),
        Column(wording.say(_("Kernels")), wording.say(_("count")), True),
        Column(wording.say(_("Span")), "µs", True),
        Column(wording.say(_("Skipped")), priority=2),
        Column(wording.say(_("Files")), priority=3),
    )
    return Table("captures", wording.say(_("Inputs")), columns, tuple(rows))


def _labels(result: Result, wording: Wording) -> Table:
    labels = result.labels
    shares = (
        (_("unattributed: we do not know what it works for"), labels.unattributed_share),
        (_("labelled with low confidence"), labels.low_confidence_share),
        (_("labelled by the learned model"), labels.learned_share),
        (_("confirmed by evidence from the host"), labels.host_checked_share),
    )
    rows = tuple(
        (Cell(wording.say(name), wording.say(name)), Cell(minus(f"{100 * share:.1f}"), share)) for name, share in shares
    )
    columns = (
        Column(wording.say(_("Device time"))),
        Column(wording.say(_("Share of the steps' kernels")), "%", True),
    )
    return Table("labels", wording.say(_("How far the labels can be trusted")), columns, rows)


def _caveats(result: Result, wording: Wording) -> list[Item]:
    warn = wording.name(STATUS_NAMES, "warn")
    items = [Item(wording.sentence(notice.message), "warn", warn) for notice in result.warnings]
    template = subject_template(result)
    for name, term in (template.terms if template else {}).items():
        if term.basis == "assumed":
            sentence = wording.say(
                _("{term} is assumed, not measured in this capture"), term=wording.name(TERM_NAMES, name)
            )
            items.append(
                Item(sentence, "unknown", wording.say(_("assumption")), source=source_text(term.source, wording))
            )
    for message in result.recommendation.robustness:
        items.append(Item(wording.sentence(message), "pass", wording.say(_("robustness"))))
    return items
