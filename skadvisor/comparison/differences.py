"""What forbids comparing two captures: they are not two runs of one program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from skadvisor.comparison.alignment import AlignedRuns
from skadvisor.comparison.records import Reason
from skadvisor.records import NOISE_PCT
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.superkernel_names import superkernel_rows

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis

#: Below this share of AFTER's kernels with a twin in BEFORE, the two are different programs.
SAME_PROGRAM = 0.8
#: Operators that a reason names.
MOST_LISTED = 5


def find_differences(before: Sequence[Analysis], after: Sequence[Analysis], runs: AlignedRuns) -> tuple[Reason, ...]:
    """What forbids comparing: phase, mode, ranks, batch, layers, shapes, kernels. Empty where nothing does."""
    found: list[Reason] = []

    def differ(code: str, template: str, **values: Any) -> None:
        found.append(Reason(code=code, message=Message(template, **values)))

    for name, steps in (("BEFORE", runs.before), ("AFTER", runs.after)):
        if not steps:
            differ("phase", _("{name} has no steady decode step, and is no graph without decoder layers"), name=name)
    if found:
        return tuple(found)
    if any(superkernel_rows(item.kernels).any() for item in before) and not runs.superkernels:
        differ("order", _("BEFORE has SuperKernels and AFTER has none: give them the other way round"))
    first, second = before[0].result, after[0].result
    modes = {item.result.mode for item in (*before, *after)} - {"unknown"}
    if len(modes) > 1:
        differ("mode", _("one is eager, the other a graph: the change of mode would be counted as gain"))
    ranks_before, ranks_after = _ranks(before), _ranks(after)
    several = max(ranks_before, ranks_after, key=len)
    if len(several) > 1:
        differ("ranks", _("ranks {ranks} of a run are no runs: compare one rank over all runs"), ranks=sorted(several))
    elif ranks_before and ranks_after and ranks_before != ranks_after:
        differ(
            "ranks",
            _("the ranks differ: {before} and {after}"),
            before=sorted(ranks_before),
            after=sorted(ranks_after),
        )
    tokens = [item.result.phases["decode"].tokens for item in (*before, *after) if "decode" in item.result.phases]
    known = {number for number in tokens if number is not None}
    if len(known) > 1:
        differ("batch", _("the batch differs: {tokens} tokens per decode step"), tokens=sorted(known))
    if runs.unit == "steps" and not runs.superkernels and first.layers.count != second.layers.count:
        differ(
            "layers",
            _("the number of decoder layers differs: {before} and {after}"),
            before=first.layers.count,
            after=second.layers.count,
        )
    if runs.superkernels and (missing := _missing_layers(runs)):
        differ("layers", _("layers of BEFORE are not in AFTER: {layers}"), layers=missing)
    if not runs.held_share:
        differ("shapes", _("nothing of BEFORE is found again in AFTER, neither as a kernel nor in a SuperKernel"))
    elif runs.unit != "steps" and runs.unmapped and runs.held_share == 1:
        differ("shapes", _("AFTER has {count} SuperKernels for which BEFORE has no kernels"), count=len(runs.unmapped))
    elif runs.matched_share < SAME_PROGRAM:
        differ(
            "shapes",
            _("only {share:.0%} of the kernels of AFTER occur in BEFORE with the same operator and shapes"),
            share=runs.matched_share,
        )
    if not found:
        found += _unshared(before, after, runs)
    return tuple(found)


def _unshared(before: Sequence[Analysis], after: Sequence[Analysis], runs: AlignedRuns) -> Iterator[Reason]:
    """Runs with more or fewer kernels than BEFORE: their step is another, and what it gained or lost is no gain."""
    for one in runs.unshared:
        if 100 * one.share > NOISE_PCT:
            lost = _("{name} lacks {share:.1%} of the step of BEFORE, and no SuperKernel holds it: {operators}")
            added = _("{name} has what BEFORE lacks, {share:.1%} of the step: {operators}")
            side, name = (after, "AFTER") if one.after else (before, "BEFORE")
            name = name if len(side) == 1 else f"{name} ({side[one.run].result.captures[0].path})"
            operators = ", ".join(one.operators[:MOST_LISTED])
            text = lost if one.lost else added
            yield Reason(code="kernels", message=Message(text, name=name, share=one.share, operators=operators))


def _missing_layers(runs: AlignedRuns) -> list[int]:
    """Layers of BEFORE of which AFTER holds nothing, neither as kernels nor inside a SuperKernel."""
    wanted = {int(layer) for layer in runs.before[0].kernels["layer"].dropna()}
    held = {layer for site in runs.sites for layer in site.layers}
    for times in runs.times_after:
        held |= {int(layer) for layer in times.layers["layer"]}
    return sorted(wanted - held) if not runs.unmapped else []


def _ranks(analyses: Sequence[Analysis]) -> set[int]:
    return {record.rank for item in analyses for record in item.result.captures if record.rank is not None}
