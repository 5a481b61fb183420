"""Which tasks of the device lane are kernels: waits are no work, and copies are no kernel that could be fused."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

TaskKind = Literal["kernel", "wait", "record", "copy", "other"]

#: Task types and the names of tasks that carry no type of their own, as the runtime writes them.
_RULES: tuple[tuple[TaskKind, re.Pattern[str]], ...] = (
    ("wait", re.compile(r"(event|notify|stream|capture)[ _]?wait.*|stream_wait_event.*|wait_event.*", re.IGNORECASE)),
    (
        "record",
        re.compile(r"(event|notify|capture)[ _]?(record|reset).*|write[ _]?value.*|(cmo|barrier).*", re.IGNORECASE),
    ),
    ("copy", re.compile(r"(memcpy|sdma|pcie[ _]?dma|rdma|async_dma)(_?async)?(_sqe)?.*|memset_async", re.IGNORECASE)),
    (
        "other",
        re.compile(
            r"place[ _]?holder.*|profiling_(enable|disable).*|maintenance.*|(create|destroy|label|stream)_\w+"
            r"|write_back|invalid|model_(execute|maintaince|exit|end|update).*|fusion_issue|data_?dump.*|flip.*|nop(_sqe)?|task_type_\w+",
            re.IGNORECASE,
        ),
    ),
)


@cache
def kind_of_type(task_type: str) -> TaskKind:
    """What a task of this type is; types that nobody knows yet count as kernels."""
    for kind, pattern in _RULES:
        if pattern.fullmatch(task_type):
            return kind
    return "kernel"


#: Names that old files give to tasks whose type is only "Other".
_TASK_NAME = re.compile(
    r"(EVENT_|NOTIFY_|Notify |MEMCPY_ASYNC|Write Value|PROFILING_|PLACE_HOLDER|SDMA|PCIE_DMA|MODEL_|STREAM_)[\w ]*"
)


@cache
def kind_of_name(name: str) -> TaskKind:
    """What a task of this name is, where the type does not say."""
    return kind_of_type(name) if _TASK_NAME.fullmatch(name) else "kernel"


def kind_of(task_type: str | None, name: str) -> TaskKind:
    """The type decides first; a type that is a placeholder or unknown leaves it to the name."""
    by_type = "kernel" if task_type is None else kind_of_type(task_type)
    if by_type in ("kernel", "other"):
        by_name = kind_of_name(name)
        return by_type if by_name == "kernel" else by_name
    return by_type
