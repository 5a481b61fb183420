"""What runs of each framework leave, with the answer that is right: lines of the form that the sources print."""

# ruff: noqa: E501

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skadvisor.errors import InputError, NotEnoughError
from skadvisor.verification.checks import verify
from skadvisor.verification.compile_log import read_lines
from skadvisor.verification.performance_files import read_performance

VLLM_ENGINE = """\
(APIServer pid=908) INFO 09-17 05:31:11 [loggers.py:259] Engine 000: Avg prompt throughput: 812.4 tokens/s, Avg generation throughput: 12.1 tokens/s, Running: 8 reqs, Waiting: 0 reqs, GPU KV cache usage: 1.2%, Prefix cache hit rate: 0.0%
(APIServer pid=908) INFO 09-17 05:31:21 [loggers.py:259] Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 245.3 tokens/s, Running: 8 reqs, Waiting: 0 reqs, GPU KV cache usage: 1.9%, Prefix cache hit rate: 0.0%
(APIServer pid=908) INFO 09-17 05:31:31 [loggers.py:259] Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 245.7 tokens/s, Running: 8 reqs, Waiting: 0 reqs, GPU KV cache usage: 2.4%, Prefix cache hit rate: 0.0%
"""
VLLM_SERVE = """\
============ Serving Benchmark Result ============
Successful requests:                     64
Failed requests:                         0
Maximum request concurrency:             16
Benchmark duration (s):                  30.12
Total input tokens:                      65536
Total generated tokens:                  16384
Request throughput (req/s):              2.12
Output token throughput (tok/s):         543.90
Peak output token throughput (tok/s):    688.00
Peak concurrent requests:                32.00
Total token throughput (tok/s):          2719.50
---------------Time to First Token----------------
Mean TTFT (ms):                          210.11
Median TTFT (ms):                        190.20
P99 TTFT (ms):                           402.00
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          28.61
Median TPOT (ms):                        28.40
P99 TPOT (ms):                           31.00
---------------Inter-token Latency----------------
Mean ITL (ms):                           28.55
Median ITL (ms):                         27.90
P99 ITL (ms):                            60.02
==================================================
"""
VLLM_LATENCY = """\
Warming up...
Avg latency: 1.5040 seconds
10% percentile latency: 1.4981 seconds
25% percentile latency: 1.4990 seconds
50% percentile latency: 1.5032 seconds
90% percentile latency: 1.5100 seconds
"""
SGLANG_SERVER = """\
[2026-11-02 10:00:01 DP0 TP0] Prefill batch, #new-seq: 8, #new-token: 8192, #cached-token: 0, token usage: 0.00, #running-req: 0, #queue-req: 0, npu graph: False, input throughput (token/s): 4012.10
[2026-11-02 10:00:02 DP0 TP0] Decode batch, #running-req: 8, #token: 8500, token usage: 0.02, npu graph: True, gen throughput (token/s): 31.20, #queue-req: 0
[2026-11-02 10:00:03 DP0 TP0] Decode batch, #running-req: 8, #token: 8820, token usage: 0.02, npu graph: True, gen throughput (token/s): 401.55, #queue-req: 0
[2026-11-02 10:00:04 DP0 TP0] Decode batch, #running-req: 8, #token: 9140, token usage: 0.02, npu graph: True, gen throughput (token/s): 402.05, #queue-req: 0
"""
SGLANG_ONE_BATCH_SERVER = """\
batch size: 16
latency: 12.30 s
input throughput: 20480.10 tok/s
input_len: 1024
output throughput: 340.10 tok/s
last_ttft: 0.80 s
last generation throughput: 345.00 tok/s
"""
GLM = """\
2026-11-02 10:00:00,001 - INFO - [LLM](model_infer.py:110): Main  glm_5_2 [warm up] [decode] inference time cost 310.02 ms
2026-11-02 10:00:01,001 - INFO - [LLM](model_infer.py:110): Main  glm_5_2 [prefill minibatch 0] inference time cost 402.00 ms
2026-11-02 10:00:02,001 - INFO - [LLM](model_infer.py:110): Main [Prof On] glm_5_2 [decode] inference time cost 21.10 ms
2026-11-02 10:00:02,021 - INFO - [LLM](model_infer.py:110): Main [Prof On] glm_5_2 [decode] inference time cost 21.30 ms
2026-11-02 10:00:02,042 - INFO - [LLM](model_infer.py:110): Main [Prof On] glm_5_2 [decode] inference time cost 21.20 ms
"""
MTP = """\
[INFO][2026-11-02 10:00:00.123][infer.py:101] Finished inference, the number of valid output tokens is 512, total number of draft tokens is 256, total accepted number is 200
[INFO][2026-11-02 10:00:00.124][infer.py:107] deepseek_r1 main and mtp model average inference time cost is 20.50 ms
[INFO][2026-11-02 10:00:00.125][infer.py:109] deepseek_r1 model average equivalent latency of MTP1 is 11.51 ms
[INFO][2026-11-02 10:00:00.126][infer.py:112] The speculation accept length: 1.7812
"""
ATTENTION_AND_EXPERTS = """\
[INFO][2026-11-02 10:00:00.124][infer.py:115] longcat_flash decode average inference time cost is 14.50 ms
[INFO][2026-11-02 10:00:00.125][offline_inference.py:234] longcat_flash ffn average inference time cost is 6.20 ms
"""
DSPARK = """\
[Verify] kimi_k3[warm up] [decode] inference time cost 400.00 ms
[Verify] kimi_k3 [decode] inference time cost 12.50 ms
[DSpark] kimi_k3 [decode] inference time cost 2.00 ms
[Verify] kimi_k3 [decode] inference time cost 12.60 ms
[DSpark] kimi_k3 [decode] inference time cost 2.10 ms
"""


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        (VLLM_SERVE, "decode_latency_ms", 28.40),
        (VLLM_SERVE, "throughput_tokens_per_sec", 543.90),
        (VLLM_ENGINE, "throughput_tokens_per_sec", 245.3),
        (VLLM_LATENCY, "request_latency_ms", 1503.2),
        ('{"avg_latency": 1.5, "latencies": [1.4, 1.5], "percentiles": {"50": 1.45}}', "request_latency_ms", 1500.0),
        (SGLANG_SERVER, "throughput_tokens_per_sec", 401.55),
        (SGLANG_ONE_BATCH_SERVER, "throughput_tokens_per_sec", 340.10),
        (GLM, "decode_latency_ms", 21.20),
        (MTP, "decode_latency_ms", 20.50),
        (ATTENTION_AND_EXPERTS, "decode_latency_ms", 14.50),
        (DSPARK, "decode_latency_ms", 12.55),
        (DSPARK, "draft_latency_ms", 2.05),
        ("[rank0]: [Main] Inference time (decode): 15.22 ms\n" * 3, "decode_latency_ms", 15.22),
        ("Inference time (decode):   15.22ms\r\n" * 3, "decode_latency_ms", 15.22),
        (
            "moe_layer decode: 1.25 ms per step\nDecode step time: 8.80 ms\nDecode step time: 8.90 ms\n",
            "decode_latency_ms",
            8.85,
        ),
        ("TPOT: 14.2 ms\n", "decode_latency_ms", 14.2),
        ("decode step latency: 15200 us\n", "decode_latency_ms", 15.2),
        ("| decode | 15.2 ms |\n", "decode_latency_ms", 15.2),
        ("average time per output token: 15.2 ms\n", "decode_latency_ms", 15.2),
        ("decode throughput: 1024.5 tokens/s\n", "throughput_tokens_per_sec", 1024.5),
    ],
)
def test_a_log_gives_its_steady_decode_figure(tmp_path: Path, text: str, metric: str, value: float) -> None:
    path = tmp_path / "run.log"
    path.write_text(text, encoding="utf-8")
    assert read_performance([path]).values[metric] == (pytest.approx(value),)


