"""The code to type, per template, variant and dialect.

The code is a skeleton of the class in question, patched by the same function that patches users' files: what is
shown and what is done cannot differ.
"""

from __future__ import annotations

from pathlib import Path

from skadvisor.plan.patch import Dialect, Patch, Request, propose_for
from skadvisor.plan.records import Snippet
from skadvisor.text.messages import Message, _

_SKELETONS = Path(__file__).parent / "skeletons"
#: template, variant -> skeleton. Variants that have no entry of their own use the one of the template.
_FILES = {
    ("attention-only", "a"): "attention",
    ("attention-only", "b"): "decoder_layer",
    ("moe-only", ""): "moe",
    ("moe-only", "b"): "moe",
    ("full-model", ""): "model",
    ("per-block", ""): "decoder_layer",
}
WHERE = {
    ("attention-only", "a"): _(
        "in forward of the attention class, round the projections, the attention and the output projection"
    ),
    ("attention-only", "b"): _(
        "in forward of the decoder layer, from the input norm through the attention; "
        "residual add, post norm and MLP stay outside"
    ),
    ("moe-only", ""): _("in forward of the MoE class, round the experts; the router stays outside"),
    ("moe-only", "b"): _("in forward of the MoE class, round the router and the experts"),
    ("full-model", ""): _("round the loop over the decoder layers; embedding, final norm and head stay outside"),
    ("per-block", ""): _("in forward of the decoder layer, round all of it"),
    ("automatic", ""): _("nowhere: without any scope the compiler fuses what it can"),
}


def scope_place(template: str, variant: str) -> Message:
    """Where the scope goes, in words."""
    return Message(WHERE[_key(template, variant)])


_THREE_PROJECTIONS = """\
        query_states = self.q_proj(hidden_states)
        key_states = self.k_proj(hidden_states)
        value_states = self.v_proj(hidden_states)
        attn_output = self.compute_attention(query_states, key_states, value_states, **kwargs)
"""
_ONE_PROJECTION = """\
        qkv_states = self.qkv_proj(hidden_states)
        attn_output = self.compute_attention(qkv_states, **kwargs)
"""
_SHARED_EXPERTS = {
    "        shared_output = self.shared_experts(hidden_states)\n": "",
    "return routed_output + shared_output": "return routed_output",
    ", then the shared experts": "",
    ", experts and shared experts,": " and experts,",
}


def skeleton(
    template: str, variant: str, dialect: Dialect = "ge", *, fused_projections: bool = False, shared: bool = True
) -> str:
    """The class without its scope, as the tests and the diff need it; classes of cann-recipes take `infer_config`.

    `fused_projections` and `shared` say whether q, k and v come from one matmul, and whether there are shared experts.
    """
    text = (_SKELETONS / f"{_FILES[_key(template, variant)]}.txt").read_text(encoding="utf-8")
    if fused_projections:
        text = text.replace(_THREE_PROJECTIONS, _ONE_PROJECTION)
    text = text.replace("        # the router stays outside\n", "") if variant == "b" else text
    for words, instead in () if shared else _SHARED_EXPERTS.items():
        text = text.replace(words, instead)
    return text.replace("(self, config", "(self, config, infer_config") if dialect == "recipes" else text


def scope_code(template: str, variant: str, dialect: Dialect, options: str, **operators: bool) -> Snippet:
    """The class with its scope, with the `operators` of `skeleton`.

    Raises ValueError for a dialect that marks no scopes in the source.
    """
    request = Request(template=template, variant=variant or "a", dialect=dialect, options=options)
    patched = propose_for(Path("modeling.py"), skeleton(template, variant, dialect, **operators).encode(), request)
    if not isinstance(patched, Patch):
        raise ValueError(f"no code for {template} in {dialect}: {patched.reason}")
    return Snippet(title=Message(_("The scope")), language="python", code=patched.after.decode())


