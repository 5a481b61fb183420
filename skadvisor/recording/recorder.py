"""Record a capture that answers every question of the analysis: level, PMU columns, steps, metadata.

    from skadvisor.recording import record

    with record("prof/decode", phase="decode", batch=32, model="Qwen3-32B") as recording:
        while recording.wants_more:
            decode_one_step()
            recording.step()

On an NPU this is torch_npu's profiler at Level1 with PipeUtilization; without one it is torch's CPU profiler under
the same calls, which shows that the program is instrumented rightly but measures no device. torch is imported only
when a recording starts (extra `capture`; `npu` for torch_npu).
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Literal

from skadvisor.errors import InputError
from skadvisor.text.messages import _

Device = Literal["auto", "npu", "cpu"]
#: The ways to record that `snippet` knows, as on the command line.
SNIPPETS = ("torch_npu", "cann-recipes", "vllm-ascend")
#: Steps to leave out (first steps compile graphs and fill caches), to warm the profiler up with, and to keep.
SKIP, WARMUP, STEPS = 10, 1, 10


class RecordingWarning(UserWarning):
    """The recording will hold less than was asked for."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to record. `skip`, `warmup` and `steps` count decode steps, in this order.

    `modules` adds the nn.Module ranges of the host: labels get surer, but the host slows down, so that gaps grow.
    `host_shapes` records the shapes of host operators too; those of kernels are always there at Level1.
    `parse` makes the tables at once; without it they are made later by `torch_npu.profiler.profiler.analyse`.
    """

    folder: Path
    skip: int = SKIP
    warmup: int = WARMUP
    steps: int = STEPS
    modules: bool = False
    host_shapes: bool = False
    parse: bool = True
    worker_name: str | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or self.skip < 0 or self.warmup < 0:
            raise InputError(
                _("cannot record {steps} steps after {skip} skipped and {warmup} for warm-up"),
                _("Give steps of at least 1, and skip and warmup of at least 0."),
                steps=self.steps,
                skip=self.skip,
                warmup=self.warmup,
            )

    @property
    def required_steps(self) -> int:
        """How often the program has to call `step()` until the capture is whole."""
        return self.skip + self.warmup + self.steps


class Recording:
    """A recording under way. Call `step()` after each decode step."""

    def __init__(self, profiler: Any, settings: Settings, device: str, metadata: Mapping[str, Any]) -> None:
        self.settings = settings
        self.device = device
        self.steps_seen = 0
        self._profiler = profiler
        self._metadata = dict(metadata)
        self._present = _entries(settings.folder)

    @property
    def wants_more(self) -> bool:
        """True until all steps that were asked for are recorded."""
        return self.steps_seen < self.settings.required_steps

    @property
    def steps_recorded(self) -> int:
        """Steps in the capture so far, without those skipped and those for warm-up."""
        recorded = self.steps_seen - self.settings.skip - self.settings.warmup
        return min(max(recorded, 0), self.settings.steps)

    def step(self) -> None:
        """Tell the profiler that one decode step is over."""
        self._profiler.step()
        self.steps_seen += 1
        self._describe()

    def captures(self) -> list[Path]:
        """What this recording has written into its folder, by name; complete after the `with` block."""
        return sorted(self.settings.folder / name for name in _entries(self.settings.folder) - self._present)

    def _describe(self) -> None:
        # Both profilers forget metadata that comes before the first recorded step or after the last one.
        if self._metadata and self.steps_seen == self.settings.skip + self.settings.warmup:
            for key, value in self._metadata.items():
                if isinstance(value, str):
                    self._profiler.add_metadata(key, value)
                else:
                    self._profiler.add_metadata_json(key, json.dumps(value))


@contextmanager
def record(
    folder: str | os.PathLike[str],
    *,
    phase: Literal["prefill", "decode", "mixed"] = "decode",
    batch: int | None = None,
    model: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    device: Device = "auto",
    skip: int = SKIP,
    warmup: int = WARMUP,
    steps: int = STEPS,
    modules: bool = False,
    host_shapes: bool = False,
    parse: bool = True,
    worker_name: str | None = None,
) -> Iterator[Recording]:
    """Record `steps` steps into `folder` while the block runs; see `Settings` for the arguments.

    `phase`, `batch` and `model`, and whatever JSON can hold in `metadata`, are stored in the capture by the
    profiler's own add_metadata. `device="auto"` takes the NPU where torch_npu is installed, else the CPU.
    Warns with RecordingWarning where the block ends before all steps were seen. Raises InputError without torch,
    for `device="npu"` without torch_npu, and where torch_npu is installed but its CANN libraries do not load.
    """
    settings = Settings(
        folder=Path(folder),
        skip=skip,
        warmup=warmup,
        steps=steps,
        modules=modules,
        host_shapes=host_shapes,
        parse=parse,
        worker_name=worker_name or _rank_name(),
    )
    described = {"phase": phase, "batch": batch, "model": model, "recorded_steps": steps, **(metadata or {})}
    torch, torch_npu = _backend(device)
    settings.folder.mkdir(parents=True, exist_ok=True)
    profiler = _npu_profiler(torch_npu, settings) if torch_npu else _cpu_profiler(torch, settings)
    recording = Recording(
        profiler,
        settings,
        "npu" if torch_npu else "cpu",
        {key: value for key, value in described.items() if value is not None},
    )
    with profiler:
        recording._describe()
        yield recording
    if recording.wants_more:
        warnings.warn(
            f"{recording.steps_seen} of {settings.required_steps} steps were seen ({settings.skip} skipped, "
            f"{settings.warmup} for warm-up): {recording.steps_recorded} of {settings.steps} steps are recorded. "
            "Run more steps, or lower skip.",
            RecordingWarning,
            stacklevel=3,
        )


def record_steps(run_step: Callable[[], object], folder: str | os.PathLike[str], **settings: Any) -> list[Path]:
    """Call `run_step` as often as a capture needs and record it; returns what was written.

    For programs without a loop of their own at hand. `settings` are the keywords of `record`.
    """
    with record(folder, **settings) as recording:
        while recording.wants_more:
            run_step()
            recording.step()
    return recording.captures()


def snippet(name: str, *, folder: str = "./prof", skip: int = SKIP, warmup: int = WARMUP, steps: int = STEPS) -> str:
    """The lines that record a good capture by one of `SNIPPETS`, ready to paste. Raises InputError for other names."""
    if name not in SNIPPETS:
        raise InputError(
            _("there is no snippet for {name!r}"), _("Choose one of: {listed}."), name=name, listed=", ".join(SNIPPETS)
        )
    file = resources.files("skadvisor.recording") / "snippets" / f"{name.replace('-', '_')}.txt"
    text = file.read_text(encoding="utf-8")
    total = skip + warmup + steps
    # The first token comes from the prefill.
    values = {"FOLDER": folder, "SKIP": skip, "WARMUP": warmup, "STEPS": steps, "TOTAL": total, "TOKENS": total + 1}
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def probe_program() -> str:
    """A program that times chains of kernels with SuperKernel off and on; `skadvisor calibrate --probe` reads it."""
    return (resources.files("skadvisor.recording") / "snippets" / "probe.txt").read_text(encoding="utf-8")


def _npu_profiler(torch_npu: Any, settings: Settings) -> Any:
    """torch_npu's profiler; every argument exists in torch_npu 2.1.0.post8 as in 2.14.0."""
    profiler = torch_npu.profiler
    return profiler.profile(
        activities=[profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.NPU],
        schedule=profiler.schedule(
            wait=0, warmup=settings.warmup, active=settings.steps, repeat=1, skip_first=settings.skip
        ),
        on_trace_ready=profiler.tensorboard_trace_handler(
            str(settings.folder), worker_name=settings.worker_name, analyse_flag=settings.parse
        ),
        record_shapes=settings.host_shapes,
        profile_memory=False,
        with_stack=False,
        with_modules=settings.modules,
        experimental_config=profiler._ExperimentalConfig(
            profiler_level=profiler.ProfilerLevel.Level1,
            aic_metrics=profiler.AiCMetrics.PipeUtilization,
            export_type=profiler.ExportType.Text,
            data_simplification=True,
        ),
    )


