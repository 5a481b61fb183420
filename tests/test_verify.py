"""The three checks: what the compile log says, whether outputs are the same, and the gain in performance.json."""

from __future__ import annotations

import json
import math
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from skadvisor.commands.verify import verify_command
from skadvisor.errors import GateError, InputError, NotEnoughError
from skadvisor.verification.checks import verify
from skadvisor.verification.compile_log import read_compile_logs, read_lines
from skadvisor.verification.output_files import compare_outputs
from skadvisor.verification.performance_files import compare_performance, improvement, read_performance
from skadvisor.verification.text import render_verification

# ruff: noqa: E501 (log lines are as long as they are)
GE_LOG = """\
[INFO] GE(1,python):2026-01-01 find super kernel sub op MatMulV2_1(MatMulV2), super_scope_name attention_layer_0, stream_id 0, cur_pos 4
[INFO] GE(1,python):2026-01-01 find super kernel sub op RmsNorm_1(RmsNorm), super_scope_name attention_layer_0, stream_id 0, cur_pos 5
[EVENT] GE(1,python) find super kernel sub op Cast_7(Cast) can not fusion, maybe it is tbe or tik operator, please replace to ascendc operator and specify super_kernel_scope, local_memory_size 0, super_scope_name attention_layer_0, stream_id 0, cur_pos 6, topo id 77, so delete attr
[EVENT] GE(1,python) node Cast_7 can not fusion, maybe it is tbe or tik operator, please replace, local_memory_size 0. stream id 0 index 6, target scope attention_layer_0, topo id is 77.
[INFO] GE(1,python) start to process scope attention_layer_0_split_3_77, event begin id is 5, sk sub nodes size 2
something else entirely
"""
META_FUSED = """\
SK Function: sk_1_decoder.0_start_static_kernel_A_1_end_static_kernel_B_2, scope id: 3, Node Count: 7
SK Function: sk_2_decoder.0_start_static_kernel_C_1_end_static_kernel_C_1, scope id: 3, Node Count: 1
"""
META_FAILED = """\
unfusible kernel:
Node [nodeId:9, streamId:1, KernelInfos{funcName:static_kernel_Cast_x, kernelType:AIV_ONLY, numBlocks:1}]: {x}: reason: OP_UNSUPPORT
Node [nodeId:8, streamId:1, KernelInfos{funcName:static_kernel_Head_x, kernelType:AIV_ONLY}]: {x}: reason: NOT_IN_SCOPE
"""
META_SPLIT = """\
Scope 1 (scopeId=1): 3 nodes, 2 streams, scopeNames=[decoder.0]
BreakInfo: breakReason=UNFUSIBLE_NODE, triggerNode=13, triggerStream=1, fusionFailReason=OP_UNSUPPORT, detail="split"
"""


def test_a_ge_log_names_what_was_built_and_what_was_left_out() -> None:
    log = read_lines(GE_LOG.splitlines())
    assert log.built is True
    assert log.superkernels == 1
    ((scope),) = log.scopes
    assert (scope.name, scope.taken, scope.cuts, scope.built) == ("attention_layer_0", 2, 1, 1)
    ((left),) = log.left_out
    assert (left.name, left.op_type, left.scope) == ("Cast_7", "Cast", "attention_layer_0")
    assert "tbe or tik" in left.reason


def test_sk_meta_is_read_as_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sk_meta" / "123"
    folder.mkdir(parents=True)
    (folder / "sk_fused_nodes.log").write_text(META_FUSED)
    (folder / "sk_fusion_fail_reasons.log").write_text(META_FAILED)
    (folder / "sk_scope_split.log").write_text(META_SPLIT)
    log = read_compile_logs([tmp_path / "sk_meta"])
    assert log.built is True and log.superkernels == 1
    assert {item.reason for item in log.left_out} == {"OP_UNSUPPORT", "UNFUSIBLE_NODE: OP_UNSUPPORT"}
    assert {(scope.name, scope.cuts) for scope in log.scopes} == {("decoder.0", 1)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("GELOGI SuperKernelPass only support static graph[graph_1]", "graph_1 is dynamic"),
        ("[ERROR] do not support more than 2 real stream", "more than 2 streams"),
        ("graph [graph_1] has no super kernel scope", "no scope"),
    ],
)
def test_problems_mean_that_nothing_was_built(line: str, words: str) -> None:
    log = read_lines([line])
    assert log.built is False
    assert words in str(log.problems[0])


