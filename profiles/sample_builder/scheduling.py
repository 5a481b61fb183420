"""Places kernels on the clock: graph gaps, host dispatch, pieces of a graph, auxiliary streams.

The device starts a kernel when its stream is free, when what it waits for has ended, and when the host has
launched it. In graph mode the host launches the whole graph (or each piece) once; in eager mode each kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sample_builder.noise import Noise
from sample_builder.operation import COMMUNICATION
from sample_builder.step import Placed

#: Regions that the engine keeps outside a captured ACL graph.
OUTSIDE_ACL_GRAPH = ("prepare", "head", "sampling")

#: Host time for one eager kernel by role, us; from the real eager capture.
HOST_US = {
    "rope": 205.0,
    "kv_cache": 112.0,
    "attention_core": 92.0,
    "out_proj": 82.0,
    "residual_norm": 60.0,
    "sampling": 95.0,
    "prepare": 70.0,
}
HOST_DEFAULT_US, HOST_SAME_CALL_US, HOST_TRITON_US = 46.0, 2.5, 190.0
#: Host time in a piecewise graph, us: eager kernels between the pieces, and one launch of a piece.
PIECE_HOST_US = {"kv_cache": 270.0, "attention_core": 320.0}
PIECE_LAUNCH_US = 345.0
#: From launch to start on an idle device, us.
LAUNCH_LATENCY_US = 9.0


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A kernel with name and duration, and the smallest gap before it.

    `captured` says that a graph holds it, `ge` that it is a GE graph; `piece` numbers the graphs of a step.
    `members` are the kernels that a SuperKernel stands for.
    """

    placed: Placed
    name: str
    duration_ns: int
    gap_ns: int
    host_ns: int
    captured: bool
    piece: int = 0
    ge: bool = False
    members: tuple[Planned, ...] = ()


@dataclass(frozen=True)
class Started:
    """A kernel on the clock. Stream, task and model are None where the profiler writes nothing."""

    planned: Planned
    start_ns: int
    duration_ns: int
    launch_ns: int
    stream: int | None
    task: int | None
    model: int | None
    kind: str = "kernel"

    @property
    def end_ns(self) -> int:
        """When it ended, ns."""
        return self.start_ns + self.duration_ns


@dataclass
class _Clock:
    host: int
    lanes: dict[str, int] = field(default_factory=dict)
    tasks: dict[int, int] = field(default_factory=dict)

    def free(self, lane: str) -> int:
        return self.lanes.get(lane, 0)

    def next_task(self, stream: int) -> int:
        self.tasks[stream] = self.tasks.get(stream, -1) + 1
        return self.tasks[stream]


def is_captured(placed: Placed, mode: str) -> bool:
    """Whether a graph of this mode holds the kernel."""
    if mode == "eager":
        return False
    if mode == "ge_graph":
        return True
    outside = placed.operation.region in OUTSIDE_ACL_GRAPH
    return not outside and not (mode == "piecewise_graph" and placed.operation.leaves_graph)


def graph_gap_ns(mode: str, noise: Noise) -> int:
    """The gap between two tasks of one graph: 0.02 to 1.4 us in a GE graph, 0 to 0.2 us in an ACL graph, ns."""
    if mode == "ge_graph":
        return round(noise.gap(20.0, 1400.0))
    return round(noise.gap(0.0, 200.0))


def host_ns(placed: Placed, previous: Placed | None, mode: str, noise: Noise) -> int:
    """Host time spent before this eager kernel is launched, ns."""
    operation = placed.operation
    before = previous.operation if previous else None
    same_call = (
        before is not None
        and bool(operation.call)
        and before.op_type != operation.op_type
        and before.call.split("_")[0] == operation.call.split("_")[0]
    )
    if same_call:
        value = HOST_SAME_CALL_US
    elif operation.host_us is not None:
        value = operation.host_us
    elif mode == "piecewise_graph" and operation.role in PIECE_HOST_US:
        value = PIECE_HOST_US[operation.role]
    elif operation.triton:
        value = HOST_TRITON_US
    else:
        value = HOST_US.get(operation.role, HOST_DEFAULT_US)
    return round(1000 * value * noise.factor(0.25))


def schedule(
    steps: Sequence[Sequence[Planned]],
    *,
    start_ns: int,
    between_steps_ns: Sequence[int],
    first_stream: int,
    level0_streams: bool = False,
) -> list[Started]:
    """Run the steps one after another; `between_steps_ns` is host time before each step's first launch."""
    clock = _Clock(host=start_ns)
    started: list[Started] = []
    for planned, pause in zip(steps, between_steps_ns, strict=True):
        busy_until = max(clock.lanes.values(), default=start_ns)
        clock.host = max(clock.host, busy_until) + pause
        clock.tasks = {stream: task for stream, task in clock.tasks.items() if stream == first_stream}
        started += _run_step(planned, clock, first_stream)
    return started


def _run_step(planned: Sequence[Planned], clock: _Clock, first_stream: int) -> list[Started]:
    started: list[Started] = []
    previous: Planned | None = None
    launch = clock.host
    for item in planned:
        if item.captured:
            if previous is None or not previous.captured or previous.piece != item.piece:
                clock.host += item.host_ns
                launch = clock.host
        else:
            clock.host += item.host_ns
            launch = clock.host
        started += _start(item, clock, launch, first_stream)
        previous = item
    return started


def _start(item: Planned, clock: _Clock, launch: int, first_stream: int) -> list[Started]:
    operation = item.placed.operation
    lane = operation.lane
    earliest = max(clock.free(lane), launch + round(LAUNCH_LATENCY_US * 1000) - item.gap_ns)
    if operation.fork:
        earliest = max(earliest, clock.free("main"))
    for other in operation.joins:
        earliest = max(earliest, clock.free(other))
    start = earliest + item.gap_ns
    end = start + item.duration_ns
    clock.lanes[lane] = end
    stream = _stream(item, first_stream)
    model = 20 + item.piece if item.captured else None
    started = Started(item, start, item.duration_ns, launch, stream, None, None)
    if operation.core == COMMUNICATION:
        clock.lanes["main"] = max(clock.free("main"), end)
        return _collective_rows(started, clock.next_task(stream))
    shown_model = None if item.captured and operation.triton else model
    return [replace(started, task=clock.next_task(stream), model=shown_model)]


def _collective_rows(whole: Started, task: int) -> list[Started]:
    """The summary row, without a stream, and the vector kernel that does the work, on the collective's stream."""
    inside = min(whole.duration_ns // 10, 400)
    start_ns, duration_ns = whole.start_ns + inside, whole.duration_ns - 2 * inside
    part = replace(whole, start_ns=start_ns, duration_ns=duration_ns, task=task, kind="collective_part")
    return [replace(whole, stream=None, kind="collective"), part]


#: Streams of the auxiliary lanes, counted from the main stream of the graph.
LANE_OFFSETS = {"main": 0, "shared": 1, "comm": 2, "experts": 3, "indexer": 4}


def _stream(item: Planned, first_stream: int) -> int:
    offset = LANE_OFFSETS[item.placed.operation.lane]
    if not item.captured:
        return first_stream + offset
    return first_stream + 10 + 6 * ((item.piece * 37) % 101) + offset
