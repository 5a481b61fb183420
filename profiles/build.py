"""Write the sample captures that ship with the project: `python profiles/build.py [FOLDER]`.

The same seed gives the same bytes. Each sample is a folder with `manifest.toml` (what it is and what was planted),
and for each rank a `*_ascend_pt` folder in the profiler's form and its truth.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sample_builder.build import BuiltCapture
    from sample_builder.shipped import Sample

HERE = Path(__file__).resolve().parent
TRUTH_COLUMNS = ["start_ns", "stream", "step", "phase", "layer", "layer_kind", "region", "role", "owner"]


def main(target: Path = HERE) -> None:
    """Write every sample below `target`, replacing what is there."""
    from sample_builder.shipped import SAMPLES

    for sample in SAMPLES:
        write_sample(sample, target)


def write_sample(sample: Sample, target: Path) -> Path:
    """Write one sample and return its folder."""
    from sample_builder.shipped import build_sample

    folder = target / sample.folder
    if folder.exists():
        shutil.rmtree(folder)
    captures = build_sample(sample)
    for rank, built in enumerate(captures):
        truth = "truth.csv" if len(captures) == 1 else f"truth_rank{rank}.csv"
        write_capture(built, folder / f"sample_{1000 + rank}_20260101000000000_ascend_pt", trace=sample.trace)
        built.truth[TRUTH_COLUMNS].to_csv(folder / truth, index=False, lineterminator="\n")
    (folder / "manifest.toml").write_text(manifest(sample, captures), encoding="utf-8")
    return folder


def write_capture(built: BuiltCapture, folder: Path, *, trace: bool) -> None:
    """Write one rank in the form of the torch_npu profiler."""
    from sample_builder.formats import write_kernel_details

    products = folder / "ASCEND_PROFILER_OUTPUT"
    products.mkdir(parents=True)
    recording = built.recording
    level = 0 if recording.level == "level0" else 1
    write_kernel_details(
        built.capture,
        products / "kernel_details.csv",
        level=level,
        step_ids=recording.step_ids,
        pmu=recording.pmu,
    )
    if trace:
        from sample_builder.formats import write_trace_view

        write_trace_view(built.capture, products / "trace_view.json.gz")
    information = {
        "config": {"experimental_config": {"_profiler_level": f"Level{level}", "_export_type": ["text"]}},
        "rank_id": str(recording.rank),
    }
    text = json.dumps(information, indent=4) + "\n"
    (folder / f"profiler_info_{recording.rank}.json").write_text(text, encoding="utf-8")


def manifest(sample: Sample, captures: list[BuiltCapture]) -> str:
    """The manifest as TOML: origin, model, how it was run, and what each SuperKernel template would really save."""
    built = captures[0]
    facts = built.manifest
    lines = [
        "# Written by profiles/build.py; the capture is synthetic, no profiler recorded it.",
        *_pairs(
            {
                "origin": "synthetic",
                "model": facts["model"],
                "layers": facts["layers"],
                "mode": facts["mode"],
                "phases": facts["phases"],
                "batch": facts["batch"],
                "context": facts["context"],
                "seed": sample.seed,
                "ranks": len(captures),
                "kernels": len(built.truth),
                "step_ids": facts["step_ids"],
                "warm_up": facts["warm_up"],
                "super_kernel": facts.get("super_kernel", "none"),
                "shows": sample.shows,
            }
        ),
    ]
    planted = built.planted
    if planted["step_us"] is not None:
        lines += ["", "[planted]"]
        lines += _pairs(
            {key: planted[key] for key in ("saving_us_per_boundary", "step_us") if planted[key] is not None}
        )
        lines += _pairs({"best_template": planted["best_template"] or "none"})
    for name, effect in planted["templates"].items():
        lines += ["", f"[planted.templates.{name}]", *_pairs(effect)]
    return "\n".join(lines) + "\n"


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in values.items()]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
