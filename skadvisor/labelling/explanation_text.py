"""Why kernels got their label, put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skadvisor.labelling.rules import RULES
from skadvisor.report.cells import number, text
from skadvisor.report.document import Cell, Column, Document, Section, Summary, Table
from skadvisor.report.glossary import explain_words
from skadvisor.report.wording import LONGEST_VALUE, Wording, clip
from skadvisor.text.messages import _

#: What evidence is called, besides operators.
EVIDENCE = (
    _("place in the layer"),
    _("learned from other models"),
    _("host"),
    *(rule.name for rule in RULES),
)


def describe_explanation(rows: Sequence[Mapping[Any, Any]], pattern: str, language: str = "en") -> Document:
    """The document of an explanation; `rows` are those of `explanation.explain`."""
    wording = Wording(language)
    counts = {"kernels": sum(int(row["kernels"]) for row in rows), "pattern": clip(pattern)}
    headline = wording.say(_("Kernels that match {pattern}: {kernels}"), **counts)
    columns = (
        Column(wording.say(_("Operator"))),
        Column(wording.say(_("Region"))),
        Column(wording.say(_("Role"))),
        Column(wording.say(_("Confidence")), "", True),
        Column(wording.say(_("Kernels")), "", True, 1),
        Column(wording.say(_("Layers")), "", True, 1),
        Column(wording.say(_("Evidence"))),
        Column(wording.say(_("Runner-up"))),
        Column(wording.say(_("Its probability")), "", True, 1),
        Column(wording.say(_("Input shapes")), priority=2),
    )
    title = wording.say(_("Why these labels"))
    note = wording.say(_("Weights are natural-log odds between the label and the runner-up: +2.3 is ten to one."))
    table = Table("labels", title, columns, tuple(_row(row, wording) for row in rows), note)
    return explain_words(
        Document(title, language, Summary(headline), (Section("labels", title, tables=(table,)),)), wording
    )


def _row(row: Mapping[Any, Any], wording: Wording) -> tuple[Cell, ...]:
    kind = row["op_type"] if isinstance(row["op_type"], str) else row["name"]
    return (
        text(str(kind)),
        Cell(wording.region(row["region"]), wording.region(row["region"]), row["region"]),
        text(wording.role(row["role"])),
        number(row["confidence"], wording, 2),
        number(row["kernels"], wording, 0),
        number(row["layers"], wording, 0),
        text(_evidence(row["evidence"], wording), LONGEST_VALUE),
        text(_label(row["runner_up"], wording)) if row["runner_up"] else Cell(""),
        number(row["runner_up_probability"], wording, 3) if row["runner_up"] else Cell(""),
        text(row["input_shapes"]),
    )


def _evidence(said: str, wording: Wording) -> str:
    """The parts of the evidence with their weights."""
    parts = (part.rpartition(" ") for part in said.split("; "))
    return wording.say(_("; ")).join(f"{_name(name, wording)} {weight}".strip() for name, _blank, weight in parts)


def _name(name: str, wording: Wording) -> str:
    """A kind of evidence in words: a rule, or what the operator's name says."""
    operator = re.fullmatch(r"operator (.+) \((\w+)\)", name)
    if operator:
        return wording.say(_("operator {name} ({role})"), name=operator[1], role=wording.role(operator[2]))
    return wording.say(name) if name in EVIDENCE else name


def _label(label: str, wording: Wording) -> str:
    """A region and a role in words, once where both have one word."""
    region, role = label.split("/", 1)
    return wording.say(_(", ")).join(dict.fromkeys((wording.region(region), wording.role(role))))
