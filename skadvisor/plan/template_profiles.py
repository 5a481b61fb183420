"""What is said of each template, as its published source has it: suits, strengths, weaknesses, risk, effort, next.

attention-only, moe-only and full-model are published (cannbot-skills, model-infer-superkernel); per-block and automatic
are not, and say so.
"""

from __future__ import annotations

from skadvisor.plan.patch import Dialect
from skadvisor.plan.records import Profile
from skadvisor.text.messages import Message, _

_SKILL = "https://github.com/hicann/cannbot-skills : model/model-infer-superkernel/"
_TEMPLATES = _SKILL + "resources/scope-templates/"
_GUIDES = (
    _SKILL + "references/scope-analysis-guide.md",
    _SKILL + "references/performance-baseline-guide.md",
    _SKILL + "references/debugging-guide.md",
)
_TORCHAIR = "https://gitcode.com/Ascend/torchair : docs/zh/"
#: Where the switch of each dialect is described.
_DIALECT_SOURCES: dict[Dialect, tuple[str, ...]] = {
    "ge": (
        _TORCHAIR + "ascend_ir/features/advanced/super_kernel_scope.md",
        _TORCHAIR + "appendix/cases/superkernel_cases.md",
    ),
    "recipes": (
        "https://github.com/hicann/cann-recipes-infer : executor/utils/graph_utils.py",
        _TORCHAIR + "ascend_ir/features/advanced/super_kernel_scope.md",
    ),
    "npugraph_ex": (
        "https://www.hiascend.com/document/detail/en/Pytorch/2610/devguide/TorchAir/docs/en/npugraph_ex/advanced/"
        "superkernel.md",
        "https://gitcode.com/cann/graph-autofusion/blob/master/super_kernel/README.md",
    ),
    "vllm-ascend": ("https://github.com/vllm-project/vllm-ascend : vllm_ascend/compilation/compiler_interface.py",),
}


def template_profile(template: str, dialect: Dialect) -> Profile:
    """The profile of a template, with the addresses of its source and of the dialect's."""
    words = _PROFILES[template]
    own = {
        "attention-only": (_TEMPLATES + "attention-only.md", _TEMPLATES + "moe-only.md", _TEMPLATES + "full-model.md"),
        "moe-only": (_TEMPLATES + "moe-only.md", _TEMPLATES + "attention-only.md", _TEMPLATES + "full-model.md"),
        "full-model": (_TEMPLATES + "full-model.md", _TEMPLATES + "attention-only.md"),
    }.get(template, ())
    names = ("suits", "strengths", "weaknesses", "risk", "effort", "next_step")
    texts = {name: Message(text) for name, text in zip(names, words, strict=True)}
    return Profile(**texts, sources=(*own, *(_GUIDES if own else ()), *_DIALECT_SOURCES[dialect]))


#: suits, strengths, weaknesses, risk, effort, next step. Source: the published templates and SKILL.md.
_PROFILES = {
    "attention-only": (
        _("a first trial; attention is the bottleneck; the least risk is wanted; an ordinary transformer"),
        _("small scope, quick compile, easy to debug; other modules are untouched; shows whether SuperKernel works"),
        _("the win is limited: only attention gets faster, the rest stays as it is"),
        _("least"),
        _("least: one scope in one class"),
        _("a wider scope; then several streams and fused operators; then the compile options"),
    ),
    "moe-only": (
        _("MoE models (DeepSeek-V3, Qwen-MoE) whose experts are the bottleneck"),
        _("aimed at the bottleneck; the expert work is dense and fuses well; attention is untouched"),
        _("the router stays outside as published; without the experts as the bottleneck it wins little"),
        _("controlled"),
        _("medium: one scope in the MoE class, dispatch and combine included"),
        _("a wider scope; then several streams and fused operators; then the compile options"),
    ),
    "full-model": (
        _("a simple model, or one for which a smaller scope has worked; the greatest win is wanted"),
        _("the widest scope and the greatest possible win"),
        _("longest compile, hardest to debug; one operator that cuts it cuts it in every layer"),
        _("highest"),
        _("small in lines (one scope round the loop), large in debugging"),
        _("several streams and fused operators; then the compile options"),
    ),
    "per-block": (
        _("layers that have to be told apart, in debugging or by their core counts (no published template)"),
        _("as wide as full-model within a layer, and a failure names its layer"),
        _("the boundaries between layers stay"),
        _("between attention-only and full-model"),
        _("medium: one scope in the decoder layer"),
        _("full-model, if every layer holds"),
    ),
    "automatic": (
        _("npugraph_ex and vLLM-Ascend, which fuse a whole captured graph (no published template)"),
        _("no change of the model's source"),
        _("nothing is chosen: what fuses badly is fused, too"),
        _("as full-model"),
        _("a switch"),
        _("a scope of its own for what gained, if the whole graph did not"),
    ),
}