def test_silence_proves_nothing() -> None:
    assert read_lines(["nothing", "of interest"]).built is None
    assert read_lines([]).built is None


def test_a_missing_or_empty_log_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_compile_logs([tmp_path / "nothing.log"])
    with pytest.raises(InputError):
        read_compile_logs([tmp_path])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(GE_LOG.splitlines() + META_FAILED.splitlines()))
def test_damaged_logs_never_fail(tmp_path_factory: Any, noise: bytes, line: str) -> None:
    path = tmp_path_factory.mktemp("log") / "x.log"
    path.write_bytes(noise + line.encode()[: len(noise)] + b"\n" + noise)
    assert read_compile_logs([path]).lines >= 1


def pair(folder: Path, old: Any, new: Any, suffix: str) -> tuple[Path, Path]:
    paths = folder / f"off{suffix}", folder / f"on{suffix}"
    for path, value in zip(paths, (old, new), strict=True):
        if suffix == ".npy":
            np.save(path, value)
        elif suffix == ".npz":
            np.savez(path, **value)
        elif suffix == ".json":
            path.write_text(json.dumps(value))
        elif isinstance(value, bytes):
            path.write_bytes(value)
        else:
            path.write_text(value)
    return paths


def test_the_same_bytes_are_identical(tmp_path: Path) -> None:
    result = compare_outputs(*pair(tmp_path, "a 1.0\n", "a 1.0\n", ".txt"))
    assert result.identical and result.kind == "bytes"


def test_numbers_in_text_are_compared_by_value(tmp_path: Path) -> None:
    result = compare_outputs(*pair(tmp_path, "logits 1.0 2\nend\n", "logits 1.5 2\nend\n", ".txt"))
    assert (result.identical, result.different, result.largest) == (False, 1, 0.5)
    assert result.first == "line 1: 1.0 / 1.5"
    same = compare_outputs(*pair(tmp_path, "x 1.0\n", "x 1.00\n", ".txt"))
    assert same.identical
    words = compare_outputs(*pair(tmp_path, "good\nday\n", "good\nnight\n", ".txt"))
    assert words.largest is None and words.first.startswith("line 2:")
    longer = compare_outputs(*pair(tmp_path, "a\n", "a\nb\n", ".txt"))
    assert not longer.identical and longer.largest is None


def test_json_is_compared_by_value(tmp_path: Path) -> None:
    old = {"text": "hi", "scores": [1.0, 2.0, float("nan")]}
    assert compare_outputs(*pair(tmp_path, old, {**old, "scores": [1, 2.0, float("nan")]}, ".json")).identical
    changed = compare_outputs(*pair(tmp_path, old, {**old, "scores": [1.0, 2.25, float("nan")]}, ".json"))
    assert changed.largest == 0.25 and changed.first.startswith("$.scores[1]")
    missing = compare_outputs(*pair(tmp_path, old, {"text": "hi"}, ".json"))
    assert not missing.identical and missing.largest is None
    assert not compare_outputs(*pair(tmp_path, {"a": 1}, {"a": True}, ".json")).identical


def test_arrays_say_where_the_first_difference_is(tmp_path: Path) -> None:
    old = np.zeros((3, 4), dtype="float32")
    old[0, 0] = np.nan
    new = old.copy()
    new[1, 2], new[2, 3] = 1e-3, -2e-3
    result = compare_outputs(*pair(tmp_path, old, new, ".npy"))
    assert (result.compared, result.different) == (12, 2)
    assert result.largest == pytest.approx(2e-3)
    assert result.first.startswith("[1, 2]")
    shape = compare_outputs(*pair(tmp_path, old, old.reshape(4, 3), ".npy"))
    assert not shape.identical and shape.largest is None
    lost = compare_outputs(*pair(tmp_path, {"a": old}, {"b": old}, ".npz"))
    assert "one file only" in lost.first
    became_nan = compare_outputs(*pair(tmp_path, np.ones(2), np.array([1.0, np.nan]), ".npy"))
    assert became_nan.largest == math.inf


