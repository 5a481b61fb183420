"""Recording: the calls on torch_npu (a stand-in with its signatures), and real recordings with torch's CPU profiler."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
import types
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from skadvisor.commands.capture import capture_command
from skadvisor.errors import InputError
from skadvisor.recording import recorder
from skadvisor.recording.recorder import RecordingWarning, record, record_steps, snippet


class Action(Enum):
    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class Schedule:
    """The signature and the phases of torch_npu.profiler.schedule (2.14)."""

    def __init__(
        self, wait: int, active: int, warmup: int = 0, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
    ) -> None:
        self.wait, self.active, self.warmup, self.repeat, self.skip_first = wait, active, warmup, repeat, skip_first

    def __call__(self, step: int) -> Action:
        cycle = self.wait + self.warmup + self.active
        place = step - self.skip_first
        if place < 0 or (self.repeat and place >= self.repeat * cycle) or place % cycle < self.wait:
            return Action.NONE
        if place % cycle < self.wait + self.warmup:
            return Action.WARMUP
        return Action.RECORD_AND_SAVE if place % cycle == cycle - 1 else Action.RECORD


class ExperimentalConfig:
    def __init__(
        self,
        profiler_level="Level0",
        aic_metrics="ACL_AICORE_PIPE_UTILIZATION",
        l2_cache=False,
        msprof_tx=False,
        mstx=False,
        data_simplification=True,
        record_op_args=False,
        op_attr=False,
        gc_detect_threshold=None,
        export_type="text",
        host_sys=None,
        mstx_domain_include=None,
        mstx_domain_exclude=None,
        sys_io=False,
        sys_interconnection=False,
    ):
        self.profiler_level, self.aic_metrics, self.export_type = profiler_level, aic_metrics, export_type


class Profile:
    """torch_npu.profiler.profile (2.14): same keywords; writes what it was told, when the schedule says so."""

    made: ClassVar[list[Profile]] = []

    def __init__(
        self,
        *,
        activities=None,
        schedule=None,
        on_trace_ready=None,
        record_shapes=False,
        profile_memory=False,
        with_stack=False,
        with_flops=False,
        with_modules=False,
        experimental_config=None,
        execution_trace_observer=None,
        custom_trace_id_callback=None,
        use_cuda=None,
    ):
        self.activities, self.schedule, self.on_trace_ready = activities, schedule, on_trace_ready
        self.config, self.with_modules, self.record_shapes = experimental_config, with_modules, record_shapes
        self.with_stack = with_stack
        self.metadata: dict[str, Any] = {}
        self.steps: list[int] = []
        self.step_num = 0
        self.saved = 0
        Profile.made.append(self)

    def __enter__(self):
        self._enter_step()
        return self

    def __exit__(self, exe_type, exe_val, exc_tb):
        if self.schedule(self.step_num) in (Action.RECORD, Action.RECORD_AND_SAVE):
            self._save()

    def _enter_step(self):
        if self.schedule(self.step_num) in (Action.RECORD, Action.RECORD_AND_SAVE):
            self.steps.append(self.step_num)

    def _save(self):
        self.saved += 1
        self.on_trace_ready(self)
        self.metadata.clear()

    def step(self):
        saving = self.schedule(self.step_num) is Action.RECORD_AND_SAVE
        if saving:
            self._save()
        self.step_num += 1
        self._enter_step()

    def add_metadata(self, key: str, value: str):
        assert isinstance(key, str) and isinstance(value, str), "torch_npu skips metadata that is no text"
        self.metadata[key] = value

    def add_metadata_json(self, key: str, value: str):
        assert isinstance(key, str) and isinstance(value, str), "torch_npu skips metadata that is no text"
        self.metadata[key] = json.loads(value)


def tensorboard_trace_handler(dir_name=None, worker_name=None, analyse_flag=True, async_mode=False):
    assert dir_name is None or isinstance(dir_name, str), "torch_npu resets folders that are no text"

    def write(profiler: Profile) -> None:
        folder = Path(dir_name) / f"{worker_name or 'host'}_{os.getpid()}_{profiler.saved}_ascend_pt"
        folder.mkdir(parents=True)
        (folder / "profiler_metadata.json").write_text(json.dumps(profiler.metadata))
        if analyse_flag:
            (folder / "ASCEND_PROFILER_OUTPUT").mkdir()

    return write


@pytest.fixture
def torch_npu(monkeypatch):
    """A package `torch_npu` (and `torch`, where it is absent) that records what is called."""
    Profile.made = []
    profiler = types.SimpleNamespace(
        profile=Profile,
        schedule=Schedule,
        tensorboard_trace_handler=tensorboard_trace_handler,
        _ExperimentalConfig=ExperimentalConfig,
        ProfilerActivity=types.SimpleNamespace(CPU="CPU", NPU="NPU"),
        ProfilerLevel=types.SimpleNamespace(Level0="Level0", Level1="Level1", Level2="Level2"),
        AiCMetrics=types.SimpleNamespace(PipeUtilization="ACL_AICORE_PIPE_UTILIZATION"),
        ExportType=types.SimpleNamespace(Text="text", Db="db"),
    )
    module = types.ModuleType("torch_npu")
    module.profiler = profiler
    monkeypatch.setitem(sys.modules, "torch_npu", module)
    if importlib.util.find_spec("torch") is None:
        for name in ("torch", "torch.profiler"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.delenv("RANK", raising=False)
    return module


# The calls on torch_npu


def test_a_recording_asks_torch_npu_for_level1_with_pmu_columns(torch_npu, tmp_path):
    with record(tmp_path, skip=3, warmup=1, steps=4) as made:
        while made.wants_more:
            made.step()
    (profiler,) = Profile.made
    assert made.device == "npu"
    assert profiler.activities == ["CPU", "NPU"]
    assert profiler.config.profiler_level == "Level1"
    assert profiler.config.aic_metrics == "ACL_AICORE_PIPE_UTILIZATION"
    assert profiler.config.export_type == "text"
    assert profiler.with_modules is False and profiler.with_stack is False and profiler.record_shapes is False
    assert profiler.steps == [4, 5, 6, 7], "the first three steps and the warm-up step are left out"
    assert profiler.saved == 1


def test_metadata_is_in_the_capture(torch_npu, tmp_path):
    with record(tmp_path, batch=32, model="Qwen3", metadata={"kv": [1, 2]}, skip=1, steps=2) as made:
        while made.wants_more:
            made.step()
    (capture,) = made.captures()
    metadata = json.loads((capture / "profiler_metadata.json").read_text())
    assert metadata == {"phase": "decode", "batch": 32, "model": "Qwen3", "recorded_steps": 2, "kv": [1, 2]}
    assert (capture / "ASCEND_PROFILER_OUTPUT").is_dir()


def test_options_reach_the_profiler(torch_npu, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    with record(tmp_path, modules=True, host_shapes=True, parse=False, skip=0, warmup=0, steps=1) as made:
        made.step()
    assert Profile.made[0].with_modules is True
    assert Profile.made[0].record_shapes is True
    (capture,) = made.captures()
    assert capture.name.startswith("rank3_")
    assert not (capture / "ASCEND_PROFILER_OUTPUT").exists()
    assert json.loads((capture / "profiler_metadata.json").read_text())["phase"] == "decode"


def test_too_few_steps_are_said_and_kept(torch_npu, tmp_path):
    with pytest.warns(RecordingWarning, match=r"5 of 14 steps .*: 1 of 10 steps are recorded"):  # noqa: SIM117
        with record(tmp_path, skip=3, warmup=1, steps=10) as made:
            for _ in range(5):
                made.step()
    assert made.steps_recorded == 1
    assert len(made.captures()) == 1


def test_an_error_in_the_program_comes_through(torch_npu, tmp_path):
    with pytest.raises(ZeroDivisionError), record(tmp_path) as made:
        made.step()
        1 / 0  # noqa: B018


def test_the_function_form_runs_the_step_often_enough(torch_npu, tmp_path):
    calls = []
    (capture,) = record_steps(lambda: calls.append(1), tmp_path, skip=2, warmup=1, steps=3)
    assert len(calls) == 6
    assert capture.name.endswith("_ascend_pt")


def test_the_printed_snippet_runs_on_torch_npu_and_records_as_record_does(torch_npu, tmp_path):
    steps = []
    text = snippet("torch_npu", folder=str(tmp_path), skip=2, warmup=1, steps=3)
    exec(compile(text, "snippet", "exec"), {"decode_one_step": lambda: steps.append(1)})
    (profiler,) = Profile.made
    assert (profiler.config.profiler_level, profiler.config.aic_metrics) == ("Level1", "ACL_AICORE_PIPE_UTILIZATION")
    assert profiler.steps == [3, 4, 5]
    assert len(steps) == 6
    (capture,) = tmp_path.iterdir()
    assert json.loads((capture / "profiler_metadata.json").read_text())["batch"] == 32


def _signature(path: Path, name: str, method: str | None) -> list[tuple[str, bool]]:
    """Argument names of a function in a source file, and whether each is keyword-only; nothing is imported."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            function: Any = node
            if method:
                function = next(item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == method)
            return [(arg.arg, False) for arg in function.args.args] + [
                (arg.arg, True) for arg in function.args.kwonlyargs
            ]
    raise AssertionError(f"no {name} in {path}")


