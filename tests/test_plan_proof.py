"""The commands of a plan, run from end to end on stand-ins: a runner with the layout and the lines of cann-recipes, and
a script of one's own. What they verify and compare is built, and so known beforehand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skadvisor.plan.proof import proof_commands

SAMPLES = Path(__file__).parents[1] / "profiles"
#: What both stand-ins do: GE's lines at INFO, a time per decode step, the same text, a capture where it is asked for.
COMMON = """
import os, pathlib, shutil, sys, time
SAMPLES = pathlib.Path({samples!r})

def plog(on):
    folder = os.environ.get("ASCEND_PROCESS_LOG_PATH")
    if folder and os.environ.get("ASCEND_GLOBAL_LOG_LEVEL") == "1":
        place = pathlib.Path(folder, "debug", "plog")
        place.mkdir(parents=True, exist_ok=True)
        taken = "find super kernel sub op mm_{{}}(MatMulV3), super_scope_name decoder_layers, stream_id 1"
        done = "start to process scope decoder_layers, stream id 1, sk sub nodes size 4"
        lines = [*(taken.format(i) for i in range(4)), done] if on else []
        (place / "plog-1.log").write_text("".join(f"[INFO] GE(1,python3):{{line}}\\n" for line in lines))

def sk_meta(on):
    if os.environ.get("ASCEND_OP_COMPILE_SAVE_KERNEL_META") == "1":
        place = pathlib.Path("sk_meta", str(os.getpid()), "model_1")
        place.mkdir(parents=True)
        name = "sk_1_decoder_layers_start_static_kernel_A_end_static_kernel_B"
        built = f"[INFO] SK Function: {{name}}, scope id: 1, Node Count: 4\\n" if on else ""
        (place / "sk_fused_nodes.log").write_text(built)

def steps(on):
    now = f"[INFO][2026-01-01 00:00:00.{{time.time_ns() % 1000:03d}}]"
    for step in range(6):
        taken = (20.0 if on else 22.0) + 0.01 * step
        yield f"{{now}}[scheduler.py:570] [Main] Inference time (decode): {{taken:.2f}} ms"
    yield f"{{now}}[infer.py:87] Request 0: outputs: a planet is a world"

def capture(on, target):
    shutil.copytree(SAMPLES / ("superkernel-on" if on else "superkernel-off"), target, dirs_exist_ok=True)
"""
RUNNER = """
import yaml
name = sys.argv[sys.argv.index("--yaml") + 1]
model = pathlib.Path("models", sys.argv[sys.argv.index("--model") + 1])
settings = yaml.YAML(typ="safe").load((model / "config" / name).read_text())["model_config"]
assert settings["exe_mode"] == "ge_graph"
on = settings["custom_params"]["enable_superkernel"]
result = model / "res" / "20260101" / f"{settings['model_name']}_{name.removesuffix('.yaml')}"
result.mkdir(parents=True, exist_ok=True)
plog(on)
for rank in range(2):
    (result / f"log_{rank}.log").write_text("\\n".join(steps(on)) + "\\n")
if settings["enable_profiler"]:
    capture(on, result / "prof" / "decode")
""".replace("import yaml", "import ruamel.yaml as yaml")
SCRIPT = """
import modeling
on = os.environ["SUPERKERNEL"] == "1"
opened = modeling.run(on)
assert opened == (["decoder_layers"] if on else [])
plog(on)
print("\\n".join(steps(on)))
if "RECORD" in os.environ:
    capture(on, os.environ["RECORD"])
"""
#: As SCRIPT, for npugraph_ex: a pair of calls on a stand-in torch, and the folder sk_meta.
CAPTURED = SCRIPT.replace("plog(on)", "sk_meta(on)")
PAIR = '''
import torch

def run(on):
    """A decode step of a model with a scope round its layers; answers the scopes that were opened."""
    if on:
        torch.npu.super_kernel_scope_begin("decoder_layers")
    if on:
        torch.npu.super_kernel_scope_end("decoder_layers")
    assert torch.npu.open == []
    return torch.npu.opened
'''
TORCH = """
import types
npu = types.SimpleNamespace(opened=[], open=[])
npu.super_kernel_scope_begin = lambda name: (npu.opened.append(name), npu.open.append(name))
npu.super_kernel_scope_end = lambda name: npu.open.remove(name)
"""
#: `vllm serve` and `vllm bench serve`: the server knows its switch, the benchmark asks the folder of the server.
VLLM = """
import json, signal
if sys.argv[1] == "serve":
    switches = json.loads(sys.argv[sys.argv.index("--additional-config") + 1])["ascend_compilation_config"]
    on = switches["enable_super_kernel"]
    assert switches["enable_npugraph_ex"] and switches["enable_static_kernel"]
    sk_meta(on)
    pathlib.Path("switch").write_text(f"{int(on)} {os.environ['VLLM_TORCH_PROFILER_DIR']}")
    signal.pause()
on = pathlib.Path("switch").read_text().startswith("1")
print("============ Serving Benchmark Result ============")
print(f"Median TPOT (ms):                        {20.0 if on else 22.0}")
"""
CURL = """
import json
for _ in range(100):
    if pathlib.Path("switch").exists():
        break
    time.sleep(0.1)
