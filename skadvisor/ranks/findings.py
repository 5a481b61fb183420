"""What the comparison of ranks shows: slow ranks, waiting, uneven expert work, pipeline stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, median

from skadvisor.records import Notice, RankRecord, notice
from skadvisor.text.messages import _

#: Parts of a step below this are not worth a word: steps themselves vary by about as much.
WORTH_SAYING = 0.02
#: Expert work is called uneven where the busiest rank has this many times the mean.
UNEVEN = 1.2
#: Ranks named one by one.
NAMED = 4


def rank_findings(records: Sequence[RankRecord], pipeline: bool) -> tuple[list[RankRecord], list[Notice]]:
    """The records with slow ranks marked, and notices. `pipeline`: the stages are known to be pipeline stages."""
    stages = sorted({record.stage for record in records if record.stage is not None})
    notices: list[Notice] = []
    marked: dict[int, RankRecord] = {}
    for stage in stages:
        members = [(place, record) for place, record in enumerate(records) if record.stage == stage]
        group = [record for _place, record in members]
        slow = _slow(group)
        for (place, record), is_slow in zip(members, slow, strict=True):
            marked[place] = replace(record, slow=is_slow)
        notices += _slow_notice([record for record, is_slow in zip(group, slow, strict=True) if is_slow], group)
        notices += _expert_notice(group)
    notices += _wait_notice(records)
    notices += _stage_notice(records, stages, pipeline)
    choices = {record.choice for record in records if record.choice is not None}
    if len(choices) > 1:
        text = _("the ranks alone would be told different things: {choices}; one code runs on all of them")
        notices.append(notice("ranks_disagree", text, choices=", ".join(sorted(choices))))
    return [marked.get(place, record) for place, record in enumerate(records)], notices


def _slow(group: Sequence[RankRecord]) -> list[bool]:
    """A rank is slow if the others wait in collectives, and it does not; without collectives, if its step is longer."""
    waits = [record.wait_us for record in group]
    walls = [record.wall_us for record in group if record.wall_us is not None]
    if len(group) < 2 or not walls:
        return [False] * len(group)
    limit = WORTH_SAYING * median(walls)
    if all(wait is not None for wait in waits):
        typical = median(wait for wait in waits if wait is not None)
        return [wait is not None and typical - wait > limit for wait in waits]
    return [record.wall_us is not None and record.wall_us - median(walls) > limit for record in group]


def _slow_notice(slow: Sequence[RankRecord], group: Sequence[RankRecord]) -> list[Notice]:
    if not slow:
        return []
    waits = [record.wait_us for record in group if record.wait_us is not None and record not in slow]
    if waits:
        text = _("slow: rank {ranks}; the other ranks wait {wait:,.1f} us per step for it in collectives (median)")
        return [notice("rank_slow", text, ranks=_names(slow), wait=median(waits))]
    text = _("slow: rank {ranks}; its steps take longer than those of the others")
    return [notice("rank_slow", text, ranks=_names(slow))]


def _wait_notice(records: Sequence[RankRecord]) -> list[Notice]:
    known = [
        (record.wait_us, record.comm_us, record.wall_us)
        for record in records
        if record.wait_us is not None and record.comm_us is not None and record.wall_us
    ]
    if not known:
        return []
    share = median(wait / wall for wait, _comm, wall in known)
    if share < WORTH_SAYING:
        return []
    text = _(
        "waiting for other ranks takes {wait:,.1f} of {comm:,.1f} us per step in collectives, {share:.0%} of the step"
    )
    wait, comm, _wall = (median(one) for one in zip(*known, strict=True))
    return [notice("rank_wait", text, wait=wait, comm=comm, share=share)]


def _expert_notice(group: Sequence[RankRecord]) -> list[Notice]:
    times = [(record.expert_us, record) for record in group if record.expert_us]
    if len(times) < 2:
        return []
    average = mean(time for time, _record in times)
    most, busiest = max(times, key=lambda pair: pair[0])
    if most < UNEVEN * average:
        return []
    text = _(
        "expert work is uneven: rank {rank} spends {most:.1f} us per step in expert matmuls, {ratio:.2f} x the mean"
    )
    return [notice("expert_imbalance", text, rank=name_of(busiest), most=most, ratio=most / average)]


def _stage_notice(records: Sequence[RankRecord], stages: Sequence[int], pipeline: bool) -> list[Notice]:
    if len(stages) < 2:
        return []
    described = "; ".join(
        f"{_names([record for record in records if record.stage == stage])}: "
        f"{next(record.layers for record in records if record.stage == stage) or '-'}"
        for stage in stages
    )
    if pipeline:
        text = _("the ranks are pipeline stages with their own layers ({stages})")
        return [notice("pipeline_stages", text, stages=described)]
    return [notice("ranks_differ", _("the ranks do not hold the same layers or phase ({stages})"), stages=described)]


def _names(records: Sequence[RankRecord]) -> str:
    names = [name_of(record) for record in records]
    return ", ".join(names) if len(names) <= NAMED else f"{', '.join(names[: NAMED - 1])}, ... {names[-1]}"


def name_of(record: RankRecord) -> str:
    """The rank as people call it, "?" where it has no number."""
    return "?" if record.rank is None else str(record.rank)
