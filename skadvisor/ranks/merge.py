"""One result from the answers of many ranks.

Answers are taken one by one as they arrive; only one full result per group of equal ranks is kept, so that memory
hardly grows with the number of ranks, and what is kept does not depend on the order of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from skadvisor.errors import InputError, SkadvisorError
from skadvisor.ranks.findings import name_of, rank_findings
from skadvisor.ranks.one_run import Member, check_one_run
from skadvisor.ranks.place import Place
from skadvisor.ranks.stragglers import Collectives, compare
from skadvisor.ranks.summary import RankAnswer
from skadvisor.records import (
    CaptureRecord,
    Estimate,
    LayersRecord,
    Notice,
    RankRecord,
    Recommendation,
    Result,
)
from skadvisor.text.messages import Message, _
from skadvisor.units import us
from skadvisor.vocabulary.arrays import Ints

#: Layers of each kind, phase and pipeline place: ranks that agree in these do the same.
Stage = tuple[str, int | None, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, eq=False)
class _Kept:
    """What stays of one rank once its full result is let go."""

    place: Place
    record: RankRecord
    stage: Stage
    collectives: Collectives
    captures: tuple[CaptureRecord, ...]
    estimates: dict[str, Estimate | None]
    warnings: tuple[Notice, ...]
    member: Member


class Merger:
    """Takes the ranks' answers in any order; `result` puts them together."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._failed: list[tuple[Place, Exception]] = []
        self._best: dict[Stage, tuple[tuple[float, float, int, str], Result]] = {}

    def add(self, place: Place, answer: RankAnswer | Exception) -> None:
        """Take one rank's answer, or what stopped it."""
        if isinstance(answer, Exception):
            self._failed.append((place, answer))
            return
        kept = _keep(place, answer)
        self._kept.append(kept)
        key = _pace(kept)
        if kept.stage not in self._best or key < self._best[kept.stage][0]:
            self._best[kept.stage] = (key, answer.result)

    def result(self) -> Result:
        """The answer for all. Raises what stopped the first where none could be read, InputError for several runs."""
        failed = sorted(self._failed, key=lambda pair: _order(pair[0].rank, pair[0].path))
        if not self._kept:
            raise _all_failed(failed)
        if len(self._kept) == 1 and not failed:
            return next(iter(self._best.values()))[1]
        kept, copies = _without_copies(self._kept)
        if len(kept) == 1 and not failed:
            alone = self._best[kept[0].stage][1]
            return replace(alone, warnings=(*alone.warnings, *copies))
        check_one_run([rank.member for rank in kept])
        stages = _stages(kept)
        reference = _reference(kept)
        base = self._best[reference.stage][1]
        waits = _waits(kept)
        records = [
            replace(
                rank.record,
                reference=rank is reference,
                stage=stages.index(rank.stage),
                wait_us=None if wait is None else us(float(median(wait))),
                estimate=rank.estimates.get(base.recommendation.choice),
            )
            for rank, wait in zip(kept, waits, strict=True)
        ]
        read, notices = rank_findings(records, _pipeline(kept, stages))
        unread = [_unreadable(place, error) for place, error in failed]
        everyone = sorted([*read, *unread], key=lambda record: _order(record.rank, record.path))
        return replace(
            base,
            captures=tuple(capture for rank in kept for capture in rank.captures),
            recommendation=_agreed(base.recommendation, read),
            warnings=(*_warnings(base, kept, waits), *notices, *copies, *_unread_notices(unread)),
            ranks=tuple(everyone),
        )


def _keep(place: Place, answer: RankAnswer) -> _Kept:
    result = answer.result
    phase = result.phases.get(result.phase)
    regions = [region for region in result.regions if region.phase == result.phase]
    rank = place.rank if place.rank is not None else result.captures[0].rank
    record = RankRecord(
        rank=rank,
        path=place.path,
        state="read",
        layers=", ".join(f"{kind} x{count}" for kind, count in _kinds(result.layers).items()),
        wall_us=phase.wall_us if phase else None,
        busy_us=phase.busy_us if phase else None,
        compute_us=round(sum(region.exposed_us for region in regions if region.region != "comm"), 3) or None,
        comm_us=answer.comm_us,
        expert_us=answer.expert_us,
        shares={region.region: region.share for region in regions},
        choice=result.recommendation.choice,
    )
    return _Kept(
        place=place,
        record=record,
        stage=(result.phase, answer.pipeline, tuple(sorted(_kinds(result.layers).items()))),
        collectives=answer.collectives,
        captures=result.captures,
        estimates={template.name: template.estimate for template in result.templates},
        warnings=result.warnings,
        member=Member(place.path, rank, result.phase, answer.hidden, answer.span_ns),
    )


def _without_copies(kept: Sequence[_Kept]) -> tuple[list[_Kept], list[Notice]]:
    """The ranks in order. A capture without a rank that holds the kernels of another to the nanosecond is a copy."""
    different: list[_Kept] = []
    seen: set[tuple[str, ...]] = set()
    copies = []
    for rank in sorted(kept, key=lambda one: _order(one.record.rank, one.place.path)):
        content = tuple(capture.fingerprint for capture in rank.captures)
        if rank.record.rank is None and all(content) and content in seen:
            copies.append(rank.place.path)
            continue
        different.append(rank)
        seen.add(content)
    message = Message(_("copies of another capture to the nanosecond were left out: {paths}"), paths=", ".join(copies))
    return different, [Notice(code="copies", message=message)] if copies else []


def _order(rank: int | None, path: str) -> tuple[bool, int, str]:
    """By rank and path; captures without a rank come last."""
    return (rank is None, rank or 0, path)


