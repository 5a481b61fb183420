"""Every line of the published attention-only template is in the plan, in the words that hold for the dialect."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from sample_builder.build import build
from sample_builder.catalogue import QWEN3_8B

from skadvisor.analysis import Analysis, analyze_capture
from skadvisor.plan import describe_plan, make_plan
from skadvisor.plan.patch import DIALECTS, Dialect
from skadvisor.report.text import render_text

MARKED = ("ge", "recipes", "npugraph_ex")
#: line of the template -> what stands for it, in every dialect or by dialect (one that is missing has no such line).
LINES: dict[str, dict[str, str] | str] = {
    "suits: a first trial": "Suits: a first trial",
    "suits: attention is the bottleneck": "attention is the bottleneck",
    "suits: the least risk": "the least risk is wanted",
    "suits: an ordinary transformer": "an ordinary transformer",
    "strengths: least risk, easy to find the fault": "Risk: least",
    "strengths: quick compile, easy debug": "small scope, quick compile, easy to debug",
    "strengths: stable, other modules untouched": "other modules are untouched",
    "strengths: shows whether SuperKernel works": "shows whether SuperKernel works",
    "weaknesses: the win is limited": "the win is limited: only attention gets faster",
    "weaknesses: the rest is not optimised": "the rest stays as it is",
    "variant A: scope in the attention class": {
        "recipes": "with superkernel_scope(",
        "ge": "torchair.scope.super_kernel(",
        "npugraph_ex": "torch.npu.super_kernel_scope_begin(",
    },
    "variant A: projections, attention, output projection": dict.fromkeys(
        MARKED, "attn_output = self.o_proj(attn_output)"
    ),
    "variant A: decode only": dict.fromkeys(MARKED, "self.enable_superkernel and not is_prefill"),
    "variant A: option stream-fusion=1": {
        "recipes": "stream-fusion",
        "ge": "stream-fusion",
        "npugraph_ex": "auto_op_parallel",
    },
    "configuration: exe_mode": {
        "recipes": "exe_mode: ge_graph",
        "ge": "torchair.get_npu_backend(",
        "npugraph_ex": 'backend="npugraph_ex"',
        "vllm-ascend": '"enable_npugraph_ex": true',
    },
    "configuration: enable_superkernel": {
        "recipes": "enable_superkernel: True",
        "ge": "config.enable_superkernel = ",
        "npugraph_ex": '"super_kernel_optimize": ',
        "vllm-ascend": '"enable_super_kernel": true',
    },
    "configuration: enable_multi_streams": {"recipes": "enable_multi_streams: False"},
    "configuration: enable_cache_compile": {"recipes": "enable_cache_compile: False"},
    "compile check: run and keep the log": {
        "recipes": "ASCEND_GLOBAL_LOG_LEVEL=1 ASCEND_PROCESS_LOG_PATH=$PROOF/plog",
        "ge": "ASCEND_GLOBAL_LOG_LEVEL=1 ASCEND_PROCESS_LOG_PATH=$PROOF/plog",
        "npugraph_ex": "ASCEND_OP_COMPILE_SAVE_KERNEL_META=1",
        "vllm-ascend": "ASCEND_OP_COMPILE_SAVE_KERNEL_META=1",
    },
    "compile check: look for SuperKernel": {
        "recipes": "find super kernel sub op",
        "ge": "find super kernel sub op",
        "npugraph_ex": "`SK Function`",
        "vllm-ascend": "`SK Function`",
    },
    "function check: off": {
        "recipes": r"s/\(enable_superkernel: *\)True/\1False/",
        "ge": "SUPERKERNEL=0",
        "npugraph_ex": "SUPERKERNEL=0",
        "vllm-ascend": "false",
    },
    "function check: compare the outputs": "--outputs ",
    "performance check: performance.json": '--performance "$PROOF/performance.json"',
    "performance check: improvement_percent": "improvement_percent",
    "gain: the row of this kind of model": dict.fromkeys(MARKED, "The published table's row"),
    "question 1: operators whose tiling is sunk": {
        "recipes": "move it (tiling-offload, TBE) out of the scope",
        "ge": "move it (tiling-offload, TBE) out of the scope",
        "npugraph_ex": "it needs a static kernel that SuperKernel can bind",
        "vllm-ascend": "it needs a static kernel that SuperKernel can bind",
    },
    "question 2: no gain, profile": "compare with skadvisor compare BEFORE AFTER",
    "question 2: not the bottleneck": "a region that is no bottleneck",
    "question 2: another template": dict.fromkeys(MARKED, "if it works: per-block"),
    "question 3: custom operators": dict.fromkeys(MARKED, "custom operators first"),
    "question 3: refresh the data cache": {
        "recipes": "dcci-after-kernel-end=<op>",
        "ge": "dcci-after-kernel-end=<op>",
        "npugraph_ex": '"dcci_after_kernel_end"',
        "vllm-ascend": "dcci_after_kernel_end",
    },
    "question 3: the precision skill": "model-infer-precision-debug",
    "next: a wider scope": "after that: a wider scope",
    "next: several streams, fused operators": "several streams and fused operators",
    "next: compile options": "then the compile options",
    "reference: scope analysis": "scope-analysis-guide.md",
    "reference: performance baseline": "performance-baseline-guide.md",
    "reference: debugging": "debugging-guide.md",
    "reference: moe-only": "moe-only.md",
    "reference: full-model": "full-model.md",
}
#: Words of one dialect's compiler that mislead in another.
FOREIGN = {
    "ge": ("dcci_", "sk_meta", "super_kernel_debug_options", "enable_static_kernel"),
    "recipes": ("dcci_", "sk_meta", "super_kernel_debug_options", "enable_static_kernel"),
    "npugraph_ex": ("feed-sync-all", "stream-fusion", "tiling_schedule_optimize", "plog", "exe_mode"),
    "vllm-ascend": ("feed-sync-all", "stream-fusion", "tiling_schedule_optimize", "plog", "exe_mode", "scope_begin("),
}


@cache
def dense() -> Analysis:
    return analyze_capture(build(replace(QWEN3_8B, layers=4), steps=3, seed=3).capture)


@cache
def shown(dialect: Dialect, variant: str = "a") -> str:
    plan = make_plan(dense().result, dense().kernels, "attention-only", dialect, variant)
    return " ".join(render_text(describe_plan(plan), width=400).split())


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("line", LINES)
def test_each_line_of_the_template_is_in_the_plan(line: str, dialect: Dialect) -> None:
    words = LINES[line]
    wanted = words if isinstance(words, str) else words.get(dialect)
    if wanted is None:
        pytest.skip(f"{dialect} has no such line")
    assert " ".join(wanted.split()) in shown(dialect)


@pytest.mark.parametrize("dialect", MARKED)
def test_variant_b_ends_before_the_residual_add(dialect: Dialect) -> None:
    inside, _, after = shown(dialect, "b").partition("hidden_states = residual + attn_output")
    assert "attention_layer_{self.layer_idx}" in inside and "self.input_layernorm(hidden_states)" in inside
    assert "self.post_attention_layernorm(hidden_states)" in after and "self.mlp(hidden_states)" in after


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_plan_speaks_of_its_own_dialect_only(dialect: Dialect) -> None:
    assert not [word for word in FOREIGN[dialect] if word in shown(dialect)]
