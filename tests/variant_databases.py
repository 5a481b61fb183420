"""The run of `reader_variants` as a database, in the schemas of msprof and with what torch_npu adds."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from reader_variants import NO_ID, PROCESS, THREAD, TRUTH

#: Ascend/msprof, schema 1.2 (db_assembler.cpp); block numbers have new names, and blockDim has become a text.
SCHEMA = """
CREATE TABLE STRING_IDS (id INTEGER,value TEXT);
CREATE TABLE NPU_INFO (id INTEGER,name TEXT);
CREATE TABLE RANK_DEVICE_MAP (rankId INTEGER,deviceId INTEGER);
CREATE TABLE META_DATA (name TEXT,value TEXT);
CREATE TABLE ENUM_API_TYPE (id INTEGER,name TEXT);
CREATE TABLE TASK (startNs INTEGER,endNs INTEGER,deviceId INTEGER,connectionId INTEGER,globalTaskId INTEGER,
    globalPid INTEGER,taskType INTEGER,contextId INTEGER,streamId INTEGER,taskId INTEGER,modelId INTEGER);
CREATE TABLE COMPUTE_TASK_INFO (name INTEGER,globalTaskId INTEGER,blockNum INTEGER,mixBlockNum INTEGER,
    taskType INTEGER,opType INTEGER,inputFormats INTEGER,inputDataTypes INTEGER,inputShapes INTEGER,
    outputFormats INTEGER,outputDataTypes INTEGER,outputShapes INTEGER,attrInfo INTEGER,opState INTEGER,
    hf32Eligible INTEGER,gridDim INTEGER,blockDim INTEGER);
CREATE TABLE COMMUNICATION_OP (opName INTEGER,startNs INTEGER,endNs INTEGER,connectionId INTEGER,groupName INTEGER,
    opId INTEGER,relay INTEGER,retry INTEGER,dataType INTEGER,algType INTEGER,count NUMERIC,opType INTEGER,
    deviceId INTEGER,rankSize INTEGER);
CREATE TABLE COMMUNICATION_SCHEDULE_TASK_INFO (name INTEGER,globalTaskId INTEGER,taskType INTEGER,opType INTEGER);
CREATE TABLE TASK_PMU_INFO (globalTaskId INTEGER,name INTEGER,value NUMERIC);
CREATE TABLE CANN_API (startNs INTEGER,endNs INTEGER,type INTEGER,globalTid INTEGER,connectionId INTEGER,name INTEGER);
"""
#: What torch_npu adds to the database of msprof (_constant.py).
TORCH_SCHEMA = """
CREATE TABLE PYTORCH_API (startNs TEXT,endNs TEXT,globalTid INTEGER,connectionId INTEGER,name INTEGER,
    sequenceNumber INTEGER,fwdThreadId INTEGER,inputDtypes INTEGER,inputShapes INTEGER,callchainId INTEGER,
    type INTEGER);
CREATE TABLE CONNECTION_IDS (id INTEGER,connectionId INTEGER);
"""


def write_database(
    path: Path, *, torch: bool = False, first: bool = False, counters: bool = False, scheduled: bool = False
) -> Path:
    """The run as a database; `scheduled` adds the kernel by which the AI CPU runs the collective."""
    strings: dict[str, int] = {}

    def text(word: str) -> int:
        return strings.setdefault(word, len(strings) + (1 << 32 if torch else 0))

    schema = SCHEMA
    if first:
        schema = schema.replace(",\n    hf32Eligible INTEGER,gridDim INTEGER,blockDim INTEGER", "")
        schema = (
            schema.replace(",opState INTEGER", "").replace("blockNum", "blockDim").replace("mixBlockNum", "mixBlockDim")
        )
    numbers: dict[tuple[int | None, int | None], int] = {}
    rows: dict[str, list[tuple[Any, ...]]] = {"RANK_DEVICE_MAP": [(-1, 0)], "NPU_INFO": [(0, "Ascend910B")]}
    rows |= {"META_DATA": [("SCHEMA_VERSION", "1.2.0")], "ENUM_API_TYPE": [(20000, "acl"), (5000, "runtime")]}
    for table in ("TASK", "COMPUTE_TASK_INFO", "COMMUNICATION_OP", "TASK_PMU_INFO", "CANN_API"):
        rows[table] = []
    nothing = text("N/A")
    for place, kernel in enumerate(TRUTH):
        end = kernel.start + kernel.duration
        rows["CANN_API"].append(
            (kernel.launch, kernel.launch + 400, 10000, PROCESS << 32 | THREAD, kernel.connection, text("launch"))
        )
        if kernel.collective:
            named = (text(kernel.name), kernel.start, end, kernel.connection, text("10.0.0.1"), place, 0, 0, 11)
            rows["COMMUNICATION_OP"].append((*named, text("MESH-RING"), 1024, text(kernel.type), 0, 8))
            continue
        known = (kernel.stream, kernel.task) in numbers
        number = numbers.setdefault((kernel.stream, kernel.task), len(numbers))
        device_type = {"AI_CORE": "KERNEL_AICORE", "AI_VECTOR_CORE": "KERNEL_AIVEC"}.get(kernel.core, kernel.core)
        task = (kernel.start, end, 0, kernel.connection, number, PROCESS, text(device_type), NO_ID)
        rows["TASK"].append((*task, kernel.stream, kernel.task, NO_ID))
        if counters:
            rows["TASK_PMU_INFO"].append((number, text("aic_total_time"), float(kernel.core_time)))
            rows["TASK_PMU_INFO"].append((number, text("aic_mac_ratio"), 0.125 * place))
        if known:
            continue
        shapes = (nothing, nothing, text(f'"{kernel.shapes}"'), nothing, nothing, nothing, nothing)
        more = () if first else (text("dynamic"), text("NO"), text("0"), text("0,0,0"))
        operator = (text(kernel.name), number, kernel.blocks, 0, text(kernel.core), text(kernel.type))
        rows["COMPUTE_TASK_INFO"].append((*operator, *shapes, *more))
    if scheduled:
        collective = next(kernel for kernel in TRUTH if kernel.collective)
        begin, number = collective.start + 500, len(numbers)
        task = (begin, begin + 9_000, 0, NO_ID, number, PROCESS, text("AI_CPU"), NO_ID, 60, 3, NO_ID)
        rows["TASK"].append(task)
        rows["COMMUNICATION_SCHEDULE_TASK_INFO"] = [
            (text("allreduceAicpuKernel"), number, text("AI_CPU"), text("allreduceAicpuKernel"))
        ]
    if torch:
        schema += TORCH_SCHEMA
        rows["RANK_DEVICE_MAP"].append((5, 0))
        rows["PYTORCH_API"], rows["CONNECTION_IDS"] = [], []
        begins = [kernel.launch for kernel in TRUTH]
        thread = PROCESS << 32 | THREAD
        rest = (None, None, None, None, None)
        module = (str(min(begins) - 5_000), str(max(begins) + 15_000), thread, None, text("nn.Module: DecoderLayer_0"))
        rows["PYTORCH_API"].append((*module, *rest, 50003))
        for number, kernel in enumerate(TRUTH):
            call = (str(kernel.launch), str(kernel.launch + 900), thread, number, text("aten::linear"))
            rows["PYTORCH_API"].append((*call, *rest, 50001))
            rows["CONNECTION_IDS"].append((number, kernel.connection))
    rows["STRING_IDS"] = [(number, word) for word, number in strings.items()]
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(schema)
        for table, listed in rows.items():
            if listed:
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(listed[0]))})", listed)
    connection.close()
    return path