def safetensors(values: bytes, dtype: str, shape: list[int]) -> bytes:
    header = json.dumps({"t": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(values)]}}).encode()
    return struct.pack("<Q", len(header)) + header + values


def test_safetensors_are_read_without_torch(tmp_path: Path) -> None:
    old, new = np.array([1.0, -2.0], dtype="<f4"), np.array([1.0, -2.5], dtype="<f4")
    paths = pair(
        tmp_path, safetensors(old.tobytes(), "F32", [2]), safetensors(new.tobytes(), "F32", [2]), ".safetensors"
    )
    assert compare_outputs(*paths).largest == 0.5
    half = [np.array([value], dtype="<f4").tobytes()[2:] for value in (1.5, 3.0)]
    brain = [safetensors(value, "BF16", [1]) for value in half]
    assert compare_outputs(*pair(tmp_path, *brain, ".safetensors")).largest == 1.5


def test_safetensors_agree_with_their_library(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    rng = np.random.default_rng(1)
    old = {"a": rng.normal(size=(3, 2)).astype("float16"), "b": rng.integers(0, 9, 5)}
    new = {"a": old["a"] + np.float16(1), "b": old["b"]}
    for name, arrays in (("off", old), ("on", new)):
        library.save_file(arrays, str(tmp_path / f"{name}.safetensors"))
    result = compare_outputs(tmp_path / "off.safetensors", tmp_path / "on.safetensors")
    assert (result.compared, result.different) == (11, 6)
    assert result.largest == pytest.approx(np.abs(new["a"].astype(float) - old["a"].astype(float)).max())


class Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was opened",))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    trap = pickle.dumps(Trap())
    with pytest.raises(InputError, match="pickles"):
        compare_outputs(*pair(tmp_path, trap, trap + b"x", ".pt"))
    array = np.array([Trap()], dtype=object)
    np.save(tmp_path / "off.npy", array, allow_pickle=True)
    (tmp_path / "on.npy").write_bytes((tmp_path / "off.npy").read_bytes() + b" ")
    with pytest.raises(InputError):
        compare_outputs(tmp_path / "off.npy", tmp_path / "on.npy")


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=200), st.binary(max_size=200), st.sampled_from([".npy", ".npz", ".safetensors", ".json", ".txt"])
)
def test_damaged_outputs_end_in_a_clear_error(tmp_path_factory: Any, old: bytes, new: bytes, suffix: str) -> None:
    folder = tmp_path_factory.mktemp("out")
    (folder / f"off{suffix}").write_bytes(old)
    (folder / f"on{suffix}").write_bytes(new)
    try:
        result = compare_outputs(folder / f"off{suffix}", folder / f"on{suffix}")
    except InputError:
        return
    assert result.identical or result.first


def performance(folder: Path, name: str, latency: float | None = None, throughput: float | None = None) -> Path:
    figures = {"decode_latency_ms": latency, "throughput_tokens_per_sec": throughput, "memory_usage_gb": 24.3}
    data = {"test_info": {"model_name": "m"}, "performance": {k: v for k, v in figures.items() if v}, "statistics": {}}
    path = folder / name
    path.write_text(json.dumps(data))
    return path