def _torch_npu_sources() -> Path | None:
    if os.environ.get("SKADVISOR_TORCH_NPU"):
        return Path(os.environ["SKADVISOR_TORCH_NPU"]) / "profiler"
    spec = importlib.util.find_spec("torch_npu")
    return Path(spec.submodule_search_locations[0]) / "profiler" if spec and spec.submodule_search_locations else None


@pytest.mark.skipif(
    _torch_npu_sources() is None, reason="torch_npu's sources are not here (SKADVISOR_TORCH_NPU names the package)"
)
def test_torch_npu_takes_every_argument_that_is_given_to_it():
    sources = _torch_npu_sources()
    assert sources is not None
    files = {
        "profile": ("profiler.py", "profile", "__init__"),
        "tensorboard_trace_handler": ("profiler.py", "tensorboard_trace_handler", None),
        "add_metadata": ("profiler.py", "_KinetoProfile", "add_metadata"),
        "add_metadata_json": ("profiler.py", "_KinetoProfile", "add_metadata_json"),
        "schedule": ("scheduler.py", "Schedule", "__init__"),
        "_ExperimentalConfig": ("experimental_config.py", "_ExperimentalConfig", "__init__"),
    }
    seen = set()
    for text in (inspect.getsource(recorder._npu_profiler), snippet("torch_npu")):
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in files:
                file, name, method = files[call.func.attr]
                known = [argument for argument, _ in _signature(sources / file, name, method)]
                for keyword in call.keywords:
                    assert keyword.arg in known, f"{call.func.attr}({keyword.arg}=...)"
                    seen.add(call.func.attr)
    assert {"profile", "schedule", "_ExperimentalConfig", "tensorboard_trace_handler"} <= seen


