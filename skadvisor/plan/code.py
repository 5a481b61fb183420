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
    text = _read(_FILES[_key(template, variant)])
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


#: How the model is compiled so that scopes take effect. Sources: cann-recipes-infer, compile_model_forward (attention
#: fuses only where its tiling is sunk); torch_npu, options of npugraph_ex.
_COMPILES: dict[Dialect, tuple[str, str]] = {
    "ge": (_("Compile to one static graph"), "compile_ge"),
    "npugraph_ex": (_("Compile with SuperKernel on"), "compile_npugraph_ex"),
}
#: Title, language and file. Sources of the switches of frameworks: cann-recipes-infer, integration/sglang/qwen3-moe
#: (patches 0004 and 0009); omni-infer, its Pangu Pro MoE.
_CONFIGURATIONS: dict[Dialect, tuple[tuple[str, str, str], ...]] = {
    "ge": ((_("Switches of frameworks that have scopes (as read, not run)"), "bash", "frameworks"),),
    "recipes": (
        (_("Configuration, new form"), "yaml", "recipes_nested"),
        (_("Configuration, old flat form"), "yaml", "recipes_flat"),
    ),
    "vllm-ascend": (
        (_("Configuration in Python"), "python", "vllm_python"),
        (_("Configuration on the command line"), "bash", "vllm_shell"),
    ),
}


def compile_code(dialect: Dialect, marked: bool = True) -> tuple[Snippet, ...]:
    """How the model is compiled so that scopes take effect; empty where the framework does it.

    `marked` says whether the source has scopes, whose switch is then set, too.
    """
    if dialect not in _COMPILES:
        return ()
    compiled = _snippet(_COMPILES[dialect][0], "python", _COMPILES[dialect][1])
    return (_snippet(_("Switch the scope on"), "python", "switch"), compiled) if marked else (compiled,)


def config_code(dialect: Dialect, several_streams: bool) -> tuple[Snippet, ...]:
    """The configuration of the framework."""
    return tuple(_snippet(*parts, STREAMS=several_streams) for parts in _CONFIGURATIONS.get(dialect, ()))


def _snippet(title: str, language: str, file: str, **values: object) -> Snippet:
    code = _read(file)
    for name, value in values.items():
        code = code.replace(f"@{name}@", str(value))
    return Snippet(title=Message(title), language=language, code=code)


def _read(file: str) -> str:
    return (_SKELETONS / f"{file}.txt").read_text(encoding="utf-8")


def _key(template: str, variant: str) -> tuple[str, str]:
    return (template, variant.lower()) if (template, variant.lower()) in WHERE else (template, "")