def test_latency_down_and_throughput_up_are_positive(tmp_path: Path) -> None:
    off, on = performance(tmp_path, "off.json", 15.2, 65.8), performance(tmp_path, "on.json", 12.8, 78.1)
    figures = compare_performance(read_performance([off]), read_performance([on]))
    assert figures["improvement_percent"] == pytest.approx(15.79)
    assert figures["improvements"]["throughput_tokens_per_sec"]["improvement_percent"] == pytest.approx(18.69)
    assert figures["metric"] == "decode_latency_ms"
    only = [performance(tmp_path, f"{i}.json", throughput=value) for i, value in enumerate((50.0, 60.0))]
    assert compare_performance(read_performance(only[:1]), read_performance(only[1:]))["improvement_percent"] == 20.0


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_the_sign_follows_the_metric(before: float, after: float) -> None:
    faster, more = (
        improvement("decode_latency_ms", before, after),
        improvement("throughput_tokens_per_sec", before, after),
    )
    if abs(before - after) > 1e-3 * before:
        assert (faster > 0) == (after < before) and (more > 0) == (after > before)


def test_medians_over_several_runs(tmp_path: Path) -> None:
    off = [performance(tmp_path, f"off{i}.json", value) for i, value in enumerate((10.0, 11.0, 30.0))]
    on = [performance(tmp_path, f"on{i}.json", value) for i, value in enumerate((9.9, 9.9, 1.0))]
    figures = compare_performance(read_performance(off), read_performance(on))
    assert figures["improvement_percent"] == 10.0
    assert figures["statistics"]["baseline"]["runs"] == 3


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("step 1\nDecode inference average time cost is 14.50 ms\n", "decode_latency_ms", 14.5),
        ("decode latency: 12 ms\ndecode latency: 14 ms\ndecode latency: 99 ms\n", "decode_latency_ms", 14.0),
        ("Mean TPOT (ms):                          7.25\n", "decode_latency_ms", 7.25),
        ("Output token throughput (tok/s):         1234.50\n", "throughput_tokens_per_sec", 1234.5),
        ("gen throughput: 42.5 token/s", "throughput_tokens_per_sec", 42.5),
    ],
)
def test_logs_are_searched_for_figures(tmp_path: Path, text: str, metric: str, value: float) -> None:
    path = tmp_path / "run.log"
    path.write_text(text)
    assert read_performance([path]).values[metric] == (value,)


def test_files_without_figures_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("prefill only, decoder loaded in 12 ms\n")
    with pytest.raises(NotEnoughError):
        read_performance([path])
    for content in ("[1, 2]", "{broken", '{"performance": {"decode_latency_ms": "15"}}', '{"performance": []}'):
        bad = tmp_path / "x.json"
        bad.write_text(content)
        with pytest.raises((InputError, NotEnoughError)):
            read_performance([bad])


def test_verify_judges_each_check(tmp_path: Path) -> None:
    log = tmp_path / "compile.log"
    log.write_text(GE_LOG)
    outputs = pair(tmp_path, "1.0\n", "1.5\n", ".txt")
    off, on = performance(tmp_path, "off.json", 10.0), performance(tmp_path, "on.json", 9.0)
    result = verify([log], [outputs], ([off, off], [on, on]))
    assert [(check.name, check.status) for check in result.checks] == [
        ("compile", "warn"),
        ("output", "block"),
        ("performance", "pass"),
    ]
    assert verify(outputs=[outputs], tolerance=0.5).checks[0].status == "warn"
    assert verify(performance=([on], [off])).checks[0].status == "block"
    assert verify(performance=([on], [on])).checks[0].status == "warn"
    text = render_verification(result)
    assert "Cast" in text and "FAIL" in text


def test_the_command_writes_what_jq_reads(tmp_path: Path) -> None:
    off, on = performance(tmp_path, "off.json", 10.0), performance(tmp_path, "on.json", 9.0)
    output = tmp_path / "performance.json"
    arguments = ["--before", str(off), "--after", str(on), "-o", str(output), "--lang", "en"]
    done = CliRunner().invoke(verify_command, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(output.read_text())["improvement_percent"] == 10.0
    again = CliRunner().invoke(verify_command, arguments)
    assert isinstance(again.exception, InputError)
    assert CliRunner().invoke(verify_command, []).exit_code == 2
    failed = CliRunner().invoke(verify_command, ["--outputs", *map(str, pair(tmp_path, "a", "b", ".txt"))])
    assert isinstance(failed.exception, GateError)