def test_torchrun_writes_the_logs_of_ranks_into_folders(tmp_path: Path) -> None:
    for rank in range(4):
        folder = tmp_path / "none_x7/attempt_0" / str(rank)
        folder.mkdir(parents=True)
        (folder / "stdout.log").write_text(f"[Main] Inference time (decode): {10 + rank} ms\n" * 5)
        (folder / "stderr.log").write_text("")
    read = read_performance([tmp_path])
    assert (read.values["decode_latency_ms"], read.runs, read.ranks) == ((13.0,), 1, 4)


PLOG = "[ERROR] ASCENDCKERNEL(8012,python3):2026-11-02-10:00:00.888.239 [sk_dfx_exception_handler.cpp:545]8100 [SK]"
CAPTURED_FAULT = f"""\
[ERROR] RUNTIME(8012,python3):2026-11-02-10:00:00.888.239 [davinci_kernel_task.cc:1639]8100 PrintErrorInfoForDavinciTask:[DFX_INFO]Aicore kernel execute failed, device_id=0, stream_id=70, report_stream_id=73, task_id=0, flip_num=0, fault kernel_name=sk_entry_mix12, fault kernel info ext=none, program id=1, hash=94.
{PLOG}[IsSkEntry] Exception is from superkernel function 'sk_entry_mix12', op_trace=false, proceeding with handling
{PLOG}[PrintMatchedNodeBasicInfo] [Core 3] ModelIdIdx=0, ModelId=1, SkScopeId=4
{PLOG}[PrintFuncSymbolInfo] [Core 3] Origin function name: QuantBatchMatmulV3_8ab205c8_0
"""
GE_FAULT = """\
[ERROR] RUNTIME(7,python3):2026-03-28-11:32:18.888.239 [x.cc:1]7 PrintErrorInfo:[DFX_INFO]Aicore kernel execute failed, device_id=0, fault kernel_name=te_superkernel_911c4c52, fault kernel info ext=none
[ERROR] GE(7,python3):2026-03-28-11:32:18.888.346 [error_tracking.cc:177]7 ErrorTrackingCallback: ErrorNo: 4294967295(failed)Error happened, origin_op_name [sk_sp1_start_TransQuantParamV2_end_QuantBatchMatmulV3_2], op_name [sk_sp1_start_TransQuantParamV2_end_QuantBatchMatmulV3_2], task_id 0, stream_id 70.
[ERROR] IDEDD(7,python3):2026-03-28-11:32:18.893.754 [k.cpp:534][tid:7] [Dump][Exception] coreId=3, symbol name=te_quantbatchmatmulv3_8ab_split3, symbol size=1914
"""
OTHER_FAULT = GE_FAULT.splitlines()[0].replace("te_superkernel_911c4c52", "reshape_and_cache_200000000")
TOLD = (
    "(EngineCore pid=7) INFO 09-17 05:31:11 [ascend_config.py:80] enable_super_kernel is on with enable_static_kernel\n"
)
SINGLE = "SK Function: sk_1_none_start_A_end_A, scope id: 1, Node Count: 1\n"
REFUSED_OLD = (
    "[EVENT] GE(7,python3):2026-11-02-10:00:00.1 [super_kernel_pass.cc:90]7 Run:find super kernel sub op Cast_1(Cast), "
    "can not fusion because not support super kernel, so delete attr super_kernel_scope, super_scope_name attn_0\n"
)


