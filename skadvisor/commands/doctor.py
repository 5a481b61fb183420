"""`skadvisor doctor`: what a capture lacks, and how to record a better one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.recording.recorder import SNIPPETS
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.doctor.diagnosis import Diagnosis

#: Each takes four columns, in Chinese too.
_MARKS = {"pass": _("ok  "), "warn": _("weak"), "block": _("LACK"), "unknown": _("note")}
_GRADES = {"good": _("good"), "weaker": _("weaker"), "none": _("none at all")}
_ANSWERS = {
    "steps": _("steps"),
    "labels": _("labels"),
    "shares": _("shares of time"),
    "overhead": _("overhead"),
    "placement": _("placement"),
    "ranks": _("ranks"),
}


@click.command("doctor")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--rank", type=int, help="Which rank to examine, where the folder holds several.  [default: the first]")
@click.option("--dialect", type=click.Choice(SNIPPETS), help="How the better capture is to be recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the diagnosis as JSON.")
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
@click.pass_context
def doctor_command(
    context: click.Context, path: Path, rank: int | None, dialect: str | None, as_json: bool, language: str | None
) -> int:
    """Say what a capture is, what it lacks for which answer, and how to record a better one.

    Exit code 3 if it holds too little to say where a scope belongs.
    """
    from skadvisor.doctor.diagnosis import diagnose
    from skadvisor.files.progress import bar
    from skadvisor.text.languages import default_language, translator

    translate = translator(language or default_language())
    with bar("Examining the capture", quiet=bool((context.obj or {}).get("quiet"))):
        diagnosis = diagnose(path, rank=rank, dialect=dialect)
    if as_json:
        from skadvisor.records import to_json

        click.echo(to_json(diagnosis, translate).decode())
    else:
        click.echo(_text(diagnosis, translate))
    return 0 if diagnosis.usable else 3


def _text(diagnosis: Diagnosis, translate: Callable[[str], str]) -> str:
    lines = [_head(diagnosis).render(translate), ""]
    for finding in diagnosis.findings:
        mark = translate(_MARKS[finding.status])
        lines.append(f"{mark}  {finding.check:<13}  {finding.message.render(translate)}")
        if finding.remedy is not None and finding.status != "pass":
            lines.append(f"{'':<21}-> {finding.remedy.render(translate)}")
    grades = [
        Message(_("{answer} {grade}"), answer=Message(_ANSWERS[answer]), grade=Message(_GRADES[grade]))
        for answer, grade in diagnosis.grades.items()
    ]
    answers = translate(_(", ")).join(grade.render(translate) for grade in grades)
    lines += ["", Message(_("answers: {answers}"), answers=answers).render(translate)]
    if diagnosis.snippet:
        lines += ["", diagnosis.snippet.rstrip()]
    return "\n".join(lines)


def _head(diagnosis: Diagnosis) -> Message:
    return Message(
        _("{path}: {producer}, {level}, {mode} mode, {kernels} kernels, steps: {phases}, ranks: {ranks}"),
        path=diagnosis.path,
        producer=diagnosis.producer,
        level=diagnosis.level,
        mode=diagnosis.mode,
        kernels=diagnosis.kernels,
        phases=", ".join(f"{count} {phase}" for phase, count in diagnosis.phases.items()) or "-",
        ranks=_ranks(diagnosis),
    )


def _ranks(diagnosis: Diagnosis) -> Message:
    count = len(diagnosis.ranks)
    this = "-" if diagnosis.rank is None else str(diagnosis.rank)
    if count <= 1:
        return Message("{rank}", rank=this)
    return Message(_("{count}, examined {rank}"), count=count, rank=this)
