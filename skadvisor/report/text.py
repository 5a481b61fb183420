"""The terminal view: a verdict of about twelve lines, then the tables, in any width, coloured only when told."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING

from skadvisor.report.document import Document, Item, Section, Summary, Table
from skadvisor.report.wording import UNIT, Wording
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

NARROWEST = 40
#: The terminal view has at most so many lines at the standard width; sections beyond are left to what `-v` shows.
MOST_LINES = 45
STANDARD_WIDTH = 100
#: Columns of this priority and above hold sentences.
LONG_COLUMNS = 3
#: Stands for a blank where a line must not break.
KEPT = "\ue000"
#: A column of words is dropped rather than squeezed below this width.
WORDS_WIDTH = 18
SQUEEZED_WIDTH = 9
#: Up to here a column holds names, which are not wrapped unless all is squeezed.
NAME_WIDTH = 24
#: Cells between two columns.
SEPARATOR = 3
SIGNS = {"pass": "✓", "warn": "!", "block": "✗", "unknown": "?"}
STYLES = {"pass": "green", "warn": "yellow", "block": "red", "unknown": "dim"}


def render_text(document: Document, *, width: int = 100, colour: bool = False, detail: bool = False) -> str:
    """The report as plain text of at most `width` cells a line; escape codes only where `colour` is True.

    `detail` adds the sections and tables that files hold and the terminal view leaves out.
    """
    from rich.console import Console

    console = Console(
        file=StringIO(),
        width=max(width, NARROWEST),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    with console.capture() as capture:
        _print_summary(console, document.summary, detail)
    lines = capture.get().splitlines()
    whole = detail or not any(section.detail for section in document.sections)
    more = _lines(console, Wording(document.language).say(_("More: -v, or -o report.html")), "dim")
    room = MOST_LINES * STANDARD_WIDTH // min(console.width, STANDARD_WIDTH) - len(more) - 1
    for section in document.sections:
        if whole or not section.detail:
            with console.capture() as capture:
                _print_section(console, section, detail)
            printed = capture.get().splitlines()
            if whole or len(lines) + len(printed) <= room:
                lines += printed
    if not whole:
        lines += ["", *more]
    return "\n".join(line.rstrip().replace(KEPT, " ") for line in lines) + "\n"


def _lines(console: Console, text: str, style: str) -> list[str]:
    with console.capture() as capture:
        console.print(_styled(text, style))
    return capture.get().splitlines()


def _styled(text: str, style: str = "") -> Text:
    """Text in which no line breaks between a number and its unit."""
    from rich.text import Text

    return Text(UNIT.sub(KEPT, text), style=style)


def _print_summary(console: Console, summary: Summary, detail: bool) -> None:
    console.print(_styled(summary.headline, style="bold"))
    if summary.reason:
        console.print(_styled(summary.reason))
    if summary.facts:
        facts = [(_styled(label, "dim"), _styled(value)) for label, value in summary.facts]
        _print_beside(console, facts, 2, whole=console.width >= 60)
    for points in summary.lists:
        console.print(_styled(points.title, style="bold"))
        for place, line in enumerate(points.lines if detail else points.lines[: points.brief], start=1):
            _print_hanging(console, f"{place}.", line)
    if summary.reading and detail:
        console.print(_styled(summary.reading, style="dim"))


def _print_beside(console: Console, rows: Iterable[tuple[Text, Text]], gap: int, *, whole: bool = True) -> None:
    """Two columns, of which the second may wrap, and the first unless it is to stay `whole`."""
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, gap, 0, 0))
    grid.add_column(no_wrap=whole)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def _print_hanging(console: Console, mark: str, line: str, style: str = "") -> None:
    _print_beside(console, [(_styled(f"  {mark}", style), _styled(line))], 1)


def _print_section(console: Console, section: Section, detail: bool) -> None:
    tables = [table for table in section.tables if detail or not table.detail]
    if not tables and not section.items and not section.codes:
        return
    console.print()
    console.print(_styled(section.title, style="bold underline"))
    if section.lead and detail:
        console.print(_styled(section.lead))
    for table in tables:
        if detail and section.shows_title(table):
            console.print()
            console.print(_styled(table.title, style="italic"))
        _print_table(console, table if detail else _brief(table))
    for code in section.codes:
        console.print()
        if code.title:
            console.print(_styled(code.title, style="italic"))
        # Lines to copy are never broken; a terminal wraps them itself.
        console.print(_styled(code.text), soft_wrap=True)
    for item in section.items:
        mark = SIGNS.get(item.status or "", "-")
        _print_hanging(console, mark, item_line(item), STYLES.get(item.status or "", ""))


def _brief(table: Table) -> Table:
    """The rows of the terminal view without the columns of long sentences."""
    kept = [place for place, column in enumerate(table.columns) if column.priority < LONG_COLUMNS]
    rows = tuple(tuple(row[place] for place in kept) for row in table.brief or table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows, note="")


def item_line(item: Item) -> str:
    """A list point as one line: its kind, what it says, what to do about it, and the source."""
    line = f"{item.label}: {item.text}" if item.label else item.text
    if item.remedy:
        line = f"{line} → {item.remedy}"
    return f"{line} [{item.source}]" if item.source else line


def _print_table(console: Console, table: Table) -> None:
    from rich import box
    from rich.table import Table as Grid

    kept = _shared_out(table, _fitting(table, console.width), console.width)
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for place, width in kept.items():
        column = table.columns[place]
        grid.add_column(
            _styled(column.heading), justify="right" if column.numeric else "left", overflow="fold", width=width
        )
    for row in table.rows:
        grid.add_row(*(_styled(row[place].text) for place in kept))
    console.print(grid)
    if table.note:
        console.print(_styled(table.note, style="dim"))


def _fitting(table: Table, width: int) -> dict[int, int]:
    """The columns that fit, with their least width: the least important go first, the most important may wrap."""
    least = _least_widths(table, WORDS_WIDTH)
    while not _fits(least, width):
        droppable = [place for place in least if table.columns[place].priority > 0]
        if not droppable:
            squeezed = {place: _least_widths(table, SQUEEZED_WIDTH)[place] for place in least}
            # Where even that is too wide, everything may wrap.
            return squeezed if _fits(squeezed, width) else dict.fromkeys(least, 1)
        del least[max(droppable, key=lambda place: (table.columns[place].priority, place))]
    return least


def _shared_out(table: Table, least: dict[int, int], width: int) -> dict[int, int]:
    """The width of each column: the narrowest wish first, each gets what it still wishes of an even share of the rest.

    rich shrinks the widest columns without regard to their least width, so the widths are settled here.
    """
    from rich.cells import cell_len

    wishes = {
        place: max(cell_len(table.columns[place].heading), *(cell_len(row[place].text) for row in table.rows), 1)
        for place in least
    }
    room = max(0, width - sum(least.values()) - SEPARATOR * (len(least) - 1))
    widths = dict(least)
    waiting = sorted(least, key=lambda place: wishes[place] - least[place])
    for number, place in enumerate(waiting):
        more = min(max(0, wishes[place] - least[place]), room // (len(waiting) - number))
        widths[place] += more
        room -= more
    return widths


def _least_widths(table: Table, words: int) -> dict[int, int]:
    """The least width of each column: cells of words may wrap from `words` on, numbers may not."""
    from rich.cells import cell_len

    least = {}
    for place, column in enumerate(table.columns):
        longest = max((cell_len(row[place].text) for row in table.rows), default=0)
        heading = max((cell_len(word) for word in column.heading.split()), default=0)
        whole = column.numeric or (words == WORDS_WIDTH and longest <= NAME_WIDTH)
        words_whole = max((len(word) for row in table.rows for word in _names(row[place].text)), default=0)
        least[place] = max(longest if whole else max(min(longest, words), words_whole), min(heading, words))
    return least


def _names(text: str) -> list[str]:
    """The words that would be hard to read in two halves: names, which are written in Latin letters."""
    return [word for word in re.findall(r"[!-~]+", text) if len(word) <= NAME_WIDTH]


def _fits(least: dict[int, int], width: int) -> bool:
    return sum(least.values()) + SEPARATOR * (len(least) - 1) <= width
