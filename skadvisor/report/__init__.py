"""Reports: the document of an answer and its renderers as text, Markdown, HTML, workbook, JSON and annotated trace.

`result_answer` is the answer of an analysis, `write` writes it by the file's suffix, `verdict` is it in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.errors import InputError
from skadvisor.records import Result
from skadvisor.report.answer import SUFFIXES, Answer, Status, check_target, render_answer, suffix_of, write_answer
from skadvisor.report.document import Document, Section
from skadvisor.text.messages import _

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SUFFIXES",
    "TRACE",
    "Answer",
    "check_target",
    "render_answer",
    "result_answer",
    "suffix_of",
    "verdict",
    "write",
    "write_answer",
]

#: The format that only an analysis has.
TRACE = ".json.gz"

#: The sections of a plan in a language.
PlanSections = Callable[[str], Iterable[Section]]


def verdict(result: Result, language: str = "en") -> str:
    """The answer in one sentence."""
    from skadvisor.report.summary import headline
    from skadvisor.report.wording import Wording

    return headline(result, Wording(language))


def result_answer(
    result: Result,
    kernels: pd.DataFrame | None = None,
    steps: pd.DataFrame | None = None,
    plan: PlanSections = lambda _language: (),
) -> Answer:
    """The answer of an analysis; `plan` makes the sections of what to type.

    `kernels` (events.KERNEL_COLUMNS and LABEL_COLUMNS) and `steps` (STEP_COLUMNS) are needed for the trace; the
    workbook holds the kernels of the representative step where they are given.
    """
    from skadvisor.report.build import describe_briefly, describe_result

    def trace(language: str) -> bytes:
        if kernels is None or steps is None:
            raise InputError(_("a trace needs the kernel table of one rank"), _("analyze one capture, or add --rank"))
        from skadvisor.report.trace import render_trace

        return render_trace(result, kernels, steps, language=language)

    def whole(language: str) -> Document:
        return describe_result(result, language, plan(language))

    def workbook(language: str) -> bytes:
        from skadvisor.report.kernel_table import step_table
        from skadvisor.report.workbook import render_workbook

        phase = result.phases.get(result.phase)
        if kernels is None or phase is None:
            return render_workbook(whole(language))
        return render_workbook(whole(language), step_table(kernels, phase.step, result.captures[0].rank))

    return Answer(result, whole, {TRACE: trace, ".xlsx": workbook}, lambda language: describe_briefly(result, language))


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
    saved: Callable[[], Mapping[str, Any]] = dict,
) -> Path:
    """Write the report that the suffix of `path` asks for and return the path; see `SUFFIXES` and `TRACE`.

    `saved` are what a .json file holds besides, so that commands can go on from it (`skadvisor.capture.saved`).
    `redact` hides host names, paths and user names; `redact_op_names` operator names and code ranges too.
    Raises InputError as `write_answer` does, and for a trace without kernels.
    """
    if redact or redact_op_names:
        from skadvisor.report.redact import redact_kernels, redact_result

        kernels = None if kernels is None else redact_kernels(kernels, op_names=redact_op_names)
        result = redact_result(result, op_names=redact_op_names)
    status: Status = "no_placement" if result.recommendation.choice == "none" else "answered"
    answer = replace(result_answer(result, kernels, steps), command="analyze", status=status, saved=saved)
    return write_answer(answer, path, language, force=force)