def _cpu_profiler(torch: Any, settings: Settings) -> Any:
    """torch's own profiler with the same schedule. Its `with_stack` is what gives nn.Module ranges."""
    profiler = torch.profiler
    return profiler.profile(
        activities=[profiler.ProfilerActivity.CPU],
        schedule=profiler.schedule(
            wait=0, warmup=settings.warmup, active=settings.steps, repeat=1, skip_first=settings.skip
        ),
        on_trace_ready=profiler.tensorboard_trace_handler(str(settings.folder), worker_name=settings.worker_name),
        record_shapes=settings.host_shapes,
        profile_memory=False,
        with_stack=settings.modules,
    )


def _backend(device: Device) -> tuple[Any, Any]:
    """torch, and torch_npu where the NPU is to be recorded (else None)."""
    if device not in ("auto", "npu", "cpu"):
        raise InputError(_("cannot record on {device!r}"), _("Choose auto, npu or cpu."), device=device)
    try:
        torch = import_module("torch")
        import_module("torch.profiler")
    except ModuleNotFoundError as error:
        raise InputError(
            _("recording needs torch, which is not installed"), _("pip install 'skadvisor[capture]'")
        ) from error
    if device == "cpu":
        return torch, None
    try:
        torch_npu = import_module("torch_npu")
    except ModuleNotFoundError as error:
        if device == "npu" or error.name != "torch_npu":
            raise InputError(
                _("recording on an NPU needs torch_npu, which is not installed ({error})"),
                _("pip install 'skadvisor[npu]', with CANN's set_env.sh sourced."),
                error=error,
            ) from error
        return torch, None
    except (ImportError, OSError) as error:
        raise InputError(
            _("torch_npu is installed but cannot be loaded: {error}"),
            _("Source CANN's set_env.sh in this shell, or record with device='cpu' to try the program without an NPU."),
            error=error,
        ) from error
    return torch, torch_npu


def _rank_name() -> str | None:
    """`rank3` in a program with several ranks, so that people can tell the folders apart."""
    rank = os.environ.get("RANK", "")
    return f"rank{int(rank)}" if rank.isdecimal() else None


def _entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
