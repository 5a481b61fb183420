"""The annotated trace: the kernels with lanes for steps, layers, regions, fragments and breakers beside them.

Chrome's trace event format, which Perfetto and MindStudio Insight read too. Times are rebased to zero and written with
three decimals of a microsecond: epoch times would exceed what viewers hold exactly, and would nest kernels wrongly.
`otherData` says the moment that is zero here, so that the lanes can be laid over the original, and what they are of.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skadvisor.records import REGIONS, Result
from skadvisor.report.wording import LAYER_KIND_NAMES, PHASE_NAMES, Wording
from skadvisor.text.messages import _

if TYPE_CHECKING:
    import pandas as pd

ANALYSIS, DEVICE = 1, 2
#: Columns that a kernel's slice shows.
KERNEL_ARGS = (
    "op_type",
    "region",
    "role",
    "layer",
    "confidence",
    "input_shapes",
    "core",
    "evidence",
    "fusible",
    "fragment",
)


@dataclass(frozen=True)
class Slice:
    """One slice of a lane, in ns since the first kernel."""

    start_ns: int
    end_ns: int
    name: str
    args: dict[str, Any] = field(default_factory=dict)


def render_trace(result: Result, kernels: pd.DataFrame, steps: pd.DataFrame, *, language: str = "en") -> bytes:
    """The trace as gzipped JSON. `kernels` has KERNEL_COLUMNS and LABEL_COLUMNS, `steps` STEP_COLUMNS.

    Fragments and what ends them are drawn where the table has the columns `step`, `fragment`, `fusible` and `in_scope`.
    """
    wording = Wording(language)
    kernels = kernels.sort_values("start_ns", kind="stable", ignore_index=True)
    zero = int(kernels["start_ns"].min()) if len(kernels) else 0
    frame = kernels.assign(start=kernels["start_ns"] - zero, end=kernels["start_ns"] + kernels["dur_ns"] - zero)
    lanes: list[tuple[int, str, list[Slice]]] = [
        (ANALYSIS, wording.say(_("steps")), list(_step_slices(steps, zero, wording))),
        (ANALYSIS, wording.say(_("layers")), list(_layer_slices(frame, wording))),
    ]
    lanes += [(ANALYSIS, wording.region(region), list(_region_slices(frame, region, wording))) for region in REGIONS]
    if "fragment" in frame:
        lanes += [
            (ANALYSIS, wording.say(_("fragments")), list(_fragment_slices(frame, wording))),
            (ANALYSIS, wording.say(_("breakers")), list(_breaker_slices(frame, "unlikely"))),
            (ANALYSIS, wording.say(_("may break")), list(_breaker_slices(frame, "unknown"))),
        ]
    for stream, rows in frame.groupby(frame["stream"].astype("object").fillna(-1), sort=True):
        name = wording.say(_("stream {stream}"), stream=stream) if stream != -1 else wording.say(_("stream unknown"))
        lanes.append((DEVICE, name, list(_kernel_slices(rows))))
    return _write(_events([lane for lane in lanes if lane[2]], wording), _about(result, zero))


def _about(result: Result, zero: int) -> dict[str, str]:
    """What the trace is of; `base_time_ns` is the moment of zero by the capture's clock."""
    return {
        "base_time_ns": str(zero),
        "base_time_us": f"{zero // 1000}.{zero % 1000:03d}",
        "capture": ", ".join(capture.path for capture in result.captures),
        "tool": f"{result.tool.name} {result.tool.version}",
    }


def _step_slices(steps: pd.DataFrame, zero: int, wording: Wording) -> Iterator[Slice]:
    columns = ["step", "phase", "start_ns", "end_ns", "steady", "layers"]
    for step, phase, start, end, steady, layers in steps[columns].itertuples(index=False, name=None):
        name = wording.say(_("step {step}, {phase}"), step=int(step), phase=wording.name(PHASE_NAMES, str(phase)))
        yield Slice(int(start) - zero, int(end) - zero, name, {"steady": bool(steady), "layers": int(layers)})


def _layer_slices(frame: pd.DataFrame, wording: Wording) -> Iterator[Slice]:
    inside = frame[frame["layer"].notna()]
    for (step, layer), rows in inside.groupby(["step", "layer"], sort=True):
        kind = wording.name(LAYER_KIND_NAMES, str(rows["layer_kind"].iloc[0]))
        name = wording.say(_("layer {layer} ({kind})"), layer=int(layer), kind=kind)
        yield Slice(int(rows["start"].min()), int(rows["end"].max()), name, {"step": int(step), "kernels": len(rows)})


