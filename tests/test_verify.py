"""The three checks: what the compile log says, whether outputs are the same, and the gain in performance.json."""

from __future__ import annotations

import gzip
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
from skadvisor.comparison.statistics import Interval, judge, with_recompile
from skadvisor.errors import GateError, InputError, NotEnoughError
from skadvisor.report.markdown import render_markdown
from skadvisor.verification.checks import verify
from skadvisor.verification.compile_log import read_compile_logs, read_lines
from skadvisor.verification.log_text import LONGEST_LINE, read_lines_of
from skadvisor.verification.output_files import compare_outputs
from skadvisor.verification.performance_files import compare_performance, improvement, read_performance
from skadvisor.verification.text import describe_verification

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


REASON = (
    "can not fusion, maybe it is tbe or tik operator, please replace to ascendc operator and specify super_kernel_scope"
)
ABORT = f"[ERROR] GE(1,python):2026-01-01 E19999: In abort check scene, node Cast_7 {REASON}, target scope moe_3"
BYPASS = f"[WARNING] GE(1,python):2026-01-01 current node Cast_7 {REASON}, target scope moe_3"
FAULT = (
    "[ERROR] RUNTIME(1,python3):2026-03-28-11:32:18.888.239 [davinci_kernel_task.cc:1639]1 PrintErrorInfo:[DFX_INFO]"
    "Aicore kernel execute failed, device_id=0, fault kernel_name=te_superkernel_911c4c52, fault kernel info ext=none.",
    "[ERROR] GE(1,python3):2026-03-28-11:32:18.888.346 [error_tracking.cc:177]1 ErrorNo: 4294967295(failed)Error happened, "
    "origin_op_name [sk_sp1_start_TransQuantParamV2_end_QuantBatchMatmulV3_2], op_name [x], task_id 0.",
    "[ERROR] IDEDD(1,python3):2026-03-28-11:32:18.893.754 [kernel_info_collector.cpp:534][tid:1] [Dump][Exception] "
    "coreId=3, symbol name=te_quantbatchmatmulv3_8ab205c8__kernel0_middle_split3, symbol size=1914",
)


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
    assert {item.reason for item in log.left_out} == {"OP_UNSUPPORT"}
    assert {(scope.name, scope.cuts) for scope in log.scopes} == {("decoder.0", 1)}


@pytest.mark.parametrize(
    ("lines", "answer", "words"),
    [
        (["GELOGI SuperKernelPass only support static graph[graph_1]"], "refuted", "graph_1 is dynamic"),
        (["[INFO] GE(1,python) SuperKernelPass only support static graph[graph_prefill_1]"], "not_proven", "INFO"),
        (["[ERROR] super kernel do not support more than 2 real stream: oplist: []"], "refuted", "more than 2 streams"),
        (["graph [graph_1] has no super kernel scope"], "refuted", "graph_1 has no scope"),
        (GE_LOG.splitlines(), "proven", "scopes: 1 (attention_layer_0); operators left out: 1, cuts: 1"),
        (
            [*GE_LOG.splitlines(), "[INFO] GE(1,python) SuperKernelPass only support static graph[graph_prefill]"],
            "proven",
            "attention_layer_0",
        ),
        ([line for line in GE_LOG.splitlines() if "EVENT" in line], "not_proven", "Cast was refused and cut the scope"),
        (
            [line.replace("can not", "cannot") for line in GE_LOG.splitlines() if "EVENT" in line],
            "not_proven",
            "Cast was refused and cut the scope",
        ),
        (
            [GE_LOG.splitlines()[2], "[INFO] GE(1,python) graph [graph_2] has no super kernel scope"],
            "refuted",
            "every operator in scope attention_layer_0 was refused",
        ),
        (
            ["[INFO] start to process scope moe_split_3_7, event begin id is 5, sk sub nodes size 1"],
            "refuted",
            "scope moe was cut into single operators",
        ),
        ([ABORT], "refuted", "Cast_7 cannot be fused in scope moe_3"),
        ([BYPASS], "refuted", "scope moe_3 was given up because of Cast_7"),
        ([*GE_LOG.splitlines(), *FAULT], "refuted", "scope sp1, from TransQuantParamV2 ... QuantBatchMatmul"),
        ([*GE_LOG.splitlines(), *FAULT], "refuted", "te_quantbatchmatmulv3_8ab205c8__kernel0_middle_split3"),
        (["[INFO] GE(1,python) all is well"], "not_proven", "nothing about SuperKernel in 1 lines"),
    ],
)
def test_each_log_has_its_answer(tmp_path: Path, lines: list[str], answer: str, words: str) -> None:
    path = tmp_path / "plog-1_2026.log.gz"
    path.write_bytes(gzip.compress("\r\n".join(f"\x1b[32m{line}\x1b[0m" for line in lines).encode()))
    (check,) = verify([path]).checks
    assert (check.answer, words in str(check.message)) == (answer, True), check.message
    assert bool(check.prove) == (answer == "not_proven")


