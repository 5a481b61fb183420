"""One small run, written as each producer and release writes it: headings, lanes, tables and folders of public sources.

`TRUTH` says what every reader must find. Each builder names the source that its form is taken from.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from skadvisor.events import Capture

NO_ID = 4294967295
EPOCH_NS = 1_736_408_883_704_643_212
PROCESS, THREAD = 457065, 457072
DEVICE_PID, COLLECTIVE_PID, CANN_PID = PROCESS * 1024 + 416, PROCESS * 1024 + 480, PROCESS * 1024 + 255


@dataclass(frozen=True)
class Kernel:
    """One kernel or collective of the run; times in ns."""

    start: int
    duration: int
    name: str
    type: str
    core: str
    stream: int | None
    task: int | None
    blocks: int | None = 24
    shapes: str | None = "8,1024;1024,1024"
    connection: int = 0
    launch: int = 0
    core_time: int = 0

    @property
    def collective(self) -> bool:
        return self.core == "COMMUNICATION"


def _kernel(number: int, gap: int, duration: int, *rest: Any, **more: Any) -> Kernel:
    """The kernels lie some us apart; each was launched 3 ms before it ran, and has a connection of its own."""
    start = EPOCH_NS + gap
    return Kernel(
        start,
        duration,
        *rest,
        connection=1000 + number,
        launch=start - 3_000_000,
        core_time=duration * 3 // 4,
        **more,
    )


#: A graph is replayed: the tasks 7 and 8 of stream 31 run twice.
TRUTH: tuple[Kernel, ...] = (
    _kernel(0, 0, 12_340, "aclnnMatmul_MatMulV2", "MatMulV2", "AI_CORE", 31, 7),
    _kernel(1, 14_001, 4_007, "AddRmsNorm_1", "AddRmsNorm", "AI_VECTOR_CORE", 31, 8, blocks=48, shapes="8,1024;1024"),
    _kernel(2, 21_010, 25_999, "hcom_allReduce__586_0_1", "hcom_allReduce_", "COMMUNICATION", None, None, blocks=None),
    _kernel(3, 51_500, 11_803, "aclnnMatmul_MatMulV2", "MatMulV2", "AI_CORE", 31, 7),
    _kernel(4, 65_777, 3_900, "AddRmsNorm_1", "AddRmsNorm", "AI_VECTOR_CORE", 31, 8, blocks=48, shapes="8,1024;1024"),
    _kernel(5, 70_123, 31_058, "FusedInferAttentionScore_2", "FusedInferAttentionScore", "MIX_AIC", 46, 65_535),
    _kernel(6, 110_250, 1_125, "aclnnCast_Cast", "Cast", "AI_CPU", 46, 65_536, blocks=1, shapes="8"),
)
COMPUTE = tuple(kernel for kernel in TRUTH if not kernel.collective)


def microseconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 1000}.{nanoseconds % 1000:03d}"


# Tables of operators

CURRENT = (
    "Device_id,Model ID,Task ID,Stream ID,Op Name,OP Type,OP State,Task Type,Task Start Time(us),Task Duration(us),"
    "Task Wait Time(us),Block Num,Mix Block Num,HF32 Eligible,Input Shapes,Input Data Types,Input Formats,"
    "Output Shapes,Output Data Types,Output Formats,Context ID"
)
#: Name of the form -> its headings, and where they stand.
HEADINGS = {
    # Ascend/msprof, op_summary_assembler.cpp
    "msprof": CURRENT,
    # the same file: a chip without STARS has no context and no second block number
    "msprof on a chip without STARS": CURRENT.replace("Block Num,Mix Block Num", "Block Dim").replace(
        ",Context ID", ""
    ),
    # the same file, with counters (the mask of aiv_total_time names the second pair)
    "msprof with core times": CURRENT + ",aicore_time(us),aic_total_cycles,aic_mac_ratio,aiv_time(us),aiv_total_cycles",
    "msprof with total times": CURRENT + ",aic_total_time(us),aic_total_cycles,aic_mac_ratio,aiv_total_time(us)",
    # kali20gakki/msprof, msconfig export data: CANN 5 and 6
    "msprof of CANN 6": "Model Name,Model ID,Task ID,Stream ID,Infer ID,Op Name,OP Type,Task Type,Task Start Time,"
    "Task Duration(us),Task Wait Time(us),Block Dim,Mix Block Dim,Input Shapes,Input Data Types,Input Formats,"
    "Output Shapes,Output Data Types,Output Formats,aicore_time(us),total_cycles,vec_time(us),vec_ratio",
    # Ascend/pytorch, csv headers of kernel_details
    "torch_npu Level0": "Device_id,Name,Type,Accelerator Core,Start Time(us),Duration(us),Wait Time(us),Block Num",
    # Ascend/pytorch, OpSummaryBean of the first releases
    "first torch_npu": "Step Id,Name,Type,Accelerator Core,Start Time,Duration(us),Wait Time(us),Block Dim,"
    "Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats",
    # mindspore, ascend_kernel_details_viewer.py
    "MindSpore": "Step ID,Model ID,Task ID,Stream ID,Name,Type,OP State,Accelerator Core,Start Time(us),Duration(us),"
    "Wait Time(us),Block Dim,Mix Block Dim,HF32 Eligible,Input Shapes,Input Data Types,Input Formats,"
    "Output Shapes,Output Data Types,Output Formats,Context ID",
}


def _cells(kernel: Kernel) -> dict[str, str]:
    """The cells of one row by the words that all forms share, in lower case without unit."""

    def known(value: Any) -> str:
        return "N/A" if value is None else str(value)

    shapes = "N/A" if kernel.shapes is None or kernel.collective else f'"{kernel.shapes}"'
    return {
        "name": kernel.name,
        "op name": kernel.name,
        "type": kernel.type,
        "op type": kernel.type,
        "op state": "N/A" if kernel.collective else "dynamic",
        "accelerator core": kernel.core,
        "task type": kernel.core,
        "start time": microseconds(kernel.start) + "\t",
        "duration": microseconds(kernel.duration),
        "wait time": "0",
        "block num": "0" if kernel.collective else known(kernel.blocks),
        "block dim": "0" if kernel.collective else known(kernel.blocks),
        "mix block num": "0",
        "mix block dim": "0",
        "model name": "N/A",
        "model id": str(NO_ID),
        "infer id": str(NO_ID),
        "task id": known(kernel.task),
        "stream id": known(kernel.stream),
        "device_id": "0",
        "step id": "",
        "input shapes": shapes,
        "aicore_time": "N/A" if kernel.collective else microseconds(kernel.core_time),
        "aic_total_time": "N/A" if kernel.collective else microseconds(kernel.core_time),
        "aiv_time": "N/A" if kernel.collective else "0",
        "aiv_total_time": "N/A" if kernel.collective else "0",
    }


def operator_table(headings: str, kernels: Sequence[Kernel] = TRUTH) -> bytes:
    """A table with these headings; what no form shares is N/A."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    names = headings.split(",")
    writer.writerow(names)
    for kernel in kernels:
        cells = _cells(kernel)
        words = [name.lower().removesuffix("(us)").removeprefix("task ") for name in names]
        full = [name.lower().removesuffix("(us)") for name in names]
        writer.writerow([cells.get(whole, cells.get(word, "N/A")) for word, whole in zip(words, full, strict=True)])
    return text.getvalue().encode()


