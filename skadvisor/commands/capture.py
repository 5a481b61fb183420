"""`skadvisor capture`: print the lines that record a good capture."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.recording import recorder

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
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the snippet to a file.")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def capture_command(
    dialect: str | None, probe: bool, folder: str | None, steps: int, skip: int, output: Path | None, force: bool
) -> None:
    """Show how to record a capture that answers every question.

    A recording runs inside your program, so there is nothing to run from here. In Python:
    `with skadvisor.capture.record("prof") as recording: ...`; elsewhere paste what --print shows.
    """
    if dialect is None and not probe:
        raise click.UsageError(
            "a recording runs inside your program. Print the lines for it with --print, for example --print vllm-ascend"
        )
    text = recorder.probe_program() if probe else _snippets(str(dialect), folder, steps, skip)
    if output is None:
        click.echo(text, nl=False)
    else:
        from skadvisor.files.output import write_atomically

        write_atomically(output, text, force=force)


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