def test_ranks_that_say_the_same_are_counted_once(tmp_path: Path) -> None:
    for rank in range(4):
        (tmp_path / f"plog-{rank}_1.log").write_text(GE_LOG.replace("(1,python)", f"({rank},python)"))
    log = read_compile_logs([tmp_path])
    assert (log.superkernels, log.left_out_count, log.scopes[0].taken, log.scopes[0].cuts) == (1, 1, 2, 1)


def test_sk_meta_counts_the_last_pass_and_each_fact_once(tmp_path: Path) -> None:
    def printed(name: str, *scopes: str) -> list[str]:
        lines = [f"========== Scope split results begin: pass={name}, totalScopes={len(scopes)} =========="]
        for number, reason in enumerate(scopes):
            lines.append(f"Scope {number} (scopeId={number}): 9 nodes, 1 streams, scopeBitFlags=1, scopeNames=[moe]")
            lines.append(f"  BreakInfo: {reason}")
        return [*lines, f"========== Scope split results end: pass={name} =========="]

    cut = "breakReason=UNFUSIBLE_NODE, triggerNode=13, triggerStream=0, parentScope=1"
    split = [
        *(line for name in ("DefaultNodeProcess", "Unfusible", "Deadlock") for line in printed(name, cut, cut)),
        *printed("ScopeSplitPipelineFinal", "", cut, "breakReason=DEADLOCK_DETECTED, triggerNode=20"),
    ]
    fused = [f"  SK Function: sk_{n}_moe_start_static_kernel_A_{'0a' * 32}_{{pid}}_d0_end_B, scope id: {n}, Node Count: 9"
             for n in range(4)]  # fmt: skip
    node = "Node [nodeId:13, streamId:1] - KernelInfos{funcName:Cast_x, kernelType:AIV}: reason: OP_UNSUPPORT, reasonDetail: x"
    for pid in ("100", "200"):
        folder = tmp_path / "sk_meta" / pid / "model_48_1"
        folder.mkdir(parents=True)
        lines = [line.format(pid=pid) for line in fused]
        (folder / "sk_fused_nodes.log").write_text("\n".join(lines))
        (folder / "sk_scope_split.log").write_text("\n".join(split))
        (folder / "sk_fusion_fail_reasons.log").write_text(node)
        (folder / "super_kernel.log").write_text("\n".join([*split, *lines, node]))
    log = read_compile_logs([tmp_path / "sk_meta"])
    assert log.built is True and log.superkernels == 4
    assert [(scope.name, scope.taken, scope.cuts) for scope in log.scopes] == [("moe", 36, 2)]
    assert [(item.name, item.reason) for item in log.left_out] == [("Cast_x", "OP_UNSUPPORT, reasonDetail: x")]


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
    try:
        assert read_compile_logs([path]).lines >= 1
    except InputError as error:
        assert path.read_bytes()[:2] == b"\x1f\x8b", error  # gzip that is none


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
    data["test_info"]["run"] = name
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


