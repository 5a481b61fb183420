"""Abbreviations and the report's own words: what they mean, and where each is first explained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from skadvisor.report.document import Document, Table
from skadvisor.report.wording import Wording
from skadvisor.text.messages import _

#: Abbreviation -> what it stands for. Matched as a whole word, in this writing or all small.
ABBREVIATIONS = {
    "SK": _("SuperKernel, several compiled kernels joined into one device task"),
    "NPU": _("neural processing unit, the Ascend device"),
    "MoE": _("mixture of experts"),
    "MLP": _("multi-layer perceptron, the dense feed-forward part"),
    "MLA": _("multi-head latent attention"),
    "GQA": _("grouped-query attention"),
    "MTP": _("multi-token prediction layer"),
    "KV": _("keys and values"),
    "GE": _("Graph Engine, the compiler of static graphs"),
    "ACL": _("Ascend Computing Language"),
    "PMU": _("performance monitoring unit, counters of the device cores"),
    "AICPU": _("the device's own processor, slower than its cores"),
    "AIV": _("vector cores"),
    "AIC": _("cube cores"),
    "TBE": _("Tensor Boost Engine, an older way of writing kernels"),
    "HCCL": _("Huawei collective communication library"),
    "MC2": _("kernels that merge computing with communication"),
    "P10": _("one in ten outcomes is expected below"),
    "P50": _("half of the outcomes are expected below"),
    "P90": _("nine in ten outcomes are expected below"),
}

#: The report's own words.
WORDS = {
    _("scope"): _("the range of code that is marked for fusion"),
    _("fragment"): _("a run of kernels inside a scope that the compiler can join into one SuperKernel"),
    _("breaker"): _("a kernel inside a scope that cannot be joined and so ends a fragment"),
    _("claim"): _("the gain that the templates promise: the share of time in scope times 29 to 43 %"),
    _("ceiling"): _("the most that removing task boundaries can win in this capture"),
    _("estimate"): _("what we expect, from low (one in ten is worse) to high (one in ten is better)"),
    _("exposed"): _("time of a region after overlap is shared out; with the gaps it adds up to the step"),
    _("busy"): _("time in which at least one kernel of a region runs"),
    _("gap"): _("time in which nothing runs"),
    _("task boundary"): _("where one kernel of a scope follows another on its stream; a fragment removes it"),
    _("chance"): _("how likely the decode step gets shorter by more than what can be told from noise"),
    _("representative step"): _("the steady step of a phase whose time is nearest the median"),
    _("CV"): _("coefficient of variation: standard deviation as a percentage of the mean"),
    _("steady step"): _("a step that is neither warm-up, nor outlier, nor cut off"),
}


class Glossary:
    """Explains each abbreviation once; ask in reading order."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording
        self._explained: set[str] = set()

    def write_out(self, text: str) -> str:
        """A sentence in which abbreviations that nobody has explained yet are followed by their meaning."""
        for short, meaning in ABBREVIATIONS.items():
            if short in self._explained:
                continue
            # What stands between backticks is to be searched for as it is.
            found = re.search(rf"(?<![A-Za-z0-9_./`-]){short}(?![A-Za-z0-9_/-]|[.][A-Za-z0-9]|[^`]*`:)", text)
            if found:
                self._explained.add(short)
                if not re.match(r"\s*[(（]", text[found.end() :]):
                    text = f"{text[: found.end()]}{self._bracket(meaning)}{text[found.end() :]}"
        return text

    def legend(self, texts: Iterable[str]) -> str:
        """Meanings of the abbreviations in these texts that nobody has explained yet, as one line."""
        known = {short.lower(): short for short in ABBREVIATIONS}
        found: list[str] = []
        for text in texts:
            for word in re.findall(r"(?<![A-Za-z0-9_./])[A-Za-zµ]+[0-9]*(?![A-Za-z0-9_./])", text):
                short = known.get(word.lower())
                if short and short not in self._explained and word in (short, short.lower()):
                    self._explained.add(short)
                    found.append(short)
        separator = self._wording.say(_("; "))
        return separator.join(f"{short} = {self._wording.say(ABBREVIATIONS[short])}" for short in found)

    def words(self) -> tuple[tuple[str, str], ...]:
        """The report's own words with their meaning."""
        return tuple((self._wording.say(word), self._wording.say(meaning)) for word, meaning in WORDS.items())

    def _bracket(self, meaning: str) -> str:
        return self._wording.say(_(" ({meaning})"), meaning=self._wording.say(meaning))


def explain_words(document: Document, wording: Wording) -> Document:
    """The document with each abbreviation written out at its first use, in reading order, and the words at its end."""
    glossary = Glossary(wording)
    first = document.summary
    shown = [first.headline, first.reason, *(line for points in first.lists for line in points.lines)]
    shown += [text for fact in first.facts for text in fact]
    sections = []
    reading = glossary.legend(shown)
    for section in document.sections:
        lead = glossary.write_out(section.lead)
        items = tuple(
            replace(item, text=glossary.write_out(item.text), remedy=glossary.write_out(item.remedy))
            for item in section.items
        )
        tables = tuple(_with_legend(table, glossary) for table in section.tables)
        sections.append(replace(section, lead=lead, items=items, tables=tables))
    return replace(document, summary=replace(first, reading=reading), sections=tuple(sections), words=glossary.words())


def _with_legend(table: Table, glossary: Glossary) -> Table:
    texts = [column.heading for column in table.columns]
    texts += [cell.text for row in table.rows for cell in row]
    legend = glossary.legend(texts)
    note = glossary.write_out(table.note)
    return replace(table, note=f"{note} {legend}".strip())
