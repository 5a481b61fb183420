"""What to look for in the compile log, and how to narrow a failure down, per dialect."""

from __future__ import annotations

from skadvisor.plan.patch import Dialect
from skadvisor.plan.records import LogCheck, Remedy
from skadvisor.text.messages import Message, _


def log_checks(dialect: Dialect) -> tuple[LogCheck, ...]:
    """Texts of the compile log. Sources: GE SuperKernelPass; sk_meta logs of npugraph_ex."""
    return _GE_CHECKS if dialect in ("ge", "recipes") else _GRAPH_CHECKS


_GE_CHECKS = (
    LogCheck(
        text="), super_scope_name",
        meaning=Message(
            _(
                "find super kernel sub op <op>(<type>), super_scope_name <scope>: the operator was taken into the "
                "scope; written at INFO only (ASCEND_GLOBAL_LOG_LEVEL=1)"
            )
        ),
        good=True,
    ),
    LogCheck(
        text="can not fusion",
        meaning=Message(_("a refusal, up to CANN 9.0: that operator is left out and cuts the scope")),
        good=False,
    ),
    LogCheck(
        text="cannot fusion",
        meaning=Message(_("a refusal, from CANN 9.1: that operator is left out and cuts the scope")),
        good=False,
    ),
    LogCheck(
        text="maybe it is tbe or tik operator",
        meaning=Message(
            _("that operator is a TBE or TIK kernel: replace it by an Ascend C one, or move it out of the scope")
        ),
        good=False,
    ),
    LogCheck(text="split before node", meaning=Message(_("the scope was cut in two at this operator")), good=False),
    LogCheck(
        text="SuperKernelPass only support static graph",
        meaning=Message(_("that graph is dynamic and nothing was fused in it: right for prefill, wrong for decode")),
        good=False,
    ),
    LogCheck(
        text="do not support more than 2 real stream",
        meaning=Message(_("the scope spans too many streams: stream-fusion=1, or one scope per stream")),
        good=False,
    ),
    LogCheck(
        text="fault kernel_name=te_superkernel_",
        meaning=Message(
            _("a SuperKernel failed at run time: origin_op_name names its scope, symbol name the operator in it")
        ),
        good=False,
    ),
)
_GRAPH_CHECKS = (
    LogCheck(
        text="SK Function",
        meaning=Message(_("sk_fused_nodes.log: a SuperKernel was built; its sub-kernels follow")),
        good=True,
    ),
    LogCheck(
        text="reason:",
        meaning=Message(_("sk_fusion_fail_reasons.log: why a kernel was left out (NOT_IN_SCOPE is as it should be)")),
        good=False,
    ),
    LogCheck(
        text="breakReason",
        meaning=Message(_("sk_scope_split.log: where and why a scope was cut")),
        good=False,
    ),
)


def remedies(dialect: Dialect) -> tuple[Remedy, ...]:
    """How to find the cause of a failure, the frequent ones first. Source: SuperKernel debugging guides."""
    return (*(_GE_REMEDIES if dialect in ("ge", "recipes") else _graph_remedies(dialect)), *_GAIN_REMEDIES)


_HALVE = _(
    "if the output is right again the data cache or a missing synchronisation is the cause: "
    "halve the scope until one operator is left, custom operators first"
)
#: Source: attention-only template (question 3); skills of cannbot-skills and cann-recipes-infer.
_PRECISION = Remedy(
    symptom=Message(_("different output, no operator is found")),
    option="",
    next_step=Message(
        _("the skill model-infer-precision-debug; kvcache-fa-precision-debug if it differs with SuperKernel off, too")
    ),
)
_GE_REMEDIES = (
    Remedy(
        symptom=Message(_("compile failure, unsupported operator")),
        option="strict-scope-check=abort",
        next_step=Message(_("the log names the operator: move it (tiling-offload, TBE) out of the scope")),
    ),
    Remedy(
        symptom=Message(_("an operator in the middle has to stay out")),
        option='with torchair.scope.super_kernel(None, ""): ...',
        next_step=Message(_("a scope without a name inside the scope keeps its operators out")),
    ),
    Remedy(
        symptom=Message(_("the log speaks of more than 2 real streams")),
        option="stream-fusion=1",
        next_step=Message(_("if that is not enough, one scope per stream")),
    ),
    Remedy(
        symptom=Message(_("hang or timeout")),
        option="feed-sync-all=1",
        next_step=Message(_("compare the core counts (Block Dim) of operators that synchronise all cores")),
    ),
    Remedy(
        symptom=Message(_("different output")),
        option="debug-dcci-all=1:debug-sync-all=1",
        next_step=Message(_HALVE),
    ),
    _PRECISION,
    Remedy(
        symptom=Message(_("different output, the operator is known")),
        option="dcci-before-kernel-start=<op>:dcci-after-kernel-end=<op>",
        next_step=Message(_("keep the option for that operator only; the debug options cost 2-3 us per operator")),
    ),
)


def _graph_remedies(dialect: Dialect) -> tuple[Remedy, ...]:
    """Those of a captured graph; vLLM-Ascend has no field for the options, only the switch."""
    own = dialect == "npugraph_ex"
    left_out = Remedy(
        symptom=Message(_("compile failure, unsupported operator")),
        option="",
        next_step=Message(_("sk_fusion_fail_reasons.log names it; it needs a static kernel that SuperKernel can bind")),
    )
    whose = Remedy(
        symptom=Message(_("it fails and SuperKernel is only one suspect")),
        option='"force_eager": True' if own else '"enable_super_kernel": false',
        next_step=Message(
            _("runs the passes but captures no graph, so no SuperKernel: a fault that stays has another cause")
            if own
            else _("static kernels stay on: a fault that stays has another cause")
        ),
    )
    if not own:
        return (left_out, whose, _PRECISION)
    return (
        left_out,
        whose,
        Remedy(
            symptom=Message(_("an operator in the middle has to stay out")),
            option="torch.npu.super_kernel_scope_begin(None); ...; torch.npu.super_kernel_scope_end(None)",
            next_step=Message(_("a scope without a name inside the scope keeps its operators out")),
        ),
        Remedy(
            symptom=Message(_("hang or timeout")),
            option='super_kernel_debug_options={"debug_per_op_max_core_num": 1}',
            next_step=Message(_("every operator runs alone on all cores: the one that hangs is found")),
        ),
        Remedy(
            symptom=Message(_("different output")),
            option='super_kernel_debug_options={"debug_sync_all": 1}',
            next_step=Message(_HALVE),
        ),
        _PRECISION,
        Remedy(
            symptom=Message(_("different output, the operator is known")),
            option='super_kernel_optimize_options={"dcci_before_kernel_start": [".*<op>.*"], '
            '"dcci_after_kernel_end": [".*<op>.*"]}',
            next_step=Message(_("keep the option for that operator only, without dcci_disable_on_kernel for it")),
        ),
    )


_GAIN_REMEDIES = (
    Remedy(
        symptom=Message(_("no gain, or slower")),
        option="",
        next_step=Message(
            _(
                "compare with skadvisor compare BEFORE AFTER: lost stream overlap, "
                "a scope cut into single kernels, or a region that is no bottleneck"
            )
        ),
    ),
    Remedy(
        symptom=Message(_("the gain is smaller than what a recompile changes")),
        option="",
        next_step=Message(
            _("five baseline runs with a spread below 5 %, three or more with SuperKernel; the median decides")
        ),
    ),
)
