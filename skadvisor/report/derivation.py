"""The last section of a report: inputs, versions, how far the labels can be trusted, what was assumed."""

from __future__ import annotations

from skadvisor.records import CaptureRecord, Result
from skadvisor.report.cells import Grid
from skadvisor.report.document import Cell, Item, Section, Table
from skadvisor.report.summary import subject_template
from skadvisor.report.wording import LONGEST_VALUE, STATUS_NAMES, TERM_NAMES, Wording, clip, minus
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
    unknown = wording.say(_("unknown"))
    grid = Grid(result.captures, wording)
    grid.cells(_("Capture"), lambda one: _clipped(one.path))
    grid.cells(_("Producer"), lambda one: _clipped(one.producer), priority=1)
    grid.cells(
        _("Rank"), lambda one: Cell(unknown if one.rank is None else str(one.rank), one.rank), numeric=True, priority=2
    )
    grid.cells(_("Level"), lambda one: _clipped(one.level), priority=1)
    grid.cells(_("State"), lambda one: _clipped(one.state))
    grid.numbers(_("Kernels"), lambda one: one.kernels, _("count"), 0)
    grid.numbers(_("Span"), lambda one: one.span_us, "µs")
    grid.cells(_("Skipped"), lambda one: Cell(_skipped(one, wording)), priority=2)
    grid.cells(_("Files"), lambda one: Cell(clip(_files(one, wording), LONGEST_VALUE)), priority=3)
    return grid.table("captures", wording.say(_("Inputs")))


def _clipped(said: str) -> Cell:
    """A cell that sorts by all of its text."""
    return Cell(clip(said), said)


def _skipped(capture: CaptureRecord, wording: Wording) -> str:
    counts = ", ".join(f"{wording.say(reason)}: {count}" for reason, count in capture.skipped.items())
    return clip(counts) or wording.say(_("nothing"))


def _files(capture: CaptureRecord, wording: Wording) -> str:
    files = ", ".join(capture.files[:MOST_FILES])
    more = len(capture.files) - MOST_FILES
    return files + wording.say(_(" and {count} more"), count=more) if more > 0 else files


def _labels(result: Result, wording: Wording) -> Table:
    labels = result.labels
    shares = (
        (_("unattributed: we do not know what it works for"), labels.unattributed_share),
        (_("labelled with low confidence"), labels.low_confidence_share),
        (_("labelled by the learned model"), labels.learned_share),
        (_("confirmed by evidence from the host"), labels.host_checked_share),
    )
    grid = Grid(shares, wording)
    grid.words(_("Device time"), lambda row: wording.say(row[0]))
    grid.cells(
        _("Share of the steps' kernels"), lambda row: Cell(minus(f"{100 * row[1]:.1f}"), row[1]), "%", numeric=True
    )
    return grid.table("labels", wording.say(_("How far the labels can be trusted")))


def _caveats(result: Result, wording: Wording) -> list[Item]:
    warn = wording.name(STATUS_NAMES, "warn")
    items = [Item(wording.sentence(notice.message), "warn", warn) for notice in result.warnings]
    template = subject_template(result)
    for name, term in (template.terms if template else {}).items():
        if term.basis == "assumed":
            sentence = wording.say(
                _("{term} is assumed, not measured in this capture"), term=wording.name(TERM_NAMES, name)
            )
            items.append(Item(sentence, "unknown", wording.say(_("assumption")), source=wording.source(term.source)))
    for message in result.recommendation.robustness:
        items.append(Item(wording.sentence(message), "pass", wording.say(_("robustness"))))
    return items
