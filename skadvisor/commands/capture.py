"""`skadvisor capture`: print the lines that record a good capture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.errors import InputError
from skadvisor.recording import recorder
from skadvisor.text.messages import _

#: Snippets that are no Python.
_LANGUAGES = {"vllm-ascend": "bash", "cann-recipes": "yaml"}
# --print alone prints them all.
_ALL = "all"


@click.command("capture")
@click.option(
    "--print",
    "dialect",
    is_flag=False,
    flag_value=_ALL,
    type=click.Choice([_ALL, *recorder.SNIPPETS]),
    help="Print the recording snippet: for plain torch_npu, cann-recipes, vLLM-Ascend, or all of them.",
)
@click.option("--probe", is_flag=True, help="Print a program that measures what a boundary costs on this machine.")
@click.option("--folder", default=None, help="Where the capture is to go.  [default: ./prof]")
@click.option("--steps", type=click.IntRange(1), default=recorder.STEPS, show_default=True, help="Steps to record.")
@click.option("--skip", type=click.IntRange(0), default=recorder.SKIP, show_default=True, help="Steps to skip first.")
@answer_options(".py", ".sh", ".yaml")
def capture_command(dialect: str | None, probe: bool, folder: str | None, steps: int, skip: int, wish: Wish) -> None:
    """Show how to record a capture that answers every question.

    A recording runs inside your program, so there is nothing to run from here. In Python:
    `with skadvisor.capture.record("prof") as recording: ...`; elsewhere paste what --print shows.
    """
    from skadvisor.commands.lines import lines_answer

    if dialect is None and not probe:
        raise InputError(
            _(
                "a recording runs inside your program. Print the lines for it with --print, for example "
                "--print vllm-ascend"
            )
        )
    wish.check()
    text = recorder.probe_program() if probe else _snippets(str(dialect), folder, steps, skip)
    headline = _("A program that measures a boundary") if probe else _("Lines that record a good capture")
    record = {"dialect": None if probe else dialect, "probe": probe}
    answer = lines_answer(headline, _LANGUAGES.get(str(dialect), "python"), text, record, (".py", ".sh", ".yaml"))
    follows = "skadvisor calibrate --probe RESULT.json" if probe else "skadvisor doctor CAPTURE"
    give(replace(answer, next=(follows,)), wish)


def _snippets(dialect: str, folder: str | None, steps: int, skip: int) -> str:
    return "\n".join(
        recorder.snippet(name, folder=_folder(folder, name), skip=skip, steps=steps)
        for name in (recorder.SNIPPETS if dialect == _ALL else [dialect])
    )


def _folder(folder: str | None, name: str) -> str:
    """vLLM takes absolute folders only."""
    if name == "vllm-ascend":
        return str(Path(folder or "prof").absolute())
    return folder or "./prof"