#: Two generations of cann-recipes-infer: one that warms up, and one whose first step still compiles.
RECIPES = """\
[INFO][2026-08-21 17:37:06.123][scheduler.py:570] [Main] Inference time (prefill): 900.10 ms
[INFO][2026-08-21 17:37:07.123][scheduler.py:570] [Main] Inference time (decode): 7000.00 ms
[INFO][2026-08-21 17:37:08.123][scheduler.py:570] [Main] Inference time (prefill): 90.00 ms
[INFO][2026-08-21 17:37:08.200][scheduler.py:570] [Main] Inference time (decode): 60.00 ms
[INFO][2026-08-21 17:37:08.300][scheduler.py:572] [MTP 0] Inference time (decode): 3.00 ms
[INFO][2026-08-21 17:37:08.400][scheduler.py:570] [Main] Inference time (decode): 15.22 ms
[INFO][2026-08-21 17:37:08.500][scheduler.py:570] [Main] Inference time (decode): 15.20 ms
[INFO][2026-08-21 17:37:08.600][scheduler.py:570] [Main] Inference time (decode): 15.24 ms
[INFO][2026-08-21 17:37:08.700][scheduler.py:570] [Main] Inference time (decode): 15.22 ms
[INFO][2026-08-21 17:37:09.000][infer.py:115] deepseek_r1 decode average inference time cost is 24.00 ms
"""
SERVING = """\
Output token throughput (tok/s):         3337.24
Peak output token throughput (tok/s):    5000.00
Total Token throughput (tok/s):          30089.07
Mean TTFT (ms):                          1067.53
Mean TPOT (ms):                          17.53
Median TPOT (ms):                        17.39
P99 TPOT (ms):                           20.62
Median ITL (ms):                         16.00
"""
ONE_BATCH = """\
Warmup ...
Decode 0. Batch size: 4, latency: 0.29446 s, throughput:     13.58 token/s
Decode.  median latency: 0.09178 s, median throughput:    33.57 token/s
Benchmark ...
[2026-02-26 10:25:21 TP0] Reset HybridReqToTokenPool
Prefill. latency: 0.37183 s, throughput:  11015.86 token/s
Decode 0. Batch size: 4, latency: 0.01211 s, throughput:    330.38 token/s
Decode.  median latency: 0.01175 s, median throughput:    340.47 token/s
Total. latency:  6.3 s, throughput:    340.47 token/s
"""
MARKED = """\
kimi_k3[warm up] [decode] inference time cost 400.00 ms
[Verify] kimi_k3 [decode] inference time cost 12.50 ms
[DSpark] draft [decode] inference time cost 2.00 ms
"""


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        (RECIPES, "decode_latency_ms", 15.22),
        (RECIPES, "draft_latency_ms", 3.0),
        (RECIPES, "prefill_latency_ms", 495.05),
        (
            "x inference time cost of prefill is 90.00 ms\nx inference time cost of decode is 26.33 ms",
            "decode_latency_ms",
            26.33,
        ),
        (
            "x prefill average inference time cost is 9 ms\nx average inference time cost is 2 ms",
            "decode_latency_ms",
            2.0,
        ),
        ("x main and mtp model average inference time cost is 20.50 ms", "decode_latency_ms", 20.5),
        (MARKED, "decode_latency_ms", 12.5),
        ("Inference time (decode): 900.0 ms\n" + "Inference time (decode): 8.5 ms\n" * 8, "decode_latency_ms", 8.5),
        (SERVING, "decode_latency_ms", 17.39),
        (SERVING, "throughput_tokens_per_sec", 3337.24),
        (ONE_BATCH, "decode_latency_ms", 11.75),
        (ONE_BATCH, "throughput_tokens_per_sec", 340.47),
        (
            "[x TP0] Decode batch. #running-req: 8, gen throughput (token/s): 42.5, #queue-req: 0",
            "throughput_tokens_per_sec",
            42.5,
        ),
        (
            "Throughput: 5.1 requests/s, 2345.6 total tokens/s, 1172.8 output tokens/s",
            "throughput_tokens_per_sec",
            1172.8,
        ),
        ("step 1\nDecode inference average time cost is 14.50 ms\n", "decode_latency_ms", 14.5),
        ("decode latency: 12 ms\ndecode latency: 14 ms\ndecode latency: 99 ms\n", "decode_latency_ms", 14.0),
        ("gen throughput: 42.5 token/s", "throughput_tokens_per_sec", 42.5),
        ('{"median_tpot_ms": 7.5, "mean_tpot_ms": 9, "output_throughput": 100}', "decode_latency_ms", 7.5),
        ('{"median_decode_latency": 0.02}\n{"median_decode_latency": 0.04}', "decode_latency_ms", 30.0),
    ],
)
def test_logs_are_searched_for_figures(tmp_path: Path, text: str, metric: str, value: float) -> None:
    path = tmp_path / "run.log"
    path.write_text(text)
    assert read_performance([path]).values[metric] == (pytest.approx(value),)


