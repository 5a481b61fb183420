"""Analyse the captures of many ranks: each where it can be read, one answer for all of them.

Ranks run the same code, so there is one placement. The result shows the rank that waits least (it sets the pace of
the step and holds the least waiting) and in `ranks` what the others do differently.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from skadvisor.errors import InputError
from skadvisor.files.progress import bar
from skadvisor.options import Options, PathText, choose_options
from skadvisor.ranks import cluster, remote
from skadvisor.ranks.place import Place
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis
    from skadvisor.ranks.summary import RankAnswer
    from skadvisor.records import Result

Paths = PathText | Iterable[PathText]


class Attachment(NamedTuple):
    """A file of the user's that every worker needs."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Question:
    """What to ask of each rank: the options, with the content of the files they name in place of their paths.

    The content travels, because a worker on another machine does not see the user's files.
    """

    options: Options
    operators: Attachment | None = None
    ledger: Attachment | None = None
    rules: tuple[Attachment, ...] = ()


@dataclass(frozen=True, eq=False)
class RanksAnalysis:
    """The answer for all ranks together; `alone` is the whole analysis where one capture was analysed here."""

    result: Result
    places: tuple[Place, ...]
    alone: Analysis | None = None


def analyze_ranks(
    path_or_paths: Paths,
    options: Options | None = None,
    *,
    scheduler: str | None = None,
    client: Any = None,
    workers: int | None = None,
    quiet: bool = True,
    **chosen: Any,
) -> RanksAnalysis:
    """Analyse every rank's capture at or under the given paths or URLs.

    By default in processes of this machine (`workers`, one per core); with `scheduler` or `client` on a Dask
    cluster, whose workers have to reach the paths. Only small tables come back. A rank that cannot be read is
    reported in `result.ranks` while the others answer. One rank alone gives the result of `analysis.analyze`.
    Raises InputError where no rank can be read, NotEnoughError where all of them hold too little.
    """
    question = _ask(choose_options(options, chosen))
    places = find_places(path_or_paths, scheduler=scheduler, client=client)
    if len(places) == 1 and scheduler is None and client is None:
        with bar("Reading and labelling", quiet=quiet), remote.fetch(places[0].path) as path:
            analysis = _analyze(question, path, places[0].rank)
            return RanksAnalysis(_named_as_given(analysis, path, places[0].path), places, analysis)
    from skadvisor.ranks.merge import Merger

    merger = Merger()
    work = partial(answer_rank, question)
    with bar("Analysing ranks", len(places), quiet=quiet) as advance:
        for place, answer in cluster.spread(work, places, workers=workers, scheduler=scheduler, client=client):
            merger.add(place, answer)
            advance(1)
    return RanksAnalysis(merger.result(), places)


def _ask(options: Options) -> Question:
    """The question with its files; what is wrong in them is told now, by the names that the user gave."""
    question = Question(
        replace(options, operators=None, ledger=None, rules=()),
        None if options.operators is None else _attached(options.operators),
        None if options.ledger is None else _attach_database(options.ledger),
        tuple(_attached(rule) for rule in options.rules),
    )
    if options.operators is not None:
        from skadvisor.vocabulary.operators import load_vocabulary

        load_vocabulary(options.operators)
    if options.rules:
        from skadvisor.fusion import load_rules

        load_rules(*options.rules)
    return question


def find_places(paths: Paths, *, scheduler: str | None = None, client: Any = None) -> tuple[Place, ...]:
    """The captures at or under the paths or URLs, by rank and path; on a cluster its workers look for them."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    named = list(dict.fromkeys(os.fspath(path) for path in given))
    if not named:
        raise InputError(_("no capture was named"), _("Give a file or folder of profiler output."))
    found: list[Place] = []
    for _path, answer in cluster.spread(_list_places, named, workers=1, scheduler=scheduler, client=client):
        if isinstance(answer, Exception):
            raise answer
        found.extend(answer)
    return tuple(sorted(set(found), key=lambda place: (place.rank is None, place.rank or 0, place.path)))


def answer_rank(question: Question, place: Place) -> RankAnswer:
    """Analyse one rank where this runs, and keep of it what the comparison of ranks needs."""
    from skadvisor.ranks.summary import summarise

    with remote.fetch(place.path) as path:
        analysis = _analyze(question, path, place.rank)
        return summarise(analysis, _named_as_given(analysis, path, place.path))


def _analyze(question: Question, path: Path, rank: int | None) -> Analysis:
    from skadvisor.analysis import analyze

    with tempfile.TemporaryDirectory(prefix="skadvisor-") as folder:

        def unpacked(attachment: Attachment | None, number: int) -> Path | None:
            if attachment is None:
                return None
            target = Path(folder, str(number), attachment.name)
            target.parent.mkdir()
            target.write_bytes(attachment.content)
            return target

        rules = tuple(unpacked(rule, 2 + number) for number, rule in enumerate(question.rules))
        options = replace(
            question.options,
            rank=rank,
            operators=unpacked(question.operators, 0),
            ledger=unpacked(question.ledger, 1),
            rules=tuple(rule for rule in rules if rule is not None),
        )
        return analyze(path, options)


def _named_as_given(analysis: Analysis, local: Path, given: str) -> Result:
    """The result with the URL in place of the temporary copy."""
    if not remote.is_url(given):
        return analysis.result
    captures = tuple(
        replace(
            capture,
            path=capture.path.replace(str(local), given),
            files=tuple(file.replace(str(local), given) for file in capture.files),
        )
        for capture in analysis.result.captures
    )
    return replace(analysis.result, captures=captures)


def _list_places(path: str) -> Sequence[Place]:
    if remote.is_url(path):
        return [Place(url, None) for url in remote.list_urls(path)]
    from skadvisor.capture import list_captures

    found = [Place(str(one.path), one.rank) for one in list_captures(path)]
    # Nothing found: let the reader say what it expected of this path.
    return found or [Place(path, None)]


def _attach_database(path: PathText) -> Attachment:
    """A SQLite file as it stands: copied by SQLite itself, because the newest rows may lie in a file beside it."""
    import sqlite3
    from contextlib import closing

    _attached(path)  # says what is wrong with the path itself
    with tempfile.TemporaryDirectory(prefix="skadvisor-") as folder:
        copy = Path(folder, Path(path).name)
        try:
            with (
                closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            raise InputError(
                _("{fspath} is no ledger: {error}"),
                _("Give a ledger file of skadvisor."),
                fspath=os.fspath(path),
                error=error,
            ) from error
        return _attached(copy)


def _attached(path: PathText) -> Attachment:
    try:
        return Attachment(Path(path).name, Path(path).read_bytes())
    except OSError as error:
        raise InputError(
            _("cannot read {fspath}: {strerror}"), _("Check the path."), fspath=os.fspath(path), strerror=error.strerror
        ) from error