# Traces


def lane(pid: int, process: str, label: str, threads: dict[int, str]) -> list[dict[str, Any]]:
    named = [
        {"name": "process_name", "pid": pid, "tid": 0, "ph": "M", "args": {"name": process}},
        {"name": "process_labels", "pid": pid, "tid": 0, "ph": "M", "args": {"labels": label}},
        {"name": "process_sort_index", "pid": pid, "tid": 0, "ph": "M", "args": {"sort_index": 13}},
    ]
    named += [
        {"name": "thread_name", "pid": pid, "tid": tid, "ph": "M", "args": {"name": n}} for tid, n in threads.items()
    ]
    return named


def device_lanes(
    process: str = "Ascend Hardware", collectives: str = "Communication", label: str = "NPU 0"
) -> list[dict[str, Any]]:
    streams = {kernel.stream: f"Stream {kernel.stream}" for kernel in COMPUTE if kernel.stream is not None}
    return [
        *lane(DEVICE_PID, process, label, streams),
        *lane(COLLECTIVE_PID, collectives, label, {0: "Group 10.0.0.1 Communication", 1: "Plane 0"}),
    ]


def device_events(kernels: Sequence[Kernel] = TRUTH, stream_key: str = "Physic Stream Id") -> list[dict[str, Any]]:
    """Device tasks and collectives as msprof's ascend_hardware_assembler.cpp and hccl_assembler.cpp write them."""
    made = []
    for kernel in kernels:
        event: dict[str, Any] = {"name": kernel.name, "pid": DEVICE_PID, "tid": kernel.stream}
        event |= {"ts": microseconds(kernel.start), "dur": kernel.duration / 1000, "ph": "X"}
        if kernel.collective:
            event |= {"pid": COLLECTIVE_PID, "tid": 0}
            arguments = {"rank_size": 8, "connection_id": kernel.connection, "model id": NO_ID, "data_type": "BFP16"}
            transfer = {"notify_id": "1", "stream id": 60, "task id": 3, "task type": "SDMA", "model id": NO_ID}
            made.append(event | {"name": "Memcpy", "tid": 1, "args": transfer})
        else:
            arguments = {"Model Id": NO_ID, "Task Type": kernel.core, stream_key: kernel.stream, "Task Id": kernel.task}
            arguments |= {"Batch Id": 0, "Subtask Id": NO_ID, "connection_id": kernel.connection}
        made.append(event | {"args": arguments})
    return made