def _pace(kept: _Kept) -> tuple[float, float, int, str]:
    """Smaller for the rank that sets the pace: least time in collectives, then the longest step, then the lowest rank.

    Collectives end together, so the rank that spends least time in them came last and waited least.
    """
    record = kept.record
    return (record.comm_us or 0.0, -(record.wall_us or 0.0), record.rank or 0, kept.place.path)


def _waits(kept: Sequence[_Kept]) -> list[Ints | None]:
    """Each rank's waiting per step, from the comparison with the ranks of its phase."""
    waits: list[Ints | None] = [None] * len(kept)
    for phase in {rank.stage[0] for rank in kept}:
        places = [place for place, rank in enumerate(kept) if rank.stage[0] == phase]
        for place, wait in zip(places, compare([kept[place].collectives for place in places]), strict=True):
            waits[place] = wait
    return waits


def _stages(kept: Sequence[_Kept]) -> list[Stage]:
    """The different kinds of rank: by place in the pipeline where it is known, else by the lowest rank."""
    found = list(dict.fromkeys(rank.stage for rank in kept))
    known = all(pipeline is not None for _phase, pipeline, _layers in found)
    return sorted(found, key=lambda stage: stage[1] or 0) if known else found


def _reference(kept: Sequence[_Kept]) -> _Kept:
    """Of the decode ranks the slowest stage, and in it the rank that sets the pace."""
    decode = [rank for rank in kept if rank.stage[0] == "decode"] or list(kept)
    leaders: dict[Stage, _Kept] = {}
    for rank in decode:
        if rank.stage not in leaders or _pace(rank) < _pace(leaders[rank.stage]):
            leaders[rank.stage] = rank
    return max(leaders.values(), key=lambda rank: (rank.record.compute_us or 0.0, -kept.index(rank)))


def _pipeline(kept: Sequence[_Kept], stages: Sequence[Stage]) -> bool:
    """Whether the layers differ by pipeline stages: the metadata says so, or embedding and head lie on other ranks."""
    if len(stages) < 2:
        return False
    if len({stage[1] for stage in stages} - {None}) > 1:
        return True
    held = [{name for name in ("embedding", "head") if rank.record.shares.get(name)} for rank in kept]
    return {"embedding"} in held and {"head"} in held


def _kinds(layers: LayersRecord) -> dict[str, int]:
    """How many layers of each kind, whatever their attention."""
    counts: Counter[str] = Counter()
    for kind in layers.kinds:
        counts[kind.kind] += kind.count
    return counts


def _agreed(recommendation: Recommendation, read: Sequence[RankRecord]) -> Recommendation:
    """The recommendation with what the other ranks say to it."""
    agree = sum(record.choice == recommendation.choice for record in read)
    middles = [record.estimate.mid_pct for record in read if record.estimate is not None]
    words = [Message(_("{agree} of {count} ranks would be told the same on their own"), agree=agree, count=len(read))]
    if middles:
        words.append(
            Message(
                _("over the ranks the middle of the estimate runs from {low:.1f} % to {high:.1f} % of the step"),
                low=min(middles),
                high=max(middles),
            )
        )
    chance = recommendation.confidence
    return replace(
        recommendation,
        confidence=None if chance is None else round(chance * agree / len(read), 4),
        robustness=(*recommendation.robustness, *words),
    )


def _warnings(base: Result, kept: Sequence[_Kept], waits: Sequence[Ints | None]) -> list[Notice]:
    """The reference's warnings, and those only of other ranks, each kind once with the rank that has it first."""
    # What one rank alone cannot tell, the comparison of ranks has told.
    answered = {"collectives"} if any(wait is not None for wait in waits) else set()
    known = {notice.code for notice in base.warnings} | answered
    first: dict[str, Notice] = {}
    counts: Counter[str] = Counter()
    for rank in kept:
        for code, notice in {notice.code: notice for notice in rank.warnings if notice.code not in known}.items():
            counts[code] += 1
            message = Message(_("rank {rank}: {warning}"), rank=name_of(rank.record), warning=notice.message)
            first.setdefault(code, Notice(code=code, message=message))
    others = [notice if counts[code] == 1 else _counted(notice, counts[code]) for code, notice in first.items()]
    return [*(notice for notice in base.warnings if notice.code not in answered), *others]


def _counted(notice: Notice, ranks: int) -> Notice:
    message = Message(_("{warning} (and {more} more ranks)"), warning=notice.message, more=ranks - 1)
    return Notice(code=notice.code, message=message)


def _unreadable(place: Place, error: Exception) -> RankRecord:
    problem = error.message if isinstance(error, SkadvisorError) else f"{type(error).__name__}: {error}"
    return RankRecord(
        rank=place.rank, path=place.path, state="unreadable", reason=Message("{problem}", problem=problem)
    )


def _unread_notices(unread: Sequence[RankRecord]) -> list[Notice]:
    return [
        Notice(
            code="rank_unreadable",
            message=Message(
                _("rank {rank} was left out ({path}): {reason}"),
                rank=name_of(record),
                path=record.path,
                reason=record.reason,
            ),
        )
        for record in unread
    ]


def _all_failed(failed: Sequence[tuple[Place, Exception]]) -> Exception:
    """One failure speaks for itself; of many the first is told with their number. A bug of ours stays a bug."""
    first = failed[0][1]
    for _place, error in failed:
        if not isinstance(error, SkadvisorError):
            return error
    if len(failed) == 1 or not isinstance(first, SkadvisorError):
        return first
    kind = type(first) if all(type(error) is type(first) for _place, error in failed) else InputError
    return kind(f"none of {len(failed)} ranks could be answered; the first: {first.message}", first.hint)
