"""The probe: its program runs against a stand-in of torch_npu, and its result becomes the machine's priors."""

from __future__ import annotations

import json
import sys
import types
from contextlib import contextmanager

import numpy as np
import pytest
from click.testing import CliRunner
from small_tables import decode_kernels, labelled_table, step_table

from skadvisor import gain
from skadvisor.accounting import timeline
from skadvisor.accounting.situation import Situation
from skadvisor.commands.calibrate import calibrate_command
from skadvisor.commands.capture import capture_command
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.gain.machine import find_machine, read_probe
from skadvisor.options import Options

#: What the stand-in's kernels take, us: head and gap, synchronisation inside a SuperKernel, work per 4096 columns.
HEAD_US, SYNC_US, WORK_US, LAUNCH_US = 3.0, 0.5, 2.0, 40.0


class StandIn:
    """A clock that runs while kernels do; the signatures are those of torch 2.x, torch_npu and torchair."""

    def __init__(self, broken: str = "") -> None:
        self.now_us, self.fused, self.broken, self.links = 0.0, False, broken, 0
        self.torch = types.ModuleType("torch")
        self.torch.bfloat16 = "bfloat16"
        self.torch.nn = types.SimpleNamespace(Module=self.module(), Parameter=lambda data, requires_grad=True: data)
        self.torch.ones = lambda size, *, dtype: self.tensor(size)
        self.torch.inference_mode = self.nothing
        self.torch.compile = self.compile
        self.torch.npu = types.SimpleNamespace(
            synchronize=lambda: None, get_device_name=lambda index: f"Ascend910_{index}", Event=self.event()
        )
        self.torch_npu = types.ModuleType("torch_npu")
        self.torch_npu.__version__ = "2.13.0"
        self.torch_npu.npu_rms_norm = self.npu_rms_norm
        self.torchair = types.ModuleType("torchair")
        self.torchair.scope = types.SimpleNamespace(super_kernel=self.super_kernel)
        self.torchair.get_npu_backend = lambda *, compiler_config: "torchair"
        configs = types.ModuleType("torchair.configs.compiler_config")
        configs.CompilerConfig = type("CompilerConfig", (), {})
        self.modules = {"torch": self.torch, "torch_npu": self.torch_npu, "torchair": self.torchair}
        self.modules |= {
            "torchair.configs": types.ModuleType("torchair.configs"),
            "torchair.configs.compiler_config": configs,
        }

    def module(self):
        class Module:
            def npu(self):
                return self

        return Module

    def tensor(self, size):
        width = size[-1] if isinstance(size, tuple) else size
        tensor = types.SimpleNamespace(width=width)
        tensor.npu = lambda: tensor
        return tensor

    def event(clock):
        class Event:
            def __init__(self, enable_timing=False):
                assert enable_timing

            def record(self):
                self.at = clock.now_us

            def elapsed_time(self, end):
                return (end.at - self.at) / 1000

        return Event

    @contextmanager
    def nothing(self):
        yield

    @contextmanager
    def super_kernel(self, scope, options=""):
        assert isinstance(scope, str) and isinstance(options, str)
        before, self.fused = self.fused, True
        yield
        self.fused = before

    def npu_rms_norm(self, self_, gamma, epsilon=1e-6):
        self.links += 1
        first = self.links == 1
        self.now_us += WORK_US * self_.width / 4096 + (SYNC_US if self.fused and not first else HEAD_US)
        return self_, None

    def compile(self, model, *, backend, options=None, dynamic=None, fullgraph=False):
        assert dynamic is False and fullgraph and backend in ("npugraph_ex", "torchair")
        if backend == self.broken:
            raise RuntimeError("no static kernels")
        fused = bool(options and options["static_kernel_compile"] and options["super_kernel_optimize"])

        def run(x):
            self.now_us += LAUNCH_US
            self.links, self.fused = 0, fused
            return model.forward(x)

        return run


def probed(tmp_path, monkeypatch, broken=""):
    """The result of the printed program, run against the stand-in."""
    stand_in, program, result = StandIn(broken), tmp_path / "probe.py", tmp_path / "probe.json"
    assert CliRunner().invoke(capture_command, ["--probe", "-o", str(program)]).exit_code == 0
    for name, module in stand_in.modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    names = {"__name__": "probe"}
    exec(compile(program.read_text(encoding="utf-8"), "probe.py", "exec", dont_inherit=True), names)
    names["main"](str(result))
    monkeypatch.undo()
    return result


def test_the_program_measures_what_a_boundary_saves_and_what_is_left(tmp_path, monkeypatch):
    result = probed(tmp_path, monkeypatch)
    assert len(json.loads(result.read_text())["cases"]) == 32
    machine = read_probe(result)
    assert (machine.device, machine.torch_npu, machine.cases) == ("Ascend910_0", "2.13.0", 8)
    assert machine.saved_us == pytest.approx(HEAD_US - SYNC_US) and machine.log_sd == pytest.approx(0, abs=1e-6)
    assert machine.left_us == pytest.approx(SYNC_US)


def test_a_mode_that_fails_is_noted_and_the_other_counts(tmp_path, monkeypatch):
    machine = read_probe(probed(tmp_path, monkeypatch, broken="npugraph_ex"))
    assert machine.cases == 4 and machine.saved_us == pytest.approx(HEAD_US - SYNC_US)


def test_the_machines_priors_replace_ours_and_are_named_as_measured(tmp_path, monkeypatch):
    ledger = tmp_path / "data" / "ledger.sqlite"
    arguments = ["--ledger", str(ledger), "--probe", str(probed(tmp_path, monkeypatch))]
    done = CliRunner().invoke(calibrate_command, arguments)
    assert done.exit_code == 0 and "measured on Ascend910_0: a boundary that vanishes saves 2.50 us" in done.output
    assert find_machine(ledger) == read_probe(tmp_path / "probe.json")
    kernels = decode_kernels()
    for kernel in kernels:
        kernel["op_type"] = kernel["op_type"].replace("MatMulV2", "QuantBatchMatmulV3")
    labelled = labelled_table(kernels)
    steps = step_table(labelled)
    times = timeline.measure(labelled, steps)
    situation = Situation(
        mode="graph", phase="decode", graph_kind="ge_graph", decoder_layers=4, layer_kinds={"dense": 4}, hardware="A3"
    )
    ours, probed_ = (
        next(t for t in gain.assess(labelled, times, situation, options).templates if t.name == "per-block")
        for options in (Options(), Options(ledger=ledger))
    )
    head = probed_.terms["head_overhead"]
    assert (head.basis, head.source) == ("measured", "measured on this machine by the probe")
    won = (head.mid_us + probed_.terms["visible_gaps"].mid_us) / head.inputs["boundaries_removed_mid"]
    assert won == pytest.approx(2.5, rel=0.15)
    widths = [np.log(t.estimate.high_us / t.estimate.low_us) for t in (ours, probed_)]
    assert widths[1] < 0.7 * widths[0]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}", InputError),
        ("[1]", InputError),
        ("no json", InputError),
        ('{"probe": 1, "device": "d", "torch_npu": "2", "cases": [{"mode": "ge"}]}', InputError),
        ('{"probe": 1, "device": "d", "torch_npu": "2", "cases": []}', NotEnoughError),
        ('{"probe": 1, "device": "d", "torch_npu": "2", "cases": [{"mode": "ge", "cores": 8, "width": 512, '
         '"length": 16, "superkernel": true, "us": [-1]}]}', InputError),
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, text, error):
    path = tmp_path / "probe.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error):
        read_probe(path)
