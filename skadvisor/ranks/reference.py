"""Which rank speaks for a run of many, where a question is about one."""

from __future__ import annotations

import os
from dataclasses import replace

from skadvisor.options import Options
from skadvisor.ranks.analysis import analyze_ranks, find_places
from skadvisor.ranks.place import Place


def find_ranks(path: str | os.PathLike[str], options: Options) -> tuple[Place, ...]:
    """The captures of the ranks that the options leave: the chosen one, else all with a number."""
    if options.rank is not None:
        return ()
    return tuple(place for place in find_places(path) if place.rank is not None)


def choose_reference(path: str | os.PathLike[str], options: Options) -> Options:
    """The options with the rank that `analyze` shows of many, the one that sets the pace; as they are for one capture.

    Raises InputError where the captures are not one run.
    """
    if len(find_ranks(path, options)) < 2:
        return options
    ranks = analyze_ranks(path, options).result.ranks
    return replace(options, rank=next((record.rank for record in ranks if record.reference), None))