_SWITCH = """\
import os

# before the model is built; SUPERKERNEL=0 for the baseline
config.enable_superkernel = os.environ.get("SUPERKERNEL", "1") == "1"
"""
#: Source: cann-recipes-infer, compile_model_forward: attention fuses only where its tiling is sunk.
_GE_COMPILE = """\
import torch
import torchair
from torchair.configs.compiler_config import CompilerConfig

compiler_config = CompilerConfig()
compiler_config.experimental_config.frozen_parameter = True
compiler_config.experimental_config.tiling_schedule_optimize = True
compiler_config.experimental_config.topology_sorting_strategy = "StableRDFS"
backend = torchair.get_npu_backend(compiler_config=compiler_config)
model = torch.compile(model, backend=backend, dynamic=False, fullgraph=True)
"""
#: Source: torch_npu, options of npugraph_ex; cann-recipes-infer, compile_model_forward.
_NPUGRAPH_COMPILE = """\
import os

import torch
import torch_npu

model = torch.compile(
    model,
    backend="npugraph_ex",
    options={
        "frozen_parameter": True,
        "static_kernel_compile": True,
        "super_kernel_optimize": os.environ.get("SUPERKERNEL", "1") == "1",  # 0 for the baseline
        "super_kernel_optimize_options": {"dcci_disable_on_kernel": [".*"]},
        "super_kernel_debug_options": {},
    },
    dynamic=False,
    fullgraph=True,
)
"""


def compile_code(dialect: Dialect, marked: bool = True) -> tuple[Snippet, ...]:
    """How the model is compiled so that scopes take effect; empty where the framework does it.

    `marked` says whether the source has scopes, whose switch is then set, too.
    """
    if dialect not in ("ge", "npugraph_ex"):
        return ()
    title = _("Compile to one static graph") if dialect == "ge" else _("Compile with SuperKernel on")
    code = _GE_COMPILE if dialect == "ge" else _NPUGRAPH_COMPILE
    switch = Snippet(title=Message(_("Switch the scope on")), language="python", code=_SWITCH)
    return (*((switch,) if marked else ()), Snippet(title=Message(title), language="python", code=code))


#: Sources: cann-recipes-infer, integration/sglang/qwen3-moe (patches 0004 and 0009); omni-infer, its Pangu Pro MoE.
_OTHERS = """\
# SGLang with the patches of cann-recipes-infer: scopes for attention, experts or whole layers
python -m sglang.launch_server --model-path "$MODEL" --enable-superkernel
# omni-infer: operator_opt_config.use_super_kernel in its model_extra_config; experts must not be placed by it
"""


def config_code(dialect: Dialect, several_streams: bool) -> tuple[Snippet, ...]:
    """The configuration of the framework."""
    streams = "True" if several_streams else "False"
    if dialect == "ge":
        return (
            Snippet(
                title=Message(_("Switches of frameworks that have scopes (as read, not run)")),
                language="bash",
                code=_OTHERS,
            ),
        )
    if dialect == "recipes":
        new = (
            "model_config:\n  exe_mode: ge_graph\n"
            "  enable_cache_compile: False  # True again once the scope has proved itself\n"
            f"  custom_params:\n    enable_superkernel: True\n    enable_multi_streams: {streams}\n"
        )
        old = (
            "exe_mode: ge_graph\nmodel_config:\n  enable_superkernel: True\n"
            f"  enable_multi_streams: {streams}\n  enable_cache_compile: False\n"
        )
        return (
            Snippet(title=Message(_("Configuration, new form")), language="yaml", code=new),
            Snippet(title=Message(_("Configuration, old flat form")), language="yaml", code=old),
        )
    if dialect == "vllm-ascend":
        switches = '"enable_npugraph_ex": True, "enable_static_kernel": True, "enable_super_kernel": True'
        python = (
            "from vllm import LLM\n\nllm = LLM(\n    model=model,\n    additional_config={\n"
            f'        "ascend_compilation_config": {{{switches}}},\n    }},\n)\n'
        )
        shell = (
            'vllm serve "$MODEL" --additional-config '
            f"'{{\"ascend_compilation_config\": {{{switches.replace('True', 'true')}}}}}'\n"
        )
        return (
            Snippet(title=Message(_("Configuration in Python")), language="python", code=python),
            Snippet(title=Message(_("Configuration on the command line")), language="bash", code=shell),
        )
    return ()


def _key(template: str, variant: str) -> tuple[str, str]:
    return (template, variant.lower()) if (template, variant.lower()) in WHERE else (template, "")
