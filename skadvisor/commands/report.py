"""`skadvisor report`: any report from a saved answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.errors import InputError
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.report import Answer


@click.command("report")
@click.argument("result", type=click.Path(path_type=Path))
@answer_options(".json.gz")
def report_command(result: Path, wish: Wish) -> None:
    """Write any report from an answer that was saved with -o FILE.json, without the capture.

    What needs kernels (the plan, an annotated trace, sentences in another language) is made from those that the file
    holds. Without --lang the language is that of the file.
    """
    wish.check([result])
    answer, language = read_answer(result, wish)
    give(answer, replace(wish, language=language), [result])


def read_answer(path: Path, wish: Wish) -> tuple[Answer, str]:
    """The answer that a file holds, and the language to give it in. Raises InputError where it holds none."""
    import msgspec

    from skadvisor.capture.saved import read_result_bytes
    from skadvisor.records import from_json

    content = read_result_bytes(path)
    kept = msgspec.json.decode(content, type=dict[str, Any])
    command, saved_in = (word if isinstance(word := kept.get(name), str) else "" for name in ("command", "language"))
    said = {"status": kept.get("status", "answered"), "next": tuple(map(str, kept.get("next", ())))}
    language = wish.asked_language or saved_in or wish.language
    kinds = _kinds()
    if command not in kinds:
        raise InputError(
            _("{path} is an answer of {command}, which cannot be shown again"),
            _("Saved answers of these can: {listed}."),
            path=path,
            command=command or "another program",
            listed=", ".join(kinds),
        )
    kind, describe = kinds[command]
    try:
        record = from_json(content, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(
            _("{path} is damaged: {error}"),
            _("Run skadvisor {command} again."),
            path=path,
            error=error,
            command=command,
        ) from None
    if command != "analyze":
        from skadvisor.report import Answer

        return Answer(record, lambda spoken: describe(record, spoken), command=command, **said), language
    if "capture" in kept and (language != saved_in or wish.verbose or wish.outputs):
        answer = _with_kernels(path, record, anew=language != saved_in)
        return replace(answer, **said), language
    from skadvisor.report import result_answer

    return replace(result_answer(record), command=command, **said), language


def _with_kernels(path: Path, result: Any, *, anew: bool) -> Answer:
    """The answer with what the kernels of the file tell; its sentences anew where another language is asked for."""
    from skadvisor.analysis import analyze
    from skadvisor.commands.analyze import analysis_answer

    analysis = analyze(path)
    return analysis_answer(analysis.result if anew else result, analysis, path)


def _kinds() -> dict[str, tuple[Any, Any]]:
    """What can be read back: command -> the record's type, and what makes its document."""
    from skadvisor.comparison.records import Comparison
    from skadvisor.comparison.screened import Screening
    from skadvisor.comparison.screened_text import describe_screening
    from skadvisor.comparison.text import describe_comparison
    from skadvisor.doctor.diagnosis import Diagnosis
    from skadvisor.doctor.text import describe_diagnosis
    from skadvisor.gain.ledger_text import Calibration, describe_calibration
    from skadvisor.plan.records import Plan
    from skadvisor.plan.screening import Sheet
    from skadvisor.plan.screening_text import describe_sheet
    from skadvisor.plan.text import describe_plan
    from skadvisor.records import Result
    from skadvisor.report.build import describe_result
    from skadvisor.verification.checks import Verification
    from skadvisor.verification.text import describe_verification

    return {
        "analyze": (Result, describe_result),
        "plan": (Plan, describe_plan),
        "compare": (Comparison, describe_comparison),
        "screen": (Sheet, describe_sheet),
        "screened": (Screening, describe_screening),
        "verify": (Verification, describe_verification),
        "doctor": (Diagnosis, describe_diagnosis),
        "calibrate": (Calibration, describe_calibration),
    }
