"""Whether captures that were given together are the ranks of one run; others are listed and never merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from skadvisor.errors import InputError
from skadvisor.text.messages import Message, _

#: Ranks of one run are recorded at the same time; clocks of machines differ by less than this, ns.
FAR_APART_NS = 60 * 10**9
MOST_LISTED = 8


@dataclass(frozen=True)
class Member:
    """What tells a rank's run: where it is, its rank, phase, width of the residual stream, and recorded time (ns)."""

    path: str
    rank: int | None
    phase: str
    hidden: int | None
    span_ns: tuple[int, int] | None


def check_one_run(members: Sequence[Member]) -> None:
    """Raise InputError where a rank was recorded twice, models or phases differ, or captures lie far apart in time.

    Ranks that only prefill and ranks that only decode may be numbered alike: they are two groups of one service.
    """
    by_rank: dict[tuple[int, str], list[Member]] = defaultdict(list)
    for member in members:
        if member.rank is not None:
            by_rank[member.rank, member.phase].append(member)
    twice = max(by_rank.values(), key=len, default=[])
    if len(twice) > 1:
        raise _several(
            members, Message(_("rank {rank} was recorded {count} times"), rank=twice[0].rank, count=len(twice)), twice
        )
    models = {member.hidden: member for member in members if member.hidden is not None}
    if len(models) > 1:
        widths = ", ".join(str(hidden) for hidden in sorted(models))
        raise _several(
            members, Message(_("other models (hidden sizes {widths})"), widths=widths), list(models.values())
        )
    unnumbered = {member.phase: member for member in members if member.rank is None}
    spans = [member.span_ns for member in unnumbered.values() if member.span_ns is not None]
    if len(unnumbered) > 1 and spans and max(begin for begin, _end in spans) > min(end for _begin, end in spans):
        # without ranks only being recorded at the same time says that they belong together
        raise _several(
            members,
            Message(_("other phases without a rank ({phases})"), phases=", ".join(sorted(unnumbered))),
            list(unnumbered.values()),
        )
    for phase in {member.phase for member in members}:
        _check_time(members, [member for member in members if member.phase == phase])


def _check_time(members: Sequence[Member], group: Sequence[Member]) -> None:
    timed = sorted((member.span_ns, member.path, member) for member in group if member.span_ns is not None)
    reach = timed[0][0][1] if timed else 0
    for (start, end), _path, member in timed:
        # captures without a rank are ranks of one run only if they were recorded at the same time
        if start - reach > (0 if member.rank is None else FAR_APART_NS):
            why = Message(_("other sessions ({apart:.0f} s apart)"), apart=(start - reach) / 1e9)
            raise _several(members, why, [timed[0][2], member])
        reach = max(reach, end)


def _several(members: Sequence[Member], why: Message, choice: Sequence[Member]) -> InputError:
    more = f" and {len(choice) - MOST_LISTED} more" if len(choice) > MOST_LISTED else ""
    places = ", ".join(member.path for member in choice[:MOST_LISTED])
    return InputError(
        _("the {count} captures are not one run: {why}"),
        _("Give those of one run: one of {places}{more}, or a folder of one run."),
        count=len(members),
        why=why,
        places=places,
        more=more,
    )