def host_lane(process: str = "Python") -> list[dict[str, Any]]:
    return lane(PROCESS, process, "CPU", {THREAD: f"Thread {THREAD}"})


def host_events(time: Any = microseconds, duration: Any = lambda value: value / 1000) -> list[dict[str, Any]]:
    """An operator around each launch, and one module around all."""
    launches = [kernel.launch for kernel in TRUTH]
    common = {"ph": "X", "pid": PROCESS, "tid": THREAD}
    module = {
        **common,
        "name": "nn.Module: DecoderLayer_0",
        "ts": time(min(launches) - 5_000),
        "cat": "python_function",
    }
    module |= {"dur": duration(max(launches) - min(launches) + 20_000), "args": {"Python id": 1}}
    operator = {**common, "name": "aten::linear", "cat": "cpu_op", "args": {"Sequence number": 5}}
    return [module] + [operator | {"ts": time(launch), "dur": duration(900)} for launch in launches]


def arrows(ids: Sequence[Any], name: str = "torch_to_npu", time: Any = microseconds) -> list[dict[str, Any]]:
    made = []
    for kernel, number in zip(TRUTH, ids, strict=True):
        common = {"bp": "e", "name": name, "id": number, "cat": "async_npu"}
        end = {"pid": COLLECTIVE_PID, "tid": 0} if kernel.collective else {"pid": DEVICE_PID, "tid": kernel.stream}
        made.append({"ph": "s", **common, "pid": PROCESS, "tid": THREAD, "ts": time(kernel.launch)})
        made.append({"ph": "f", **common, **end, "ts": time(kernel.start)})
    return made


