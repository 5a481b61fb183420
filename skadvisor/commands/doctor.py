"""`skadvisor doctor`: what a capture lacks, and how to record a better one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.recording import SNIPPETS

if TYPE_CHECKING:
    from skadvisor.doctor import Diagnosis

_MARKS = {"pass": "ok  ", "warn": "weak", "block": "LACK", "unknown": "note"}


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
    from skadvisor.doctor import diagnose
    from skadvisor.languages import default_language, translator
    from skadvisor.progress import bar

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
    phases = ", ".join(f"{count} {phase}" for phase, count in diagnosis.phases.items()) or "-"
    lines = [
        f"{diagnosis.path}: {diagnosis.producer}, {diagnosis.level}, {diagnosis.mode} mode, "
        f"{diagnosis.kernels} kernels, steps: {phases}, ranks: {_ranks(diagnosis)}",
        "",
    ]
    for finding in diagnosis.findings:
        lines.append(f"{_MARKS[finding.status]}  {finding.check:<13}  {finding.message.render(translate)}")
        if finding.remedy is not None and finding.status != "pass":
            lines.append(f"{'':<21}-> {finding.remedy.render(translate)}")
    lines += ["", "answers: " + ", ".join(f"{answer} {grade}" for answer, grade in diagnosis.grades.items())]
    if diagnosis.snippet:
        lines += ["", diagnosis.snippet.rstrip()]
    return "\n".join(lines)


def _ranks(diagnosis: Diagnosis) -> str:
    count = len(diagnosis.ranks)
    this = "-" if diagnosis.rank is None else str(diagnosis.rank)
    return this if count <= 1 else f"{count}, examined {this}"