def test_the_logs_of_ranks_are_one_run_and_the_worst_counts(tmp_path: Path) -> None:
    paths = [tmp_path / f"log_{rank}.log" for rank in range(3)]
    for rank, path in enumerate(paths):
        path.write_text(f"Inference time (decode): {10 + rank} ms\n" * 5)
    (tmp_path / "log_router.log").write_text("started\n")
    for named in ([tmp_path], paths):
        read = read_performance(named)
        assert (read.values["decode_latency_ms"], read.runs, read.ranks) == ((12.0,), 1, 3)


@pytest.mark.parametrize(
    ("off", "on", "answer", "exit_code"),
    [
        ([15.22], [13.5], "proven", 0),
        ([15.22], [14.3], "not_proven", 3),
        ([15.22], [15.3], "not_proven", 3),
        ([15.22], [15.9], "refuted", 4),
        ([15.2, 15.3, 15.2], [14.8, 14.7, 14.8], "proven", 0),
        ([14.2, 15.3, 16.2], [14.8, 13.7, 15.9], "not_proven", 3),
    ],
)
def test_what_runs_prove(tmp_path: Path, off: list[float], on: list[float], answer: str, exit_code: int) -> None:
    arguments = ["--lang", "en"]
    for option, times in (("--before", off), ("--after", on)):
        for number, time in enumerate(times):
            path = tmp_path / f"{option[2:]}-{number}.log"
            path.write_text(f"run {number}\n" + f"[Main] Inference time (decode): {time} ms\n" * 4)
            arguments += [option, str(path)]
    done = CliRunner().invoke(verify_command, arguments)
    assert answer.replace("_", " ") in done.output.lower()
    assert getattr(done.exception, "exit_code", 0) == exit_code
    assert not (tmp_path / "performance.json").exists() and ("To prove: " in done.output) == (answer == "not_proven")


@pytest.mark.parametrize("gain", [1.0, 3.0, 5.0, 8.0, 9.0, 12.0])
@pytest.mark.parametrize("runs", [1, 3])
def test_a_log_proves_what_a_comparison_of_captures_calls_faster(tmp_path: Path, gain: float, runs: int) -> None:
    """5 and 8 percent with one run a side are where the two once answered differently."""
    paths: list[list[Path]] = [[], []]
    for side, time in zip(paths, (20.0, 20.0 * (1 - gain / 100)), strict=True):
        for number in range(runs):
            side.append(tmp_path / f"{time:g}-{number}.log")
            side[-1].write_text(f"run {number}\n" + f"[Main] Inference time (decode): {time} ms\n" * 4)
    check = verify(performance=(paths[0], paths[1])).checks[0]
    measured = Interval(gain, gain, gain)
    shown = judge(measured, with_recompile(measured, runs))
    assert (check.answer == "proven") == (shown == "faster") == (gain > 8.5 or (runs == 3 and gain > 2))
    assert ("one run a side" in str(check.message)) == (shown == "perhaps_faster")


@pytest.mark.parametrize("stamped", [False, True])
def test_copies_of_a_log_are_one_run(tmp_path: Path, stamped: bool) -> None:
    """Under other names, and where only the times of day beside the figures were changed."""
    sides: list[list[Path]] = [[], []]
    for side, time in zip(sides, (20.0, 18.5), strict=True):
        for copy in range(3):
            lines = [f"[Main] Inference time (decode): {time + step / 100} ms\n" for step in range(9)]
            stamp = f"2026-01-01 10:0{copy}:00 started\n" if stamped else ""
            side.append(tmp_path / f"{time:g}-{copy}.log")
            side[-1].write_text(stamp + "".join(lines))
    read = [read_performance(side) for side in sides]
    assert [(one.runs, one.copies, len(one.values["decode_latency_ms"])) for one in read] == [(1, 2, 1)] * 2
    assert compare_performance(*read)["statistics"]["baseline"]["copies"] == 2
    (check,) = verify(performance=(sides[0], sides[1])).checks
    assert check.answer == "not_proven" and "4 logs are copies of another one" in str(check.message)
    sides[0][0].write_text("".join(f"[Main] Inference time (decode): {20 + 1 / step} ms\n" for step in range(1, 9)))
    assert read_performance(sides[0]).runs == 2
    assert read_performance([sides[1][0], sides[1][0]]).ranks == 1


