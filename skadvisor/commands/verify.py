"""`skadvisor verify`: compile log, outputs and performance of a run with SuperKernel."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.errors import GateError


@click.command("verify")
@click.option(
    "--compile-log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A compile log or the folder sk_meta. Repeatable.",
)
@click.option(
    "--outputs",
    "outputs",
    nargs=2,
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="OFF ON",
    help="Output files of both runs: text, .json, .npy, .npz, .safetensors. Repeatable.",
)
@click.option(
    "--before", multiple=True, type=click.Path(path_type=Path), help="Performance file or log, off. Repeatable."
)
@click.option(
    "--after", multiple=True, type=click.Path(path_type=Path), help="Performance file or log, on. Repeatable."
)
@click.option("--tolerance", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Of output values.")
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where the comparison goes.  [default: performance.json, where --before and --after are given]",
)
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def verify_command(
    logs: tuple[Path, ...],
    outputs: tuple[tuple[Path, Path], ...],
    before: tuple[Path, ...],
    after: tuple[Path, ...],
    tolerance: float,
    language: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Check that the scope was compiled in, that the output is the same, and that it is faster.

    Writes performance.json, whose improvement_percent is the gain. Exit code 4 if a check fails.
    """
    import json

    from skadvisor.files.output import check_output, write_atomically
    from skadvisor.text.languages import default_language, translator
    from skadvisor.verification.checks import verify
    from skadvisor.verification.text import render_verification

    if bool(before) != bool(after):
        raise click.UsageError("performance has two sides: give --before and --after")
    if not (logs or outputs or before):
        raise click.UsageError("nothing to check: give --compile-log, --outputs, or --before and --after")
    target = (output or Path("performance.json")) if before else None
    if output is not None and not before:
        raise click.UsageError("-o takes the performance comparison: give --before and --after")
    if target is not None:
        check_output(target, force=force, inputs=[*before, *after])
    result = verify(logs, outputs, (before, after) if before else None, tolerance)
    click.echo(render_verification(result, translator(language or default_language())), nl=False)
    if target is not None:
        write_atomically(target, json.dumps(result.performance, indent=2) + "\n", force=force, inputs=[*before, *after])
        click.echo(f"wrote {target}", err=True)
    if result.failed:
        raise GateError("; ".join(f"{check.name}: {check.message}" for check in result.failed))
