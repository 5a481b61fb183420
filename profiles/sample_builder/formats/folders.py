"""Write a whole `_ascend_pt` folder of one rank."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sample_builder.formats.databases import write_database
from sample_builder.formats.operator_tables import write_kernel_details
from sample_builder.formats.trace_files import write_trace_view
from skadvisor.events import Capture


def write_ascend_pt_folder(
    capture: Capture,
    folder: Path | str,
    formats: Sequence[str] = ("kernel_details", "trace_view"),
    *,
    level: int = 1,
    step_ids: bool = False,
    pmu: bool = False,
) -> Path:
    """Write the folder of one rank with its profiler_info, metadata and products, and return it.

    `formats` names the products: `kernel_details`, `trace_view`, `trace_view.gz`, `database`.
    """
    folder = Path(folder)
    products = folder / "ASCEND_PROFILER_OUTPUT"
    products.mkdir(parents=True, exist_ok=True)
    rank = "" if capture.rank is None else f"_{capture.rank}"
    _write_information(capture, folder / f"profiler_info{rank}.json", level)
    metadata = capture.metadata.get("profiler_metadata")
    if metadata:
        (folder / "profiler_metadata.json").write_text(json.dumps(metadata))
    for format in formats:
        if format == "kernel_details":
            write_kernel_details(capture, products / "kernel_details.csv", level=level, step_ids=step_ids, pmu=pmu)
        elif format in ("trace_view", "trace_view.gz"):
            write_trace_view(capture, products / format.replace("trace_view", "trace_view.json"))
        elif format == "database":
            write_database(capture, products / f"ascend_pytorch_profiler{rank}.db")
        else:
            raise ValueError(f"no such product: {format}")
    return folder


def _write_information(capture: Capture, path: Path, level: int) -> None:
    schedule = capture.metadata.get("schedule", {"wait": 0, "active": 1, "warmup": 0, "repeat": 1, "skip_first": 0})
    information = {
        "config": {
            "common_config": {
                "activities": ["ProfilerActivity.CPU", "ProfilerActivity.NPU"],
                "schedule": schedule,
                "record_shapes": True,
                "profile_memory": False,
                "with_stack": False,
                "with_flops": False,
                "with_modules": False,
            },
            "experimental_config": {
                "_profiler_level": f"Level{level}",
                "_aic_metrics": "ACL_AICORE_PIPE_UTILIZATION",
                "_data_simplification": True,
                "_export_type": ["text"],
            },
        },
        "torch_npu_version": capture.metadata.get("torch_npu_version", "2.7.1"),
        "cann_version": capture.metadata.get("cann_version", "8.3.RC1"),
        "rank_id": -1 if capture.rank is None else capture.rank,
    }
    path.write_text(json.dumps(information, indent=4))