@pytest.mark.parametrize(("std", "answer"), [(None, "proven"), (0.2, "proven"), (1.5, "not_proven")])
def test_the_spread_that_a_file_states_counts(tmp_path: Path, std: float | None, answer: str) -> None:
    sides = []
    for latency in (15.22, 14.62):
        sides.append(tmp_path / f"{latency}.json")
        data = {"performance": {"decode_latency_ms": latency}, "statistics": {"runs": 3, "std": std}}
        sides[-1].write_text(json.dumps(data))
    assert verify(performance=([sides[0]], [sides[1]])).checks[0].answer == answer


def test_folders_hold_runs_and_their_ranks(tmp_path: Path) -> None:
    for run in range(3):
        (tmp_path / "ranks" / f"run-{run}").mkdir(parents=True)
        for rank in range(2):
            path = tmp_path / "ranks" / f"run-{run}" / f"log_{rank}.log"
            path.write_text(f"Inference time (decode): {10 + run + rank} ms\n" * 5)
        (tmp_path / f"off-{run}.log").write_text(f"Inference time (decode): {10 + run} ms\n" * 5)
    read = read_performance([tmp_path / "ranks"])
    assert (read.values["decode_latency_ms"], read.runs, read.ranks) == ((11.0, 12.0, 13.0), 3, 2)
    (tmp_path / "off").mkdir()
    for run in range(3):
        (tmp_path / f"off-{run}.log").rename(tmp_path / "off" / f"off-{run}.log")
    assert read_performance([tmp_path / "off"]).values["decode_latency_ms"] == (10.0, 11.0, 12.0)


def test_a_comparison_that_was_made_before_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "performance.json"
    path.write_text('{"improvement_percent": 12.3}')
    (check,) = verify(performance=([], [path])).checks
    assert check.answer == "proven" and "+12.30 %" in str(check.message)
    (check,) = verify(performance=([performance(tmp_path, "off.json", 10.0)], [])).checks
    assert check.answer == "not_proven"


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
    assert [(check.name, check.answer) for check in result.checks] == [
        ("compile", "proven"),
        ("output", "refuted"),
        ("performance", "proven"),
    ]
    assert verify(outputs=[outputs], tolerance=0.5).checks[0].answer == "proven"
    assert verify(performance=([on], [off])).checks[0].answer == "refuted"
    assert verify(performance=([on], [on])).checks[0].answer == "not_proven"
    text = render_markdown(describe_verification(result))
    assert "Cast" in text and "same output (refuted)" in text


def test_the_command_writes_what_jq_reads_and_writes_it_again(tmp_path: Path) -> None:
    off, on = performance(tmp_path, "off.json", 10.0), performance(tmp_path, "on.json", 9.0)
    output = tmp_path / "performance.json"
    arguments = ["--before", str(off), "--after", str(on), "--lang", "en"]
    for _again in range(2):
        done = CliRunner().invoke(verify_command, [*arguments, "--performance", str(output)])
        assert done.exit_code == 0, done.output
    assert json.loads(output.read_text())["improvement_percent"] == 10.0
    other = CliRunner().invoke(verify_command, [*arguments, "--performance", str(off)])
    assert isinstance(other.exception, InputError)
    assert isinstance(CliRunner().invoke(verify_command, []).exception, InputError)
    failed = CliRunner().invoke(verify_command, ["--outputs", *map(str, pair(tmp_path, "a", "b", ".txt"))])
    assert isinstance(failed.exception, GateError)


def recipes_run(second: int, pid: int, milliseconds: float, texts: list[str], switch: bool) -> str:
    stamp = f"[INFO][2026-08-21 17:37:{second:02d}.{pid}]"
    return "".join(
        [
            f"{stamp}[infer.py:60] Inference Configuration enable_superkernel={switch}\n",
            f"{stamp}[server.py:61] started pid {pid} at 127.0.0.1:{pid}\n",
            f"{stamp}[scheduler.py:570] [Main] Inference time (decode): {milliseconds} ms\n",
            *(f"{stamp}[infer.py:83] Request {i}: outputs: {text}\n\n" for i, text in enumerate(texts)),
            f"{stamp}[infer.py:115] deepseek decode average inference time cost is {milliseconds} ms\n",
        ]
    )


