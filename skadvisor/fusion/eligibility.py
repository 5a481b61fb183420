"""Can a scope work at all here? One function per check; each finding says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from skadvisor.fusion.overlaps import count_streams
from skadvisor.fusion.readings import cann_version, families, mode_of
from skadvisor.records import Finding, Status, finding
from skadvisor.text.messages import Message, _, listed
from skadvisor.units import us
from skadvisor.vocabulary.arrays import Flags, Floats, Ints, Words

if TYPE_CHECKING:
    from skadvisor.accounting.situation import Situation
    from skadvisor.fusion.preview import Preview

FIRST_CANN_OF_NPUGRAPH_EX = (9,)
CUBE_CORES = ("AI_CORE", "MIX_AIC")

#: A Situation and the kernels inside the scope lead to one finding, or none where it is no topic.
Check = Callable[["Situation", "Inside"], "Finding | None"]


@dataclass(frozen=True, eq=False)
class Inside:
    """The kernels of a step that lie in a scope: positions in the step, and columns at these positions."""

    preview: Preview
    rows: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def words(self, name: str) -> Words:
        return self.preview.judged.step.plain.words(name)[self.rows]

    def numbers(self, name: str) -> Floats:
        return self.preview.judged.step.plain.numbers(name)[self.rows]

    @cached_property
    def streams(self) -> int:
        """The most streams that one scope spans."""
        return count_streams(self.preview.judged.step.plain, self.preview.scope)

    def operators(self, chosen: Flags, most: int) -> str:
        """The operator types of some of the kernels, by name."""
        return ", ".join(sorted(set(self.preview.judged.op_type[self.rows[chosen]].tolist()))[:most])


def check(situation: Situation, preview: Preview) -> tuple[Finding, ...]:
    """All findings on one template's scope."""
    inside = Inside(preview, np.flatnonzero(preview.inside))
    found = (one(situation, inside) for one in CHECKS)
    return tuple(finding for finding in found if finding is not None)


def check_mode(situation: Situation, inside: Inside) -> Finding | None:
    """Fusion needs a compiled graph."""
    source = _("works in GE graphs and in npugraph_ex with static kernels, not in eager mode")
    if situation.mode == "eager":
        text = _("the capture is eager; SuperKernel works in graph mode only")
        remedy = _("run decode in graph mode first (GE graph, or npugraph_ex with static kernels)")
        return finding("mode", "block", text, remedy, source)
    if situation.mode == "unknown":
        text = _("the capture does not say whether a graph ran")
        return finding("mode", "unknown", text, _("make sure that decode runs as a static graph"), source)
    if situation.graph_kind is not None and "acl" in situation.graph_kind.lower():
        text = _("the graph is a replayed ACL graph, which is not compiled as a whole")
        return finding("mode", "warn", text, _("use npugraph_ex with static_kernel_compile, or a GE graph"), source)
    return finding("mode", "pass", _("decode runs as a graph"), source=source)


def check_shapes(situation: Situation, inside: Inside) -> Finding | None:
    """Dynamic operators do not fuse; in eager mode every operator is dynamic, which says nothing."""
    source = _("compile log: SuperKernelPass only supports static graphs")
    state = inside.words("state")
    if situation.mode == "eager" or all(word is None for word in state):
        text = _("the capture does not tell whether the graph would have static shapes")
        return finding("shapes", "unknown", text, _("compile with dynamic=False"), source)
    dynamic = int((state == "dynamic").sum())
    if dynamic:
        text = _("{count} of {all} kernels in scope are dynamic")
        remedy = _("compile the decode graph with static shapes (dynamic=False)")
        return finding("shapes", "warn", text, remedy, source, count=dynamic, all=len(inside))
    return finding("shapes", "pass", _("all kernels in scope are static"), source=source)


def check_streams(situation: Situation, inside: Inside) -> Finding | None:
    """More than one stream in a scope, and what would be lost if they no longer overlapped."""
    source = _("GE option stream-fusion; compile log: do not support more than 2 real stream")
    if np.isnan(inside.numbers("stream")).any():
        text = _("the capture has no stream of some kernels")
        return finding("streams", "unknown", text, _("record at Level1"), source)
    if inside.streams <= 1:
        return finding("streams", "pass", _("each scope has one stream"), source=source)
    text = _("a scope spans {streams} streams; {us:.1f} us per step overlap and may be serialised")
    remedy = _(
        "set stream-fusion=1 where pure Cube runs beside pure Vector work; else one scope per stream, or smaller"
    )
    overlap = us(inside.preview.overlaps.total_ns)
    return finding("streams", "warn", text, remedy, source, streams=inside.streams, us=overlap)