def no_kernels() -> list[dict[str, Any]]:
    """What else stands in the device's lane, without a task type.

    Marks of mstx on a stream (device_tx_assembler.cpp), turns of the server that runs communication inside a kernel
    (kfc_task_processor.cpp) and iterations (step_trace_assembler.cpp), all in Ascend/msprof.
    """
    made = []
    first, last = TRUTH[0], TRUTH[-1]
    whole = {"pid": DEVICE_PID, "ts": microseconds(first.start), "ph": "X"}
    whole["dur"] = (last.start + last.duration - first.start) / 1000
    made.append({"name": "decode step", "tid": 31, **whole, "args": {"Physic Stream Id": 31, "Task Id": 12}})
    for number, word in enumerate(("StartServer", "TaskWaitRequest", "TaskOrchestration", "TaskExecute", "Finalize")):
        event = {"name": f"{word} 0", "pid": DEVICE_PID, "tid": 60, "ph": "X", "dur": 2.5}
        event["ts"] = microseconds(first.start + 3_000 * number)
        made.append(event | {"args": {"Physic Stream Id": 60, "Task Id": 3}})
    iteration = {"Iteration ID": 1, "FP Start": "N/A", "BP End": "N/A", "Iteration Time(us)": 120.5}
    made.append({"name": "Iteration 1", "tid": 1_000_001, **whole, "cat": "Iteration Time", "args": iteration})
    return made


def current_trace() -> list[dict[str, Any]]:
    """trace_view.json of recent torch_npu releases: times as text, ids of arrows in ns."""
    ids = [kernel.start for kernel in TRUTH]
    return [*host_events(), *host_lane(), *device_lanes(), *device_events(), *arrows(ids)]


def rounded(nanoseconds: int) -> float:
    """What the newest torch_npu writes (_trace_event_manager.py): a double of us, exact to a quarter of a us."""
    return float(nanoseconds / 1000)


def newest_trace() -> list[dict[str, Any]]:
    """Ascend/pytorch since it counts its arrows: times of host and arrows are numbers, those of msprof text."""
    counted = range(1, len(TRUTH) + 1)
    return [*host_events(rounded), *host_lane(), *device_lanes(), *device_events(), *arrows(counted, time=rounded)]


def mindspore_trace() -> list[dict[str, Any]]:
    """mindspore's trace_event_manager.py: a process of its own name, durations and ids of arrows as text."""
    ids = [microseconds(kernel.start) for kernel in TRUTH]
    host = host_events(duration=microseconds)
    return [*host, *host_lane("MindSpore"), *device_lanes(), *device_events(), *arrows(ids, "mindspore_to_npu")]


def old_trace(process: str = "Ascend Hardware") -> list[dict[str, Any]]:
    """msprof_0_1.json of CANN 6 and, by Task Scheduler, its task_time_0_1.json (trace_view_header_constant.py)."""
    return [*device_lanes(process, "HCCL"), *device_events(stream_key="Stream Id")]


def several_devices(size: int) -> list[dict[str, Any]]:
    """One msprof json of the devices 2 and 5 (the second without collectives) that are told apart by process numbers.

    trace_view_manager.py packs the device into two decimal digits, json_assembler.cpp into five bits.
    """
    made = []
    for device, kernels in ((2, TRUTH), (5, COMPUTE)):
        for event in device_lanes(label="NPU") + device_events(kernels):
            kind = 17 if event["pid"] == COLLECTIVE_PID else 14
            made.append(event | {"pid": (PROCESS * size + kind) * size + device})
    return made


def written(events: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps(list(events)).encode()


# What a reader must find

ALWAYS = ("start", "duration", "name", "kind")
IN_TABLE = (*ALWAYS, "type", "core", "stream", "task", "blocks", "shapes")
IN_TRACE = (*ALWAYS, "core", "stream", "task", "launch")
COLUMNS = {
    "start": "start_ns",
    "duration": "dur_ns",
    "type": "op_type",
    "shapes": "input_shapes",
    "launch": "launch_ns",
    "core_time": "aic_ns",
}


def expected(kernel: Kernel, name: str) -> Any:
    if name == "kind":
        return "collective" if kernel.collective else "kernel"
    if kernel.collective and name in ("shapes", "core_time"):
        return None
    return getattr(kernel, name)


def check(read: Capture, names: Sequence[str] = IN_TABLE, truth: Sequence[Kernel] = TRUTH) -> None:
    """The kernel table says exactly the truth in these columns."""
    for name in names:
        values = read.kernels[COLUMNS.get(name, name)]
        found = [None if pd.isna(value) else value for value in values.tolist()]
        assert found == [expected(kernel, name) for kernel in truth], name
