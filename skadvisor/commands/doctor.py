"""`skadvisor doctor`: what a capture lacks, and how to record a better one."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.recording.recorder import SNIPPETS


@click.command("doctor")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--rank", type=int, help="Which rank to examine, where the folder holds several.  [default: the first]")
@click.option("--dialect", type=click.Choice(SNIPPETS), help="How the better capture is to be recorded.")
@answer_options()
@click.pass_context
def doctor_command(context: click.Context, /, path: Path, rank: int | None, dialect: str | None, wish: Wish) -> int:
    """Say what a capture is, what it lacks for which answer, and how to record a better one.

    Exit code 3 if it holds too little to say where a scope belongs.
    """
    from skadvisor.doctor.diagnosis import diagnose
    from skadvisor.doctor.text import describe_diagnosis
    from skadvisor.files.progress import bar
    from skadvisor.report import Answer

    wish.check([path])
    with bar("Examining the capture", quiet=bool((context.obj or {}).get("quiet"))):
        diagnosis = diagnose(path, rank=rank, dialect=dialect)
    usable = diagnosis.usable
    answer = Answer(
        diagnosis,
        lambda language: describe_diagnosis(diagnosis, language),
        status="answered" if usable else "too_little",
        next=(f"skadvisor analyze {path}" if usable else f"skadvisor capture --print {dialect or 'torch_npu'}",),
    )
    give(answer, wish, [path])
    return 0 if diagnosis.usable else 3
