"""What to look for in the compile log, and how to narrow a failure down, per dialect."""

from __future__ import annotations

from skadvisor.plan.patch import Dialect
from skadvisor.plan.records import LogCheck, Remedy
from skadvisor.text.messages import Message, _

#: Text of the log, what it means, whether it is good. Sources: GE SuperKernelPass; sk_meta logs of npugraph_ex.
_GE_CHECKS = (
    (
        "), super_scope_name",
        _(
            "find super kernel sub op <op>(<type>), super_scope_name <scope>: the operator was taken into the "
            "scope; written at INFO only (ASCEND_GLOBAL_LOG_LEVEL=1)"
        ),
        True,
    ),
    ("can not fusion", _("a refusal, up to CANN 9.0: that operator is left out and cuts the scope"), False),
    ("cannot fusion", _("a refusal, from CANN 9.1: that operator is left out and cuts the scope"), False),
    (
        "maybe it is tbe or tik operator",
        _("that operator is a TBE or TIK kernel: replace it by an Ascend C one, or move it out of the scope"),
        False,
    ),
    ("split before node", _("the scope was cut in two at this operator"), False),
    (
        "SuperKernelPass only support static graph",
        _("that graph is dynamic and nothing was fused in it: right for prefill, wrong for decode"),
        False,
    ),
    (
        "do not support more than 2 real stream",
        _("the scope spans too many streams: stream-fusion=1, or one scope per stream"),
        False,
    ),
    (
        "fault kernel_name=te_superkernel_",
        _("a SuperKernel failed at run time: origin_op_name names its scope, symbol name the operator in it"),
        False,
    ),
)
_GRAPH_CHECKS = (
    ("SK Function", _("sk_fused_nodes.log: a SuperKernel was built; its sub-kernels follow"), True),
    ("reason:", _("sk_fusion_fail_reasons.log: why a kernel was left out (NOT_IN_SCOPE is as it should be)"), False),
    ("breakReason", _("sk_scope_split.log: where and why a scope was cut"), False),
    (
        "fault kernel_name=sk_entry",
        _("a SuperKernel failed at run time: SkScopeId is the number of its scope, Origin function name the operator"),
        False,
    ),
)


def log_checks(dialect: Dialect) -> tuple[LogCheck, ...]:
    """Texts of the compile log, and of the device's where a SuperKernel fails."""
    checks = _GE_CHECKS if dialect in ("ge", "recipes") else _GRAPH_CHECKS
    return tuple(LogCheck(text=text, meaning=Message(meaning), good=good) for text, meaning, good in checks)


_UNSUPPORTED = _("compile failure, unsupported operator")
_IN_THE_MIDDLE = _("an operator in the middle has to stay out")
_KEEPS_OUT = _("a scope without a name inside the scope keeps its operators out")
_HANG = _("hang or timeout")
_DIFFERENT = _("different output")
_DIFFERENT_KNOWN = _("different output, the operator is known")
_HALVE = _(
    "if the output is right again the data cache or a missing synchronisation is the cause: "
    "halve the scope until one operator is left, custom operators first"
)
#: Source: attention-only template (question 3); skills of cannbot-skills and cann-recipes-infer.
_PRECISION = (
    _("different output, no operator is found"),
    "",
    _("the skill model-infer-precision-debug; kvcache-fa-precision-debug if it differs with SuperKernel off, too"),
)
_LEFT_OUT = (
    _UNSUPPORTED,
    "",
    _("sk_fusion_fail_reasons.log names it; it needs a static kernel that SuperKernel can bind"),
)
_SUSPECT = _("it fails and SuperKernel is only one suspect")
_GE_REMEDIES = (
    (
        _UNSUPPORTED,
        "strict-scope-check=abort",
        _("the log names the operator: move it (tiling-offload, TBE) out of the scope"),
    ),
    (_IN_THE_MIDDLE, 'with torchair.scope.super_kernel(None, ""): ...', _KEEPS_OUT),
    (
        _("the log speaks of more than 2 real streams"),
        "stream-fusion=1",
        _("if that is not enough, one scope per stream"),
    ),
    (_HANG, "feed-sync-all=1", _("compare the core counts (Block Dim) of operators that synchronise all cores")),
    (_DIFFERENT, "debug-dcci-all=1:debug-sync-all=1", _HALVE),
    (
        _DIFFERENT_KNOWN,
        "dcci-before-kernel-start=<op>:dcci-after-kernel-end=<op>",
        _("keep the option for that operator only; the debug options cost 2-3 us per operator"),
    ),
    _PRECISION,
)
_NPUGRAPH_REMEDIES = (
    _LEFT_OUT,
    (
        _SUSPECT,
        '"force_eager": True',
        _("runs the passes but captures no graph, so no SuperKernel: a fault that stays has another cause"),
    ),
    (
        _IN_THE_MIDDLE,
        "torch.npu.super_kernel_scope_begin(None); ...; torch.npu.super_kernel_scope_end(None)",
        _KEEPS_OUT,
    ),
    (
        _HANG,
        'super_kernel_debug_options={"debug_per_op_max_core_num": 1}',
        _("every operator runs alone on all cores: the one that hangs is found"),
    ),
    (_DIFFERENT, 'super_kernel_debug_options={"debug_sync_all": 1}', _HALVE),
    (
        _DIFFERENT_KNOWN,
        'super_kernel_optimize_options={"dcci_before_kernel_start": [".*<op>.*"], '
        '"dcci_after_kernel_end": [".*<op>.*"]}',
        _("keep the option for that operator only, without dcci_disable_on_kernel for it"),
    ),
    _PRECISION,
)
#: vLLM-Ascend has no field for the options, only the switch.
_VLLM_REMEDIES = (
    _LEFT_OUT,
    (
        _SUSPECT,
        '"enable_super_kernel": false',
        _("static kernels stay on: a fault that stays has another cause"),
    ),
    _PRECISION,
)
_GAIN_REMEDIES = (
    (
        _("no gain, or slower"),
        "",
        _(
            "compare with skadvisor compare BEFORE AFTER: lost stream overlap, "
            "a scope cut into single kernels, or a region that is no bottleneck"
        ),
    ),
    (
        _("the gain is smaller than what a recompile changes"),
        "",
        _("five baseline runs with a spread below 5 %, three or more with SuperKernel; the median decides"),
    ),
)
_REMEDIES: dict[Dialect, tuple[tuple[str, str, str], ...]] = {
    "ge": _GE_REMEDIES,
    "recipes": _GE_REMEDIES,
    "npugraph_ex": _NPUGRAPH_REMEDIES,
    "vllm-ascend": _VLLM_REMEDIES,
}


def remedies(dialect: Dialect) -> tuple[Remedy, ...]:
    """How to find the cause of a failure, the frequent ones first. Source: SuperKernel debugging guides."""
    return tuple(
        Remedy(symptom=Message(symptom), option=option, next_step=Message(step))
        for symptom, option, step in (*_REMEDIES[dialect], *_GAIN_REMEDIES)
    )
