"""Why kernels got their label, put into words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skadvisor.labelling.rules import RULES
from skadvisor.report.cells import Grid
from skadvisor.report.document import Document, Section, Summary
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
    grid = Grid(rows, wording)
    grid.words(_("Operator"), lambda row: str(row["op_type"] if isinstance(row["op_type"], str) else row["name"]))
    grid.regions(_("Region"), lambda row: row["region"])
    grid.words(_("Role"), lambda row: wording.role(row["role"]))
    grid.numbers(_("Confidence"), lambda row: row["confidence"], "", 2)
    grid.numbers(_("Kernels"), lambda row: row["kernels"], "", 0, 1)
    grid.numbers(_("Layers"), lambda row: row["layers"], "", 0, 1)
    grid.words(_("Evidence"), lambda row: _evidence(row["evidence"], wording), longest=LONGEST_VALUE)
    grid.words(_("Runner-up"), lambda row: _label(row["runner_up"], wording) if row["runner_up"] else None)
    grid.numbers(
        _("Its probability"), lambda row: row["runner_up_probability"] if row["runner_up"] else None, "", 3, 1, ""
    )
    grid.words(_("Input shapes"), lambda row: row["input_shapes"], 2)
    title = wording.say(_("Why these labels"))
    note = wording.say(_("Weights are natural-log odds between the label and the runner-up: +2.3 is ten to one."))
    table = grid.table("labels", title, note)
    return explain_words(
        Document(title, language, Summary(headline), (Section("labels", title, tables=(table,)),)), wording
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