def _region_slices(frame: pd.DataFrame, region: str, wording: Wording) -> Iterator[Slice]:
    """The union of the region's kernels, split where another layer or step begins."""
    rows = frame[frame["region"] == region]
    name = wording.region(region)
    open_slice: tuple[Any, int, int, int] | None = None
    where = zip(rows["step"], rows["layer"].astype("object").fillna(-1), rows["start"], rows["end"], strict=True)
    for step, layer, start, end in where:
        place = (int(step), int(layer))
        if open_slice is not None and open_slice[0] == place and start <= open_slice[2] + 2_000:
            open_slice = (place, open_slice[1], max(open_slice[2], int(end)), open_slice[3] + 1)
            continue
        if open_slice is not None:
            yield _region_slice(open_slice, name)
        open_slice = (place, int(start), int(end), 1)
    if open_slice is not None:
        yield _region_slice(open_slice, name)


def _region_slice(found: tuple[Any, int, int, int], name: str) -> Slice:
    (step, layer), start, end, count = found
    args = {"step": step, "kernels": count}
    return Slice(start, end, name, args if layer < 0 else {**args, "layer": layer})


def _kernel_slices(rows: pd.DataFrame) -> Iterator[Slice]:
    columns = [name for name in KERNEL_ARGS if name in rows]
    values = zip(*(rows[name].astype("object") for name in columns), strict=True) if columns else iter(())
    for start, end, name, cells in zip(rows["start"], rows["end"], rows["name"].astype("object"), values, strict=True):
        args = {key: _plain(value) for key, value in zip(columns, cells, strict=True) if _known(value)}
        yield Slice(int(start), int(end), str(name), args)


def _known(value: Any) -> bool:
    # Missing values come as None, NaN or NA by column; NA refuses comparison.
    return str(value) not in ("None", "nan", "<NA>")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else round(number, 4)


def _fragment_slices(frame: pd.DataFrame, wording: Wording) -> Iterator[Slice]:
    """Every fragment from its first kernel to its last, however many layers it reaches over."""
    inside = frame[frame["fragment"].notna()]
    for (step, fragment), rows in inside.groupby(["step", "fragment"], sort=True):
        name = wording.say(_("fragment {number}: {count} kernels"), number=int(fragment), count=len(rows))
        layers = rows["layer"].dropna()
        args = {"step": int(step), "fragment": int(fragment), "kernels": len(rows)}
        if len(layers):
            args |= {"first_layer": int(layers.min()), "last_layer": int(layers.max())}
        yield Slice(int(rows["start"].min()), int(rows["end"].max()), name, args)


def _breaker_slices(frame: pd.DataFrame, fusible: str) -> Iterator[Slice]:
    rows = frame[frame["in_scope"] & (frame["fusible"].astype("object") == fusible)]
    names = rows["op_type"].astype("object").where(rows["op_type"].notna(), rows["name"].astype("object"))
    for start, end, name, step in zip(rows["start"], rows["end"], names, rows["step"], strict=True):
        yield Slice(int(start), int(end), str(name), {"step": int(step)})


def _events(lanes: Iterable[tuple[int, str, list[Slice]]], wording: Wording) -> Iterator[dict[str, Any]]:
    names = {ANALYSIS: wording.say(_("skadvisor")), DEVICE: wording.say(_("device"))}
    for process, name in names.items():
        yield {"ph": "M", "pid": process, "tid": 0, "name": "process_name", "args": {"name": name}}
        yield {"ph": "M", "pid": process, "tid": 0, "name": "process_sort_index", "args": {"sort_index": process}}
    thread = 0
    for process, name, slices in lanes:
        for depth, packed in enumerate(_pack(slices)):
            thread += 1
            title = name if depth == 0 else wording.say(_("{name} (overlap)"), name=name)
            yield {"ph": "M", "pid": process, "tid": thread, "name": "thread_name", "args": {"name": title}}
            yield {
                "ph": "M",
                "pid": process,
                "tid": thread,
                "name": "thread_sort_index",
                "args": {"sort_index": thread},
            }
            for one in packed:
                yield {
                    "ph": "X",
                    "pid": process,
                    "tid": thread,
                    "ts": one.start_ns / 1000,
                    "dur": (one.end_ns - one.start_ns) / 1000,
                    "name": one.name,
                    "args": one.args,
                }


def _pack(slices: list[Slice]) -> list[list[Slice]]:
    """Spread slices over lanes so that none overlaps another in its lane: viewers would drop or mis-nest them."""
    lanes: list[list[Slice]] = []
    for one in sorted(slices, key=lambda found: (found.start_ns, found.end_ns)):
        for lane in lanes:
            if lane[-1].end_ns <= one.start_ns:
                lane.append(one)
                break
        else:
            lanes.append([one])
    return lanes


def _write(events: Iterator[dict[str, Any]], about: dict[str, str]) -> bytes:
    target = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0, compresslevel=6) as packed:
        head = f'{{"displayTimeUnit":"ns","otherData":{json.dumps(about)},"traceEvents":[\n'
        packed.write(head.encode())
        for place, event in enumerate(events):
            packed.write((",\n" if place else "").encode() + json.dumps(event, ensure_ascii=True).encode())
        packed.write(b"\n]}\n")
    return target.getvalue()