def check_core_limits(situation: Situation, inside: Inside) -> Finding | None:
    """Streams that were given different numbers of cores need scopes of their own."""
    if inside.streams <= 1:
        return None
    blocks, stream = inside.numbers("blocks"), inside.numbers("stream")
    cube = np.isin(inside.words("core"), CUBE_CORES) & ~np.isnan(blocks) & ~np.isnan(stream)
    limits = {int(blocks[cube & (stream == one)].max()) for one in np.unique(stream[cube])}
    if len(limits) <= 1:
        return None
    text = _("the streams of a scope use at most {limits} Cube cores: core limits differ")
    remedy = _("place one scope per stream and core limit, as the published three-scope example does")
    source = _("different core limits need separate scopes")
    return finding("core_limits", "warn", text, remedy, source, limits=", ".join(map(str, sorted(limits))))


def check_already_fused(situation: Situation, inside: Inside) -> Finding | None:
    """A capture with SuperKernels in it is no baseline."""
    found = int((inside.preview.judged.op_type == "SuperKernel").sum())
    if not found:
        return None
    text = _("SuperKernel is on already: {count} of them run in the step")
    remedy = _("judge it with: skadvisor compare BEFORE AFTER; for a forecast, record with SuperKernel off")
    return finding("superkernel", "block", text, remedy, _("operator type SuperKernel"), count=found)


def check_cores(situation: Situation, inside: Inside) -> Finding | None:
    """A SuperKernel runs with the most cores that any part uses; SyncAll parts with fewer cores can hang."""
    source = _("core counts of a SuperKernel; option feed-sync-all; 1:1 MIX runs at 1:2")
    blocks, core, others = inside.numbers("blocks"), inside.words("core"), inside.numbers("mix_blocks")
    known = ~np.isnan(blocks)
    if not known.any():
        return finding("cores", "unknown", _("the capture has no core counts (Block Dim)"), source=source)
    cube = blocks[known & np.isin(core, CUBE_CORES)]
    mixed = known & ((core == "MIX_AIC") | (core == "MIX_AIV"))
    mix, one_to_one = int(mixed.sum()), int((mixed & (others == blocks)).sum())
    if not mix and len(np.unique(cube)) <= 1:
        return finding("cores", "pass", _("one core count in scope"), source=source)
    text = _("{mix} kernels use Cube and Vector cores together ({one} of them 1:1); Cube core counts {low} to {high}")
    remedy = _("if it hangs, set feed-sync-all=1 and compare the Block Dim of operators that use SyncAll")
    low, high = (int(cube.min()), int(cube.max())) if len(cube) else (0, 0)
    status: Status = "warn" if mix else "pass"
    return finding("cores", status, text, remedy, source, mix=mix, one=one_to_one, low=low, high=high)


def check_collectives(situation: Situation, inside: Inside) -> Finding | None:
    """Stand-alone collectives inside the scope fuse only when they run on vector cores."""
    found = int((inside.words("region") == "comm").sum())
    if not found:
        return None
    status: Status = "pass" if situation.aiv_expansion else "warn"
    text = _("{count} collectives per step lie in scope")
    remedy = _("set HCCL_OP_EXPANSION_MODE=AIV; otherwise each of them ends a fragment")
    source = _("four types of collectives keep a scope, where an AIV algorithm runs them")
    return finding("collectives", status, text, remedy, source, count=found)


def check_aicpu(situation: Situation, inside: Inside) -> Finding | None:
    """AI CPU tasks always break."""
    chosen = inside.words("core") == "AI_CPU"
    source = _("reason word DEFAULT_NODE")
    if not chosen.any():
        return finding("aicpu", "pass", _("no AI CPU task in scope"), source=source)
    text = _("{count} AI CPU tasks in scope: {names}")
    remedy = _("change the data type or the operator so that it runs on AI Core, or move it out")
    names = inside.operators(chosen, 3)
    return finding("aicpu", "warn", text, remedy, source, count=int(chosen.sum()), names=names)


