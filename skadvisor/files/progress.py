"""Progress bars: on stderr, only on a terminal, silent on request, gone when the work is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Moves a bar on by so many units.
Advance = Callable[[int], None]


@contextmanager
def bar(description: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Advance]:
    """Show a bar while the block runs; call the function it yields with the number of units done.

    Without `total` the bar shows only that work goes on. Nothing is written where stderr is no terminal, so that
    logs and pipes stay clean; rich is loaded only where a bar is shown.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda units: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    counts = (MofNCompleteColumn(),) if total is not None else ()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counts, TimeElapsedColumn())
    # The result goes to stdout while the bar is up: leave that stream alone.
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task(description, total=total)
        yield lambda units: progress.advance(task, units)