@pytest.mark.parametrize(
    ("texts", "others", "answer", "words"),
    [
        (["Paris.\nIt is big.", "4"], ["Paris.\nIt is big.", "4"], "proven", "the same in all 2 generated texts"),
        (["Paris.\nIt took 5 ms."], ["Paris.\nIt took 6 ms."], "refuted", "1 of 1 generated texts differ"),
        (["Paris", "4"], ["Paris", "5"], "refuted", "text 2, character 1: '4' / '5'"),
        (["Paris", "4"], ["Paris"], "refuted", "1 of 2 generated texts differ"),
    ],
)
def test_generated_texts_of_two_runs(tmp_path: Path, texts: Any, others: Any, answer: str, words: str) -> None:
    off, on = recipes_run(6, 101, 15.22, texts, False), recipes_run(42, 999, 12.8, others, True)
    (check,) = verify(outputs=[pair(tmp_path, off, on, ".log")]).checks
    assert (check.answer, words in str(check.message)) == (answer, True), check.message
    assert "other lines of the logs" in str(check.message)


def test_folders_are_compared_file_by_file(tmp_path: Path) -> None:
    for side, text in (("off", "b"), ("on", "c")):
        (tmp_path / side).mkdir()
        for rank in range(2):
            (tmp_path / side / f"log_{rank}.log").write_text(f"Request 0: outputs: {text if rank else 'a'}\n")
    checks = verify(outputs=[(tmp_path / "off", tmp_path / "on")]).checks
    assert [check.answer for check in checks] == ["proven", "refuted"]
    assert "log_1.log: 1 of 1" in str(checks[1].message)
    (tmp_path / "on" / "log_1.log").unlink()
    with pytest.raises(InputError, match="one of"):
        verify(outputs=[(tmp_path / "off", tmp_path / "on")])


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("INFO 01-01 10:00:00 [core.py:59] answer is 42, took 12.3 ms", "INFO 01-01 11:00:01 [core.py:59] answer is 42, took 9.9 ms", True),
        ("INFO 01-01 10:00:00 [core.py:59] answer is 42, took 12.3 ms", "INFO 01-01 11:00:01 [core.py:59] answer is 43, took 9.9 ms", False),
        ("[default0]:Request 0: outputs: a\n[default0]:b", "[default0]:Request 0: outputs: a\n[default0]:c", False),
        ("Inference decode result for batch 0: \na\n[INFO] x", "Inference decode result for batch 0: \na\n[INFO] y", True),
        ("Prompt: 'a', Generated text: 'b'", "Prompt: 'a', Generated text: 'c'", False),
        ("decode latency: 12 ms\nyes", "decode latency: 9 ms\nyes", True),
        ("It is 5 ms.", "It is 6 ms.", False),
        ("a\nb\nc\n", "a\nx\nb\nc\n", False),
        ("50%|#####     | 1/2 [00:01<00:01]\nyes", "50%|#####     | 1/2 [00:02<00:02]\nyes", True),
    ],
)  # fmt: skip
def test_logs_without_marked_texts_are_compared_by_line(tmp_path: Path, old: str, new: str, same: bool) -> None:
    result = compare_outputs(*pair(tmp_path, old, new, ".log"))
    assert result.identical is same
    assert result.different <= result.compared


def test_answers_of_a_server_are_compared_without_their_identifiers(tmp_path: Path) -> None:
    old = {
        "id": "cmpl-1",
        "created": 1,
        "itls": [[0.1, 0.2]],
        "median_tpot_ms": 7.5,
        "choices": [{"text": "yes"}],
        "e2e_latency": 3.5,
    }
    assert compare_outputs(
        *pair(
            tmp_path,
            old,
            old | {"id": "cmpl-2", "created": 9, "itls": [[0.3, 0.1]], "median_tpot_ms": 7.1, "e2e_latency": 2.5},
            ".json",
        )
    ).identical
    assert not compare_outputs(*pair(tmp_path, old, old | {"choices": [{"text": "no"}]}, ".json")).identical


CRASH = """\
Loading model...
Traceback (most recent call last):
  File "infer.py", line 10, in <module>
RuntimeError: NPU out of memory. Tried to allocate {size} GiB
"""
ONLY_LOGGED = (
    "[INFO][2026-11-02 1{hour}:00:00.123][infer.py:87] start\n[INFO][2026-11-02 1{hour}:00:01.123][infer.py:87] done\n"
)
WARNED = ONLY_LOGGED + "=====\n/lib/python3/x.py:12: UserWarning: old\n  warnings.warn(\n"
EMPTY_TEXTS = "[INFO][2026-11-02 1{hour}:00:00.123][infer.py:87] Request 0: outputs: \n"