@pytest.mark.parametrize(
    ("text", "answer", "words"),
    [
        (CAPTURED_FAULT, "refuted", ("SkScopeId 4", "QuantBatchMatmulV3_8ab205c8_0")),
        (GE_FAULT, "refuted", ("sp1", "TransQuantParamV2", "te_quantbatchmatmulv3_8ab_split3")),
        (OTHER_FAULT, "not_proven", ()),
        (f"{PLOG}[aclskOptimize] aclskOptimize failed: optimize sk graph failed\n", "refuted", ("aclskOptimize",)),
        (TOLD, "not_proven", ()),
        (SINGLE, "not_proven", ()),
        (REFUSED_OLD, "not_proven", ("Cast",)),
        ("", "not_proven", ()),
        ("ValueError: npugraph_ex does not support superkernel.\n", "refuted", ("does not support superkernel",)),
    ],
)
def test_a_compile_log_is_judged(tmp_path: Path, text: str, answer: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "plog.log"
    path.write_text(text)
    check = verify([path]).checks[0]
    assert check.answer == answer, check.message
    for word in words:
        assert word in str(check.message)


WARNING = "(EngineCore pid=7) WARNING 09-17 05:31:11 [ascend_config.py:80] "
OP_FAILED = "E40021: 2026-11-02 Failed to compile Op [{name}]. (oppath: [Compile /usr/local/x.py], optype: [{kind}])\n"


@pytest.mark.parametrize(
    ("text", "answer", "words"),
    [
        (OP_FAILED.format(name="sk_attn_0_start_A_end_B", kind="SuperKernel"), "refuted", "sk_attn_0_start_A_end_B"),
        (OP_FAILED.format(name="Cast_1", kind="Cast"), "not_proven", "nothing about SuperKernel in 1 lines"),
        ("torch._dynamo.exc.Unsupported: Graph break under torchair.scope.super_kernel\n", "refuted", "Graph break"),
        ("[rank0]: a.exc.BackendCompilerFailed: x raised: no SuperKernel\n", "refuted", "no SuperKernel"),
        ("ERROR: super kernel do not support self send/receive pair within 1 real stream\n", "refuted", "self send"),
        ("ERROR 09-17 05:31:11 [x.py:1] super kernel is broken\n", "refuted", "is broken"),
        (f"{WARNING}enable_super_kernel is only supported on A3 devices, disabled.\n", "refuted", "only supported on A3"),
        ("WARNING enable_super_kernel requires enable_static_kernel, ignored\n", "refuted", "requires enable_static"),
        ("x.py:3: UserWarning: SuperKernel is not supported here\n", "refuted", "is not supported here"),
        (f"{WARNING}ignoring enable_super_kernel: no graph mode\n", "refuted", "no graph mode"),
        (f"{WARNING}super kernel option dcci-x is not supported, ignored\n", "not_proven", "option dcci-x"),
        (f"{WARNING}enable_super_kernel is not supported in prefill, disabled\n", "not_proven", "in prefill"),
        (f"{WARNING}enable_super_kernel is disabled\nSK Function: sk_1_a_start_A_end_B, scope id: 1, Node Count: 2\n", "proven", "built"),
        (TOLD, "not_proven", "enable_super_kernel is on"),
        (f"{TOLD}{WARNING}a super kernel may fail\n", "not_proven", "a super kernel may fail"),
        ("[INFO] LOG_LEVEL=ERROR, SuperKernel is on\n", "not_proven", "SuperKernel is on"),
    ],
)  # fmt: skip
def test_what_names_superkernel_is_never_called_silence(tmp_path: Path, text: str, answer: str, words: str) -> None:
    path = tmp_path / "plog.log"
    path.write_text(text)
    (check,) = verify([path]).checks
    assert (check.answer, words in str(check.message)) == (answer, True), check.message


def test_a_fault_of_a_captured_graph_names_the_scope_that_was_listed() -> None:
    listed = "SK Function: sk_4_attn_layer_0_start_A_end_B, scope id: 4, Node Count: 5\n"
    failure = str(read_lines((listed + CAPTURED_FAULT).splitlines()).failures[0])
    assert "attn_layer_0" in failure and "A ... B" in failure


RECIPES_TEXT = """\
[INFO][{time}][model_runner.py:296][{pid}] start
[INFO][{time}][infer.py:87] Request 0: outputs: The answer is {answer}.
It took 3.5 ms to think.

[INFO][{time}][infer.py:115] qwen decode average inference time cost is {cost} ms
"""
VLLM_TEXT = """\
Processed prompts: 100%|██████████| 2/2 [00:00<00:00, {cost}it/s, est. speed input: 10 toks/s, output: 31 toks/s]
Prompt: 'Hello, my name is', Generated text: ' John and {answer}'
Prompt: 'The capital', Generated text: ' is Paris'
"""
PLAIN_TEXT = "tokens: [1, 2, {answer}]\ntotal time: {cost} s\n"
SGLANG_TEXT = """\
===============================
Prompt: The capital of France is
Generated text:  Paris, {answer}
"""
JSON_TEXT = (
    '{{"generated_texts": ["a {answer}"], "output_throughput": {cost}, "itls": [[0.01{pid}]], "date": "{time}"}}'
)


@pytest.mark.parametrize("form", [RECIPES_TEXT, VLLM_TEXT, SGLANG_TEXT, PLAIN_TEXT, JSON_TEXT])
@pytest.mark.parametrize("same", [True, False])
def test_outputs_of_each_framework_are_compared_as_text(tmp_path: Path, form: str, same: bool) -> None:
    suffix = ".json" if form is JSON_TEXT else ".txt"
    files = tmp_path / f"off{suffix}", tmp_path / f"on{suffix}"
    files[0].write_text(form.format(time="2026-11-02 10:00:00.123", pid=11, cost=15.22, answer="42"))
    answer = "42" if same else "41"
    files[1].write_text(form.format(time="2026-11-02 11:30:10.456", pid=97, cost=13.01, answer=answer))
    check = verify(outputs=[files]).checks[0]
    assert check.answer == ("proven" if same else "refuted"), check.message


@pytest.mark.parametrize(("name", "end"), [("bench.json", ""), ("bench.jsonl", "\n"), ("run.log", "\n")])
def test_json_is_read_however_long_its_lines_are(tmp_path: Path, name: str, end: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps({"itls": ["0.0152" * 10] * 1000, "median_tpot_ms": 15.2}) + end)
    assert read_performance([path]).values["decode_latency_ms"] == (15.2,)


def test_long_lines_of_outputs_are_compared_by_value(tmp_path: Path) -> None:
    off, on = tmp_path / "off.jsonl", tmp_path / "on.jsonl"
    off.write_text(json.dumps({"logits": [1.5] * 10_000}) + "\n")
    on.write_text(json.dumps({"logits": [1.5] * 9_999 + [1.25]}) + "\n")
    (found,) = verify(outputs=[(off, on)]).outputs
    assert (found.different, found.largest) == (1, 0.25)


def test_a_saved_result_is_sent_to_compare(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '{"schema_version": "1.1", "tool": {"name": "skadvisor", "version": "0.2.0"}, "command": "analyze"}'
    )
    with pytest.raises(InputError, match="is a result of skadvisor") as raised:
        verify(performance=([path], []))
    assert "skadvisor compare" in str(raised.value.hint)


STEADY = "decode step latency: {time} ms\n" * 3


@pytest.mark.parametrize(
    "line",
    [
        "INFO Compiling decode graph took time: 40.1 s",
        "decode graph compiled, time cost: 40.1 s",
        "INFO decode warmup step time: 812 ms",
        "Warming up decode: average time 812 ms",
        "INFO Capture npu graph (decode) end. Time elapsed: 34.50 s. mem usage=1.2 GB",
        "decode model loading time: 30 s",
        "initial decode step time: 900 ms",
        "decode step timeout: 30 s",
        "decode 图编译 time: 40 s",
        "warm-up: Inference time (decode): 812 ms",
        "warmup decode throughput: 3.5 tokens/s",
    ],
)
def test_what_comes_before_steady_decode_is_not_its_time(tmp_path: Path, line: str) -> None:
    path = tmp_path / "run.log"
    path.write_text(f"{line}\n" * 9, encoding="utf-8")
    with pytest.raises(NotEnoughError):
        read_performance([path])
    path.write_text(f"{line}\n" * 9 + STEADY.format(time=15.2), encoding="utf-8")
    assert read_performance([path]).values == {"decode_latency_ms": (15.2,)}


@pytest.mark.parametrize(
    "line",
    [
        "decode latency excluding warmup: 15.2 ms",
        "decode step latency after warm-up: 15.2 ms",
        "[INFO][2026-11-02 10:00:00.123][compile_runner.py:74] decode step time: 15.2 ms",
    ],
)
def test_a_steady_time_may_name_what_it_leaves_out(tmp_path: Path, line: str) -> None:
    path = tmp_path / "run.log"
    path.write_text(f"{line}\n")
    assert read_performance([path]).values == {"decode_latency_ms": (15.2,)}


def test_times_of_several_metrics_have_no_middle(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("decode step time: 15.0 ms\ntotal decode time: 3.04 s\ndecode step time: 16.0 ms\n" * 2)
    assert read_performance([path]).values == {"decode_latency_ms": (15.5,)}


@pytest.mark.parametrize(
    ("latency", "throughput", "answer"),
    [
        ((10.0, 8.0), (500, 450), "not_proven"),
        ((8.0, 10.0), (450, 500), "not_proven"),
        ((10.0, 8.0), (500, 499), "proven"),
        ((10.0, 8.0), (500, 600), "proven"),
        ((8.0, 10.0), (500, 450), "refuted"),
        ((8.0, 10.0), (500, 501), "refuted"),
    ],
)
def test_metrics_of_the_same_runs_have_to_agree(
    tmp_path: Path, latency: tuple[float, float], throughput: tuple[float, float], answer: str
) -> None:
    sides: list[list[Path]] = [[], []]
    for side, time, rate in zip(sides, latency, throughput, strict=True):
        for run in range(3):
            side.append(tmp_path / f"{time}-{run}.log")
            side[-1].write_text(
                f"Median TPOT (ms): {time + run / 100}\nOutput token throughput (tok/s): {rate + run}\n"
            )
    (check,) = verify(performance=(sides[0], sides[1])).checks
    assert check.answer == answer, check.message
    assert ("throughput_tokens_per_sec" in str(check.message)) == (answer == "not_proven")


def drawn(border: str, rule: str, rows: list[list[str]]) -> str:
    """A table: the first row has the headings."""
    lines = [f"{border} {f' {border} '.join(cell.ljust(24) for cell in row)} {border}" for row in rows]
    return "\n".join([rule * 20, lines[0], rule * 20, *lines[1:], rule * 20, ""])


def aisbench(tpot: float, rate: float, stage: str = "total") -> str:
    statistics = ["Average", "Min", "Max", "Median", "P75", "P90", "P99"]
    rows = [["Performance Parameters", "Stage", *statistics, "N"]]
    for name, value, unit in (
        ("E2EL", 99 * tpot, "ms"),
        ("TPOT", tpot, "ms"),
        ("ITL", tpot, "ms"),
        ("OutputTokenThroughput", 117.5, "token/s"),
    ):
        figures = [value * 1.1, value / 2, value * 3, value, value * 2, value * 2, value * 2]
        rows.append([name, stage, *(f"{figure:.4f} {unit}" for figure in figures), "8"])
    common = [["Common Metric", "Stage", "Value"], ["Benchmark Duration", stage, "19897.85 ms"]]
    for name, value in (("Prefill", 17014.3), ("Input", 608.7), ("Output", rate), ("Total", 9999.1)):
        common.append([f"{name} Token Throughput", stage, f"{value} token/s"])
    return drawn("│", "═", rows) + drawn("│", "─", common)


def evalscope(rows: list[list[str]]) -> str:
    return "2026-05-19 10:48:58 - evalscope - INFO:\n" + drawn("|", "-", rows)


SUMMARY = [
    ["Key", "Value"],
    ["Output token throughput (tok/s)", "20.7972"],
    ["Total token throughput (tok/s)", "233.761"],
    ["Average latency (s)", "9.6167"],
    ["Average time per output token (s)", "0.0435"],
]
COARSE = [*SUMMARY[:2], ["Average time per output token (s)", "0.0036"]]
BY_ROW = [
    ["Percentiles", "TTFT (s)", "TPOT (s)"],
    ["10%", "0.9", "0.0399"],
    ["50%", "0.9", "0.0422"],
    ["99%", "0.9", "0.0999"],
]
BY_COLUMN = [
    ["Metric", "1%", "50%", "99%"],
    ["ITL (ms)", "0.00", "15.67", "50.11"],
    ["TPOT (ms)", "16.61", "17.76", "18.36"],
]
NEWER = [["Metric", "Value"], ["TPOT (ms)", "17.66"], ["Output Throughput (tok/s)", "10692.45"]]
MARKDOWN = [
    ["Metric", "Value"],
    ["P99 TPOT (ms)", "40.0"],
    ["Mean TPOT (ms)", "29.0"],
    ["Median TPOT (ms)", "28.4"],
    ["Peak output token throughput (tok/s)", "688.0"],
]
RECIPE_STEPS = "Prefill: 320.11 ms\n" + "  decode step 1/9: 900.00 ms\n" + "".join(f"  decode step {n}/9: 21.2{n} ms\n" for n in range(2, 7))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (aisbench(10.7, 1230.1), {"decode_latency_ms": 10.7, "throughput_tokens_per_sec": 1230.1}),
        (
            aisbench(10.7, 1230.1, "stable") + aisbench(12.5, 1000.1),
            {"decode_latency_ms": 10.7, "throughput_tokens_per_sec": 1230.1},
        ),
        ("OutputTokenThroughput: 117.5 token/s\nOutput throughput: 1230.1 token/s\n", {"throughput_tokens_per_sec": 1230.1}),
        (evalscope(SUMMARY), {"decode_latency_ms": 43.5, "throughput_tokens_per_sec": 20.7972}),
        (evalscope(COARSE), {"throughput_tokens_per_sec": 20.7972}),
        (evalscope(SUMMARY) + evalscope(BY_ROW), {"decode_latency_ms": 42.2, "throughput_tokens_per_sec": 20.7972}),
        (evalscope(NEWER), {"decode_latency_ms": 17.66, "throughput_tokens_per_sec": 10692.45}),
        (
            evalscope(NEWER) + drawn("│", "─", BY_COLUMN),
            {"decode_latency_ms": 17.76, "throughput_tokens_per_sec": 10692.45},
        ),
        (drawn("|", "-", MARKDOWN), {"decode_latency_ms": 28.4}),
        (RECIPE_STEPS, {"decode_latency_ms": 21.24}),
        ("prefill step 1/1: 320.11 ms\ndecode step 1/1: 21.2 ms\n", {"decode_latency_ms": 21.2, "prefill_latency_ms": 320.11}),
    ],
)  # fmt: skip
def test_tables_of_benchmarks_give_the_column_that_their_heading_names(
    tmp_path: Path, text: str, values: dict[str, float]
) -> None:
    path = tmp_path / "run.log"
    path.write_text(text, encoding="utf-8")
    assert read_performance([path]).values == {metric: (pytest.approx(value),) for metric, value in values.items()}