# Settings and missing libraries


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"skip": -1}, {"warmup": -1}, {"device": "gpu"}])
def test_impossible_settings_are_refused(torch_npu, tmp_path, wrong):
    with pytest.raises(InputError), record(tmp_path, **wrong):
        pass


@pytest.mark.parametrize(
    ("missing", "device", "extra"),
    [("torch", "auto", "capture"), ("torch", "cpu", "capture"), ("torch_npu", "npu", "npu")],
)
def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch, missing, device, extra):
    real = recorder.import_module

    def import_module(name: str):
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return types.ModuleType(name) if name.startswith("torch") else real(name)

    monkeypatch.setattr(recorder, "import_module", import_module)
    with pytest.raises(InputError) as caught, record(tmp_path / "new", device=device):
        pass
    assert f"skadvisor[{extra}]" in caught.value.hint
    assert not (tmp_path / "new").exists()


def test_a_torch_npu_without_its_libraries_is_no_silent_cpu_recording(tmp_path, monkeypatch):
    def import_module(name: str):
        if name == "torch_npu":
            raise ImportError("libascendcl.so: cannot open shared object file")
        return types.ModuleType(name)

    monkeypatch.setattr(recorder, "import_module", import_module)
    with pytest.raises(InputError, match=r"libascendcl\.so") as caught, record(tmp_path):
        pass
    assert "set_env.sh" in caught.value.hint


# Real recordings with torch's CPU profiler


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed (extra `capture`)")


