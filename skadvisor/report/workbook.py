"""The workbook: the strip of one layer that engineers build by hand, and the report's tables, a sheet each."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from skadvisor.report.document import Cell, Document, Table
from skadvisor.report.palette import GAP_COLOURS, REGION_COLOURS, text_on
from skadvisor.report.text import item_line
from skadvisor.report.wording import Wording
from skadvisor.text.messages import _

if TYPE_CHECKING:
    import pandas as pd
    from openpyxl.worksheet.worksheet import Worksheet

WIDEST_COLUMN = 60


def render_workbook(document: Document, kernels: pd.DataFrame | None = None) -> bytes:
    """The workbook's bytes. Cells from the capture are always text, never formulas.

    `kernels` (columns of `kernel_table.COLUMNS`) become the last sheet.
    """
    from openpyxl import Workbook

    wording = Wording(document.language)
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.title = _sheet_name(wording.say(_("Verdict")), set())
    _fill_summary(sheet, document)
    used = {sheet.title}
    tables = [table for section in document.sections for table in section.tables]
    for table in tables:
        strip = table.name.startswith("layer-")
        name = _sheet_name(table.title.partition(":")[0] if strip else table.title, used)
        used.add(name)
        sheet = workbook.create_sheet(name)
        _fill_table(sheet, table)
        if table.name == "regions" and table.brief:
            _draw_regions(sheet, table)
    if kernels is not None:
        _fill_kernels(workbook.create_sheet(_sheet_name(wording.say(_("Kernels")), used)), kernels)
    target = io.BytesIO()
    workbook.save(target)
    return target.getvalue()


def _sheet_name(title: str, used: set[str]) -> str:
    """A name that spreadsheets accept: at most 31 characters, none of []:*?/\\, unique."""
    base = re.sub(r"[\[\]:*?/\\']", " ", title).strip()[:28] or "sheet"
    name, number = base, 2
    while name.lower() in {one.lower() for one in used}:
        name, number = f"{base} {number}", number + 1
    return name


def _put(sheet: Worksheet, row: int, column: int, value: str | float | None, *, bold: bool = False) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Alignment, Font

    if value is None or value == "":
        return
    cell = sheet.cell(row, column)
    if isinstance(value, str):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("\ufffd", value)[:32_000]
        # A name that begins with "=" would otherwise be a formula.
        cell.data_type = "s"
        cell.alignment = Alignment(vertical="top", wrap_text=len(value) > WIDEST_COLUMN)
    else:
        cell.value = value
        cell.number_format = "#,##0" if float(value).is_integer() else "#,##0.0##"
    if bold:
        cell.font = Font(bold=True)


def _fill_summary(sheet: Worksheet, document: Document) -> None:
    summary = document.summary
    lines: list[tuple[str, str]] = [("", summary.headline), ("", summary.reason), ("", ""), *summary.facts]
    for points in summary.lists:
        lines += [("", ""), *((points.title if place == 0 else "", line) for place, line in enumerate(points.lines))]
    for section in document.sections:
        said = [section.lead] if section.lead and not section.tables else []
        said += [item_line(item) for item in section.items]
        said += [line for code in section.codes for line in (code.title, code.text)]
        if said:
            lines += [("", ""), *((section.title if place == 0 else "", line) for place, line in enumerate(said))]
    lines += [("", ""), ("", summary.reading), ("", document.tool)]
    for row, (label, text) in enumerate(lines, start=1):
        _put(sheet, row, 1, label)
        _put(sheet, row, 2, text, bold=row == 1)
    sheet.column_dimensions["A"].width = 24
    sheet.column_dimensions["B"].width = 100


def _fill_table(sheet: Worksheet, table: Table) -> None:
    from openpyxl.styles import Font, PatternFill
    from openpyxl.utils import get_column_letter

    for place, column in enumerate(table.columns, start=1):
        _put(sheet, 1, place, column.heading, bold=True)
    for row, cells in enumerate(table.rows, start=2):
        for place, cell in enumerate(cells, start=1):
            _put(sheet, row, place, _value(cell, numeric=table.columns[place - 1].numeric))
            colour = (REGION_COLOURS | GAP_COLOURS).get(cell.region or "")
            if colour:
                sheet.cell(row, place).fill = PatternFill("solid", fgColor=colour[1:])
                sheet.cell(row, place).font = Font(color=text_on(colour)[1:])
    if table.note:
        _put(sheet, len(table.rows) + 3, 1, table.note)
    for place, column in enumerate(table.columns):
        longest = max([len(column.heading), *(len(cells[place].text) for cells in table.rows)])
        sheet.column_dimensions[get_column_letter(place + 1)].width = min(longest + 2, WIDEST_COLUMN)
    sheet.freeze_panes = "A2"
    if table.rows:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(table.columns))}{len(table.rows) + 1}"


def _draw_regions(sheet: Worksheet, table: Table) -> None:
    """A chart of what the main phase's step is made of, beside the table."""
    from openpyxl.chart import BarChart, Reference

    phase = table.brief[0][0].text
    rows = [place for place, row in enumerate(table.rows, start=2) if row[0].text == phase]
    times = next(place for place, column in enumerate(table.columns, start=1) if column.unit == "µs")
    chart = BarChart()
    chart.type, chart.legend, chart.title = "bar", None, f"{phase}: {table.columns[times - 1].heading}"
    chart.add_data(Reference(sheet, min_col=times, min_row=rows[0], max_row=rows[-1]))
    chart.set_categories(Reference(sheet, min_col=2, min_row=rows[0], max_row=rows[-1]))
    chart.x_axis.scaling.orientation, chart.x_axis.delete, chart.y_axis.delete = "maxMin", False, False
    sheet.add_chart(chart, f"{'ABCDEFGHIJKLMN'[len(table.columns) + 1]}2")


def _fill_kernels(sheet: Worksheet, kernels: pd.DataFrame) -> None:
    from openpyxl.utils import get_column_letter

    for place, name in enumerate(kernels.columns, start=1):
        _put(sheet, 1, place, name, bold=True)
    for row, cells in enumerate(kernels.astype("object").itertuples(index=False, name=None), start=2):
        for place, value in enumerate(cells, start=1):
            known = str(value) not in ("None", "nan", "<NA>")
            _put(sheet, row, place, (value if isinstance(value, str) else float(value)) if known else None)
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(kernels.columns))}{len(kernels) + 1}"


def _value(cell: Cell, *, numeric: bool) -> str | float | None:
    """The number where the column's unit says what it is, rounded as shown, empty where unknown; else the text."""
    if numeric and cell.value is None:
        return None
    if not numeric or not isinstance(cell.value, (int, float)):
        return cell.text
    plain = cell.text.replace(",", "").replace("\u2212", "-")
    try:
        return float(plain)
    except ValueError:
        return cell.text
