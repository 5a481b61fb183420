"""Which tasks of the device lane are kernels: waits are no work, and copies are no kernel that could be fused."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

TaskKind = Literal["kernel", "wait", "record", "copy", "other"]

#: Task types and the names of tasks that carry no type of their own, as the runtime writes them.
_RULES: tuple[tuple[TaskKind, str], ...] = (
    ("wait", r"((david|ipc|remote)_)?(event|notify|stream|capture)[ _]?wait.*|(stream_)?wait_event.*|mem_wait_value"),
    ("record", r"((david|ipc)_)?(event|notify|capture)[ _]?(record|reset).*|(mem_)?write[ _]?value.*|ipc_int_notice"),
    ("record", r"(cmo|barrier).*"),
    ("copy", r"(memcpy|sdma|pcie[ _]?dma|rdma|rocce|async_dma)(_?async)?(_sqe)?.*|memset_async|reduce_async.*"),
    ("copy", r"ub_db_send|direct_send|ccu(_launch)?"),
    ("other", r"place[ _]?holder.*|profiling_(enable|disable).*|(pc|profiler)_trace.*|(online|adc)_prof.*|debug_\w+"),
    ("other", r"maintenance.*|(create|destroy|label|stream)_\w+|active_aicpu_stream|set_stream_mode|task_type_\w+"),
    (
        "other",
        r"model_(execute|maintaince|exit|end|update|load|task_update|to_aicpu).*|fusion_issue|write_back|invalid",
    ),
    (
        "other",
        r"(data|fusion)_?dump.*|flip.*|nop(_sqe)?|task_(flip|timeout_set|sqe_update)|update_address|\w+_ringbuffer\w*",
    ),
    (
        "other",
        r"get_(device_msg|stars_version)|npu_(get|clear)_float_status|overflow_\w+|sq_lock_unlock|alloc_dsa_addr",
    ),
    ("other", r"aicpu_(info_load|loadinfo)|hostfunc_\w+|stars_common|common_cmd|(host_cpu|cdqm|c_core)_sqe"),
)
_KINDS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _RULES)


@cache
def kind_of_type(task_type: str) -> TaskKind:
    """What a task of this type is; types that nobody knows yet count as kernels."""
    for kind, pattern in _KINDS:
        if pattern.fullmatch(task_type):
            return kind
    return "kernel"


#: Names that old files give to tasks whose type is only "Other".
_TASK_NAME = re.compile(
    r"(EVENT_|NOTIFY_|Notify |MEMCPY_ASYNC|Write Value|PROFILING_|PLACE_HOLDER|SDMA|PCIE_DMA|MODEL_|STREAM_)[\w ]*"
)


def kind_of(task_type: str | None, name: str) -> TaskKind:
    """The type decides first; a type that is a placeholder or unknown leaves it to the name."""
    by_type = "kernel" if task_type is None else kind_of_type(task_type)
    if by_type in ("kernel", "other") and _TASK_NAME.fullmatch(name):
        by_name = kind_of_type(name)
        return by_type if by_name == "kernel" else by_name
    return by_type
