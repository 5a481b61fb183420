"""Reports of a result: text, Markdown, HTML, JSON, a workbook and an annotated trace.

`write` chooses by the file's suffix; `render_text` is the terminal view; `verdict` is the answer in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from skadvisor.errors import InputError
from skadvisor.records import Result
from skadvisor.report.text import render_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SUFFIXES", "check_target", "render_text", "suffix_of", "verdict", "write"]

#: Suffix -> what is written.
SUFFIXES = {
    ".html": "report for a browser, one self-contained file",
    ".md": "report in Markdown",
    ".txt": "report as plain text",
    ".json": "result for programs",
    ".xlsx": "workbook with the layer strip and the tables",
    ".json.gz": "annotated trace for Perfetto or chrome://tracing",
}

TEXT_WIDTH = 120


def verdict(result: Result, language: str = "en") -> str:
    """The answer in one sentence."""
    from skadvisor.report.summary import headline
    from skadvisor.report.wording import Wording

    return headline(result, Wording(language))


def suffix_of(path: str | Path) -> str:
    """The suffix that decides the format. Raises InputError for one that nothing is written for."""
    name = Path(path).name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise InputError(f"cannot tell the format of {Path(path).name}", f"end the name in one of: {', '.join(SUFFIXES)}")


def check_target(path: str | Path, *, force: bool = False) -> str:
    """Say early whether `write` would refuse this path; returns the suffix. Raises InputError."""
    from skadvisor.files.output import check_output

    suffix = suffix_of(path)
    check_output(path, force=force)
    return suffix


def write(
    result: Result,
    path: str | Path,
    *,
    language: str = "en",
    kernels: pd.DataFrame | None = None,
    steps: pd.DataFrame | None = None,
    force: bool = False,
    redact: bool = False,
    redact_op_names: bool = False,
    plan: str = "",
) -> Path:
    """Write the report that the suffix of `path` asks for and return the path; see `SUFFIXES`.

    `kernels` (events.KERNEL_COLUMNS and LABEL_COLUMNS) and `steps` (STEP_COLUMNS) are needed for the trace only.
    `redact` hides host names, paths and user names; `redact_op_names` operator names and code ranges too.
    `plan` is the text of the plan command, shown in HTML, Markdown and text.
    An existing file is replaced only with `force`, and only once the new one is complete.
    Raises InputError for an unknown suffix, an existing file, a missing folder, or a trace without kernels.
    """
    target = Path(path)
    suffix = check_target(target, force=force)
    if redact or redact_op_names:
        from skadvisor.report.redact import redact_kernels, redact_result, redact_text

        if kernels is not None:
            kernels = redact_kernels(kernels, op_names=redact_op_names)
        plan = redact_text(plan, result, op_names=redact_op_names)
        result = redact_result(result, op_names=redact_op_names)
    from skadvisor.files.output import write_atomically

    content = _renderer(suffix, kernels, steps, plan)(result, language)
    return write_atomically(target, content, force=force)


def _renderer(
    suffix: str, kernels: pd.DataFrame | None, steps: pd.DataFrame | None, plan: str
) -> Callable[[Result, str], bytes]:
    if suffix == ".html":
        from skadvisor.report.html import render_html

        return lambda result, language: render_html(result, language=language, plan=plan).encode()
    if suffix == ".md":
        from skadvisor.report.markdown import render_markdown

        return lambda result, language: render_markdown(result, language=language, plan=plan).encode()
    if suffix == ".json":
        from skadvisor.report.jsonfile import render_json

        return lambda result, language: render_json(result, language=language)
    if suffix == ".xlsx":
        from skadvisor.report.workbook import render_workbook

        return lambda result, language: render_workbook(result, language=language)
    if suffix == ".json.gz":
        from skadvisor.report.trace import render_trace

        if kernels is None or steps is None:
            raise InputError("a trace needs the labelled kernel table", "write it while analysing the capture")
        return lambda result, language: render_trace(result, kernels, steps, language=language)
    return lambda result, language: render_text(
        result, width=TEXT_WIDTH, language=language, detail=True, plan=plan
    ).encode()
