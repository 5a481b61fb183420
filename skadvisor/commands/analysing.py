"""The options that every command which analyses a capture takes, as one decorator and one record."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from skadvisor.options import Options

_FILE = click.Path(path_type=Path)
#: In the order of `--help`.
_DECLARED = (
    click.option("--rank", type=int, help="This rank only, where the folder holds several."),
    click.option("--operators", type=_FILE, help="A TOML file with operators of your own."),
    click.option("--rules", multiple=True, type=_FILE, help="A TOML file that says what fuses. Repeatable."),
    click.option(
        "--tpot-ms", type=click.FloatRange(min=0, min_open=True), help="Time per output token without profiler."
    ),
    click.option(
        "--risk",
        type=click.Choice(["low", "balanced", "high"]),
        default="balanced",
        show_default=True,
        help="low: attention-only unless the experts dominate; balanced: what more likely than not wins more than the "
        "noise; high: also what has a chance of 25 % to.",
    ),
    click.option(
        "--hardware", type=click.Choice(["A2", "A3", "950", "310P"]), help="The chip.  [default: from the capture]"
    ),
    click.option("--cann", metavar="VERSION", help="The CANN version, such as 9.0.0.  [default: from the capture]"),
    click.option("--tiling-sink/--no-tiling-sink", default=None, help="Whether the tiling of attention is sunk (GE)."),
    click.option(
        "--aiv-expansion/--no-aiv-expansion", default=None, help="Whether collectives run on the Vector cores."
    ),
    click.option("--ledger", type=_FILE, help="Ledger of forecasts and outcomes, in place of your own."),
    click.option("--no-ledger", is_flag=True, help="Keep no forecasts and learn from no outcomes."),
)


def analysis_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of an analysis; it receives them as `options`, a record of `skadvisor.options`.

    `options.ledger` is the ledger to learn from: None with --no-ledger and where there is none yet.
    """

    @wraps(command)
    def packed(*args: Any, no_ledger: bool, ledger: Path | None, **values: Any) -> Any:
        known = {name: values.pop(name) for name in Options.__dataclass_fields__ if name in values}
        options = Options(**known, ledger=None if no_ledger else _existing(ledger))
        return command(*args, options=options, **values)

    for option in reversed(_DECLARED):
        packed = option(packed)
    return packed


def ledger_to_keep(parameters: dict[str, Any]) -> Path | None:
    """Where forecasts and outcomes are kept by a call with these parameters; None with --no-ledger."""
    from skadvisor.gain.ledger import default_path

    return None if parameters["no_ledger"] else parameters["ledger"] or default_path()


def one_rank(path: Path, options: Options) -> Options:
    """The options with the rank that speaks for a folder of many; which one that is stands on stderr."""
    from skadvisor.ranks.reference import choose_reference

    chosen = choose_reference(path, options)
    if chosen.rank != options.rank:
        click.echo(f"note: rank {chosen.rank} speaks for all, for it sets the pace (--rank chooses another)", err=True)
    return chosen


def _existing(ledger: Path | None) -> Path | None:
    from skadvisor.gain.ledger import default_path

    chosen = ledger or default_path()
    return chosen if chosen.exists() else None