on, _, target = pathlib.Path("switch").read_text().partition(" ")
if sys.argv[-1].endswith("/stop_profile"):
    capture(on == "1", target)
elif "-d" in sys.argv:
    print(json.dumps({"choices": [{"text": "Mercury, Venus"}]}))
"""
MODELING = '''
import contextlib, torchair

def run(on):
    """A decode step of a model with a scope round its layers; answers the scopes that were opened."""
    with torchair.scope.super_kernel("decoder_layers", "") if on else contextlib.nullcontext():
        pass
    return torchair.opened
'''
TORCHAIR = """
import contextlib, types
opened = []

@contextlib.contextmanager
def _scope(name, options):
    opened.append(name)
    yield

scope = types.SimpleNamespace(super_kernel=_scope)
"""
CONFIG = """\
model_config:
  model_name: "tiny"
  exe_mode: "ge_graph"
  enable_profiler: False  # [False, True]
  custom_params:
    enable_superkernel: True  # [False, True]
"""


def walk(folder: Path, dialect: Any, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the commands of a plan in a folder, with `skadvisor` as this checkout has it."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name, start in (("skadvisor", '-c "from skadvisor.cli import main; main()" '), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {start}"$@"\n')
        (tools / name).chmod(0o755)
    path = os.pathsep.join(map(str, (folder, Path(__file__).parents[1])))
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": path, "RUNS": "2", **variables}
    environment |= {"XDG_DATA_HOME": str(folder / "data"), "LC_ALL": "C.UTF-8"}
    code = proof_commands("full-model", dialect).code
    return subprocess.run(
        ["bash", "-e", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def check(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    """The scope was compiled in, the text is the same, it is faster by what was built, and the outcome is kept."""
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    import json

    performance = json.loads((folder / "proof" / "performance.json").read_text())
    assert performance["improvement_percent"] == pytest.approx(100 * 2 / 22, abs=0.3)
    assert "Verdict" in done.stdout and "decoder_layers" in done.stdout
    assert list((folder / "data").rglob("ledger.sqlite"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    return tmp_path


def test_the_loop_of_recipes_ends_in_a_proof(folder: Path) -> None:
    scripts, config = folder / "executor" / "scripts", folder / "models" / "tiny" / "config"
    scripts.mkdir(parents=True)
    config.mkdir(parents=True)
    (folder / "infer_stand_in.py").write_text(COMMON.format(samples=str(SAMPLES)) + RUNNER)
    (scripts / "infer.sh").write_text('exec python infer_stand_in.py "$@"\n')
    (config / "tiny.yaml").write_text(CONFIG)
    check(walk(folder, "recipes", MODEL="tiny", YAML="tiny.yaml"), folder)
    assert "enable_superkernel: False  # [False, True]" in (config / "sk_off.yaml").read_text()
    assert (config / "sk_on.yaml").read_text() == CONFIG


def test_the_loop_of_a_script_ends_in_a_proof(folder: Path) -> None:
    for name, text in (("run.py", COMMON.format(samples=str(SAMPLES)) + SCRIPT), ("modeling.py", MODELING)):
        (folder / name).write_text(text)
    (folder / "torchair.py").write_text(TORCHAIR)
    check(walk(folder, "ge"), folder)


def test_the_loop_of_a_captured_graph_ends_in_a_proof(folder: Path) -> None:
    (folder / "run.py").write_text(COMMON.format(samples=str(SAMPLES)) + CAPTURED)
    (folder / "modeling.py").write_text(PAIR)
    (folder / "stand_ins").mkdir()
    (folder / "stand_ins" / "torch.py").write_text(TORCH)
    check(walk(folder, "npugraph_ex", COMMAND="env PYTHONPATH=stand_ins python run.py"), folder)


def test_the_loop_of_vllm_ascend_ends_in_a_proof(folder: Path) -> None:
    tools = folder / "bin"
    tools.mkdir()
    for name, text in (("vllm", VLLM), ("curl", CURL)):
        (tools / name).write_text(f"#!{sys.executable}\n{COMMON.format(samples=str(SAMPLES))}{text}")
        (tools / name).chmod(0o755)
    check(walk(folder, "vllm-ascend", MODEL="tiny"), folder)
    assert (folder / "proof" / "on" / "output.txt").read_text() == "Mercury, Venus\n"


@pytest.mark.parametrize("dialect", ["recipes", "ge", "npugraph_ex", "vllm-ascend"])
def test_every_loop_is_bash_and_judges_what_it_kept(dialect: Any) -> None:
    code = proof_commands("moe-only", dialect).code
    assert subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True).stderr == ""
    assert "@" not in code.replace("$@", "")
    for part in ("skadvisor verify --compile-log", "--outputs", "--before", "--after", "--template moe-only --keep"):
        assert part in code
    assert ("ASCEND_GLOBAL_LOG_LEVEL=1" in code) == (dialect in ("recipes", "ge"))
    assert ("ASCEND_OP_COMPILE_SAVE_KERNEL_META=1" in code) == (dialect in ("npugraph_ex", "vllm-ascend"))