def check_tiling(situation: Situation, inside: Inside) -> Finding | None:
    """Operators whose tiling depends on values fuse only when the tiling is sunk to the device."""
    needing = inside.preview.judged.needs[inside.rows] == "tiling_sink"
    if not needing.any():
        return None
    statuses: dict[bool | None, Status] = {True: "pass", False: "warn", None: "unknown"}
    text = _("{names} ({count} per step): fused only where tiling is sunk")
    remedy = _("switch tiling sink on (tiling_schedule_optimize), or leave them outside the scope")
    source = _("tiling-offload operators that are not tiling-sunk break; reason word DYNAMIC_TASK_UNSUPPORT")
    names, count = inside.operators(needing, 3), int(needing.sum())
    return finding("tiling", statuses[situation.tiling_sink], text, remedy, source, names=names, count=count)


def check_custom(situation: Situation, inside: Inside) -> Finding | None:
    """Triton and operators that no rule knows: they may not be bound for SuperKernel, or break data coherence."""
    names = inside.words("name").tolist()
    triton = np.array([name is not None and "triton" in name.lower() for name in names], dtype=bool)
    unknown = (inside.preview.judged.fusible[inside.rows] == "unknown") & ~triton
    if not triton.any() and not unknown.any():
        return finding("custom", "pass", _("all operators in scope are known"))
    said = [
        Message(sentence, count=int(chosen.sum()), names=inside.operators(chosen, 4))
        for sentence, chosen in (
            (_("Triton kernels per step: {count} ({names})"), triton),
            (_("kernels per step that no rule settles: {count} ({names})"), unknown),
        )
        if chosen.any()
    ]
    return Finding(
        check="custom",
        status="warn" if triton.any() else "unknown",
        message=listed(said, "; "),
        remedy=Message(
            _("custom operators must be bound for SuperKernel and keep the data cache coherent: compare outputs")
        ),
        source=_("custom operators fuse only if bound for SuperKernel"),
    )


def check_single(situation: Situation, inside: Inside) -> Finding | None:
    """A scope that falls apart into single kernels costs and wins nothing."""
    fragments = inside.preview.fragments
    if not fragments.kernels:
        return None
    source = _("a breaker ends a fragment, fusion resumes after it")
    removed, boundaries = fragments.boundaries_removed, fragments.boundaries
    if removed * 2 < boundaries:
        text = _("breakers leave {removed} of {all} boundaries to remove; {single} fragments are single kernels")
        remedy = _("see the breakers; a smaller scope between them wins the same")
        single = fragments.single_kernel
        return finding("fragments", "warn", text, remedy, source, removed=removed, all=boundaries, single=single)
    text = _("{removed} of {all} boundaries can go")
    return finding("fragments", "pass", text, source=source, removed=removed, all=boundaries)


def check_hardware(situation: Situation, inside: Inside) -> Finding | None:
    """A2, A3 and 950 by the newest documents."""
    source = _("newest documents: A2, A3 and 950; older ones say A3 only")
    known: dict[str, Status] = {"A3": "pass", "950": "pass", "A2": "warn"}
    statuses = {known.get(family, "block") for family in families(situation.hardware)}
    status: Status = statuses.pop() if len(statuses) == 1 else "unknown"
    unknown = situation.hardware == "unknown"
    message = Message(_("the chip is unknown") if unknown else "{name}", name=situation.hardware)
    if situation.hardware_known_by is not None:
        message = Message(_("{fact} ({how})"), fact=message, how=situation.hardware_known_by)
    return Finding(
        check="hardware",
        status=status,
        message=message,
        remedy=None if status == "pass" else Message(_("check that your CANN version names this hardware")),
        source=source,
    )


def check_version(situation: Situation, inside: Inside) -> Finding | None:
    """npugraph_ex has had SuperKernel since CANN 9.0."""
    if mode_of(situation.graph_kind) != "npugraph_ex" or situation.cann is None:
        return None
    if cann_version(situation.cann) >= FIRST_CANN_OF_NPUGRAPH_EX:
        return None
    text = _("npugraph_ex has SuperKernel from CANN 9.0 on; this is {version}")
    source = _("graph-autofusion has no super_kernel/src/aot before 9.0")
    return finding("version", "warn", text, _("use CANN 9.0 or later, or a GE graph"), source, version=situation.cann)


CHECKS: tuple[Check, ...] = (
    check_already_fused,
    check_mode,
    check_hardware,
    check_version,
    check_shapes,
    check_streams,
    check_cores,
    check_core_limits,
    check_collectives,
    check_aicpu,
    check_tiling,
    check_custom,
    check_single,
)
