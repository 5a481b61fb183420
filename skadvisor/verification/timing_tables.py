"""Rows of the tables that benchmarks print, said as lines: `median TPOT (ms): 10.7`.

Sources: AISBench (a row per metric, a column per statistic and one for the stage), evalscope (a row per metric with
its value; percentiles as rows or as columns), and results in Markdown. A column is known by its heading alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skadvisor.records import NOISE_PCT

_BORDER = re.compile(r"[|│┃]")
#: Statistics that stand for a run; the ends of a distribution do not. A bare value is what its row calls it.
_STATISTICS = {
    "median": re.compile(r"(?i)median|p50|50%"),
    "mean": re.compile(r"(?i)mean|average|avg\.?"),
    "": re.compile(r"(?i)values?"),
}
_METRICS = {
    name: re.compile(rf"(?i)(?:(?P<statistic>\S+)\s+)?(?:{words})\s*(?:\((?P<unit>[^)]*)\))?")
    for name, words in (
        ("TPOT", "tpot|time per output token"),
        ("ITL", "itl|inter[- ]token latency"),
        ("output throughput", "output (?:token )?throughput"),
    )
}
_FIGURE = re.compile(r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>[a-zA-Z/]*)")
_MS = {"ms": 1.0, "us": 1e-3, "s": 1e3}


class Table:
    """The table that is being read: the headings of its columns."""

    def __init__(self) -> None:
        self._headings: list[str] = []

    def read(self, line: str) -> list[tuple[str, str]]:
        """The figures of a row as lines, each with the other words of its row, such as the stage; of no row, none."""
        if not _BORDER.search(line):
            return []
        cells = [cell.strip() for cell in _BORDER.split(line.strip().strip("|│┃"))]
        named = any(_metric(cell) for cell in cells[1:]) and not any(map(_FIGURE.fullmatch, cells))
        if named or any(_statistic(cell) is not None for cell in cells[1:]):
            self._headings = cells
            return []
        return list(self._figures(cells)) if len(cells) == len(self._headings) else []

    def _figures(self, cells: list[str]) -> Iterator[tuple[str, str]]:
        of_row = _statistic(cells[0])
        for place, (heading, cell) in enumerate(zip(self._headings, cells, strict=True)):
            figure, statistic = _FIGURE.fullmatch(cell), _statistic(heading)
            names = cells[:place] if of_row is None else [heading]
            metric = next((found for name in names if (found := _metric(name))), None)
            if figure and metric and (statistic is not None or of_row is not None):
                others = () if of_row is not None else cells[:place]
                words = " ".join(cell for cell in others if cell != metric[1].string and not _FIGURE.fullmatch(cell))
                if text := _said(of_row or statistic or "", *metric, figure):
                    yield words, text


def _said(statistic: str, name: str, metric: re.Match[str], figure: re.Match[str]) -> str:
    own = metric["statistic"] or ""
    if own and (statistic or _statistic(own) is None):
        return ""  # such as the peak throughput, or the mean of a column of medians
    unit = figure["unit"] or metric["unit"] or ""
    value = float(figure["value"])
    # Seconds to four decimals are too coarse for a short step: two figures so rounded can differ by a gain.
    if 50 * 10.0 ** -len(figure["value"].partition(".")[2]) > value * NOISE_PCT / 2:
        return ""
    if unit.lower() in _MS:
        value, unit = value * _MS[unit.lower()], "ms"
    return f"{_statistic(own) if own else statistic} {name} ({unit}): {value:.9g}".lstrip()


def _statistic(cell: str) -> str | None:
    return next((name for name, pattern in _STATISTICS.items() if pattern.fullmatch(cell)), None)


def _metric(cell: str) -> tuple[str, re.Match[str]] | None:
    found = ((name, pattern.fullmatch(cell)) for name, pattern in _METRICS.items())
    return next(((name, match) for name, match in found if match), None)