def test_a_cpu_recording_holds_the_steps_and_the_metadata(torch, tmp_path):
    layer = torch.nn.Linear(8, 8)
    with record(tmp_path, device="cpu", batch=4, model="tiny", skip=2, warmup=1, steps=3, host_shapes=True) as made:
        while made.wants_more:
            layer(torch.zeros(4, 8))
            made.step()
    (capture,) = made.captures()
    trace = json.loads(capture.read_text())
    assert (trace["phase"], trace["batch"], trace["model"]) == ("decode", 4, "tiny")
    steps = sorted({event["name"] for event in trace["traceEvents"] if event["name"].startswith("ProfilerStep#")})
    assert steps == ["ProfilerStep#3", "ProfilerStep#4", "ProfilerStep#5"]
    linear = [event for event in trace["traceEvents"] if event["name"] == "aten::linear"]
    assert len(linear) == 3
    assert [4, 8] in linear[0]["args"]["Input Dims"]


def test_modules_are_named_on_request(torch, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    for modules in (False, True):
        folder = tmp_path / str(modules)
        (capture,) = record_steps(
            lambda: model(torch.zeros(1, 4)), folder, device="cpu", skip=0, warmup=0, steps=2, modules=modules
        )
        names = {event["name"] for event in json.loads(capture.read_text())["traceEvents"]}
        assert any(name.startswith("nn.Module: Linear") for name in names) is modules


def test_without_torch_npu_auto_records_the_cpu(torch, tmp_path):
    if importlib.util.find_spec("torch_npu") is not None:
        pytest.skip("torch_npu is installed")
    with record(tmp_path, skip=0, warmup=0, steps=1) as made:
        torch.zeros(1)
        made.step()
    assert made.device == "cpu"
    assert len(made.captures()) == 1


# The command


def run(*arguments: str):
    return CliRunner().invoke(capture_command, arguments)


def test_print_shows_every_snippet_or_one():
    every = run("--print")
    assert every.exit_code == 0
    for name in recorder.SNIPPETS:
        one = run("--print", name)
        assert one.exit_code == 0
        assert one.output in every.output
        assert "@" not in one.output.replace("@sk", ""), "every place is filled"


def test_the_vllm_snippet_is_a_shell_script_with_valid_profiler_config(tmp_path):
    text = run("--print", "vllm-ascend", "--folder", str(tmp_path), "--steps", "7", "--skip", "5").output
    config = json.loads(text.split("--profiler-config '")[1].split("'")[0])
    assert config == {
        "profiler": "torch",
        "torch_profiler_dir": str(tmp_path),
        "torch_profiler_with_stack": False,
        "ignore_frontend": True,
        "delay_iterations": 5,
        "max_iterations": 7,
    }
    assert "/start_profile" in text and "/stop_profile" in text
    if shutil.which("bash"):
        script = text.replace("<model>", "m").replace("<your options>", "")
        subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_the_recipes_snippet_is_yaml():
    from ruamel.yaml import YAML

    config = YAML(typ="safe").load(snippet("cann-recipes", skip=3, warmup=1, steps=10))
    assert config["model_config"] == {"enable_profiler": True}
    assert config["scheduler_config"]["max_new_tokens"] > 14, "the prefill gives the first token"


def test_the_snippet_can_be_written_to_a_file(tmp_path):
    target = tmp_path / "record.py"
    assert run("--print", "torch_npu", "-o", str(target)).exit_code == 0
    assert target.read_text() == snippet("torch_npu")
    second = run("--print", "torch_npu", "-o", str(target))
    assert isinstance(second.exception, InputError)
    assert run("--print", "torch_npu", "-o", str(target), "--force").exit_code == 0


def test_without_print_the_command_says_what_to_type():
    result = run()
    assert isinstance(result.exception, InputError)
    assert "--print vllm-ascend" in result.exception.hint + result.exception.message


def test_unknown_snippets_are_refused():
    with pytest.raises(InputError, match="no snippet"):
        snippet("mindspore")


def test_importing_the_module_loads_no_torch():
    modules = "sys, skadvisor.recording.recorder, skadvisor.commands.capture"
    code = f"import {modules}; print({{'torch', 'pandas'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
