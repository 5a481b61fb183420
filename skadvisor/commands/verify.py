"""`skadvisor verify`: compile log, outputs and performance of a run with SuperKernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.errors import GateError, InputError, NotEnoughError
from skadvisor.text.messages import _

_FILE = click.Path(path_type=Path)


@click.command("verify")
@click.option(
    "--compile-log",
    "logs",
    multiple=True,
    type=_FILE,
    help="CANN's log (plog), the folder sk_meta, or what the run printed; a file or a folder. Repeatable.",
)
@click.option(
    "--outputs",
    "outputs",
    nargs=2,
    multiple=True,
    type=_FILE,
    metavar="OFF ON",
    help="What both runs put out: their log or text, .json, .npy, .npz, .safetensors. Repeatable.",
)
@click.option("--before", multiple=True, type=_FILE, help="Log or performance file of a run, off. Repeatable.")
@click.option("--after", multiple=True, type=_FILE, help="Log or performance file of a run, on. Repeatable.")
@click.option("--tolerance", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Of output values.")
@click.option("--performance", type=_FILE, help="Write the performance comparison alone to this .json.")
@answer_options()
def verify_command(
    logs: tuple[Path, ...],
    outputs: tuple[tuple[Path, Path], ...],
    before: tuple[Path, ...],
    after: tuple[Path, ...],
    tolerance: float,
    performance: Path | None,
    wish: Wish,
) -> None:
    """Check that the scope was compiled in, that the output is the same, and that it is faster.

    Each is proven, refuted or not proven; then the command that would prove it is named. A folder, or files
    log_<rank>.log beside each other, are the ranks of one run. Exit code 0 if all is proven, 4 if something is
    refuted, else 3.
    """
    from skadvisor.files.output import check_output
    from skadvisor.report import Answer
    from skadvisor.verification.checks import verify
    from skadvisor.verification.performance_files import is_comparison
    from skadvisor.verification.text import describe_verification

    if not (logs or outputs or before or after):
        raise InputError(_("nothing to check: give --compile-log, --outputs, or --before and --after"))
    inputs = [*logs, *(path for pair in outputs for path in pair), *before, *after]
    wish.check(inputs)
    if performance is not None:
        if not (before or after):
            raise InputError(_("--performance takes the performance comparison: give --before and --after"))
        # The file of an earlier call is replaced, so that a second one is no error.
        check_output(performance, force=wish.force or is_comparison(performance), inputs=inputs)
    result = verify(logs, outputs, (before, after) if before or after else None, tolerance)
    answers = {check.answer for check in result.checks}
    told = Answer(
        result,
        lambda language: describe_verification(result, language),
        status="gate_failed" if "refuted" in answers else "too_little" if "not_proven" in answers else "answered",
        next=tuple(check.prove for check in result.checks if check.prove),
    )
    give(told, wish, inputs)
    if performance is not None and result.performance is not None:
        _write_performance(performance, result.performance)
    for answer, error in (("refuted", GateError), ("not_proven", NotEnoughError)):
        if found := [check for check in result.checks if check.answer == answer]:
            raise error("; ".join(f"{answer.replace('_', ' ')}: {check.name}" for check in found))


def _write_performance(target: Path, performance: dict[str, Any]) -> None:
    import json

    from skadvisor.files.output import write_atomically

    write_atomically(target, json.dumps(performance, indent=2) + "\n", force=True)
    click.echo(f"wrote {target}", err=True)