@pytest.mark.parametrize(
    ("old", "new", "suffix"),
    [
        (CRASH.format(size=2), CRASH.format(size=2), ".log"),
        (ONLY_LOGGED.format(hour=0), ONLY_LOGGED.format(hour=0), ".log"),
        (ONLY_LOGGED.format(hour=0), ONLY_LOGGED.format(hour=1), ".log"),
        (WARNED.format(hour=0), WARNED.format(hour=1), ".log"),
        (EMPTY_TEXTS.format(hour=0), EMPTY_TEXTS.format(hour=1), ".log"),
        ("tokens: [1, 2]\nKilled\n", "tokens: [1, 2]\r\nKilled\r\n", ".txt"),
        ({"outputs": []}, {"outputs": []}, ".json"),
        ({"error": {"message": "refused"}}, {"error": {"message": "refused"}}, ".json"),
        ({"id": 1, "object": "error", "message": "no"}, {"id": 2, "object": "error", "message": "no"}, ".json"),
        ({"id": 1, "prompt": "hi", "output": " "}, {"id": 2, "prompt": "hi", "output": " "}, ".json"),
        ({"num_prompts": 8, "total_output_tokens": 9, "duration": 1.5}, {"num_prompts": 8, "total_output_tokens": 9, "duration": 2.5}, ".json"),
        (np.zeros((0, 4)), np.zeros((0, 4)), ".npy"),
    ],
)  # fmt: skip
def test_what_shows_no_output_proves_none(tmp_path: Path, old: Any, new: Any, suffix: str) -> None:
    (check,) = verify(outputs=[pair(tmp_path, old, new, suffix)]).checks
    assert check.answer == "not_proven" and check.prove, check.message


@pytest.mark.parametrize(
    ("value", "suffix"),
    [
        ("[0.5, 0.25]\n", ".txt"),
        ({"message": {"role": "assistant", "content": "yes"}}, ".json"),
        (["yes"], ".json"),
        (np.zeros(1), ".npy"),
        (b"a pickle", ".pt"),
        (ONLY_LOGGED.format(hour=0) + "Request 0: outputs: yes\n" + CRASH.format(size=2), ".log"),
    ],
)
def test_an_output_that_is_there_is_proven(tmp_path: Path, value: Any, suffix: str) -> None:
    (check,) = verify(outputs=[pair(tmp_path, value, value, suffix)]).checks
    assert check.answer == "proven", check.message


def test_a_tolerance_needs_an_output_too(tmp_path: Path) -> None:
    old, new = (CRASH.format(size=size) for size in (2, 3))
    assert verify(outputs=[pair(tmp_path, old, new, ".log")]).checks[0].answer == "refuted"
    assert verify(outputs=[pair(tmp_path, old, new, ".log")], tolerance=1).checks[0].answer == "not_proven"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5", "utf-16", "latin-1"])
@pytest.mark.parametrize(
    "form",
    ["{}\n", "Request 0: outputs: {}\n", '{{"answer": "{}"}}\n', "b" * (LONGEST_LINE - 1) + "{}\n"],
    ids=["line", "text", "json", "long"],
)
def test_texts_differ_in_every_encoding(tmp_path: Path, encoding: str, form: str) -> None:
    words = ("été", "eté") if encoding == "latin-1" else ("天好", "地好")
    old, new = (form.format(word).encode(encoding) for word in words)
    suffix = ".jsonl" if "answer" in form and encoding != "utf-16" else ".txt"
    (check,) = verify(outputs=[pair(tmp_path, old, new, suffix)]).checks
    assert check.answer == "refuted", check.message
    if encoding in ("utf-8", "gb18030") and len(form) < LONGEST_LINE:
        assert "天" in str(check.message) and "地" in str(check.message)


@pytest.mark.parametrize("before", range(4))
def test_a_long_line_is_never_cut_within_a_character(tmp_path: Path, before: int) -> None:
    path = tmp_path / "x.txt"
    text = "a" * before + "天" * LONGEST_LINE + "好\n" + "end"
    path.write_text(text, encoding="utf-8")
    assert "".join(read_lines_of(path)) == text.replace("\n", "")
    path.write_bytes("好".encode("gb18030"))
    assert list(read_lines_of(path)) == ["好"]
