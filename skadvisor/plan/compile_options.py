"""Compile options that follow from the capture: each is weighed, with its reason, and most stay at their default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.events import PlainColumns
from skadvisor.fusion.overlaps import count_streams
from skadvisor.plan.records import Option
from skadvisor.text.messages import Message, _
from skadvisor.units import us
from skadvisor.vocabulary.labels_of_kernels import operator_labels

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.records import Basis

_TORCHAIR = "TorchAir: options of super_kernel scopes"
_NPUGRAPH = "graph-autofusion: super_kernel_optimize_options; cann-recipes-infer: compile_model_forward"
_VLLM = "vLLM-Ascend: compiler interface, enable_super_kernel"
#: Words in the names of operators that combine the results of several cores and so may wait for all of them.
_MAY_SYNCHRONISE = (
    "InitRouting",
    "Dispatch",
    "Combine",
    "FinalizeRouting",
    "InferAttention",
    "IncreFlashAttention",
    "SparseFlashAttention",
    "LightningIndexer",
    "MlaProlog",
    "AllReduce",
)


def published_variant(template: str, variant: str) -> str:
    """The variant that has figures of its own: moe-only with the router in it has those of moe-only."""
    return variant.lower() if template == "attention-only" else ""


def scope_kernels(kernels: pd.DataFrame, template: str, variant: str) -> pd.DataFrame:
    """The decode kernels that the scope would hold, with a column `scope` that numbers the scopes.

    `kernels` is the labelled table. Fragments of collectives are left out: their collective is there once.
    """
    from skadvisor.fusion.templates import place, template_variant

    inside = kernels.assign(
        scope=place(PlainColumns(kernels), template_variant(template, published_variant(template, variant)))
    )
    decode = inside[(inside["phase"] == "decode") & (inside["scope"] >= 0)]
    return decode[decode["kind"] != "collective_part"]


def weigh_options(inside: pd.DataFrame, mode: str) -> tuple[Option, ...]:
    """The options of a GE scope for the kernels of `scope_kernels`; `mode` is the capture's (eager, graph, unknown)."""
    if inside.empty:
        unknown = Message(_("the capture has no decode kernels in this scope"))
        return tuple(
            Option(key=key, value=None, reason=unknown, basis="assumed", source=_TORCHAIR)
            for key in ("stream-fusion", "feed-sync-all")
        )
    return _weigh_streams(inside, mode), _weigh_cores(inside)


def options_text(options: tuple[Option, ...]) -> str:
    """`key=value:key=value` of the options that are set."""
    return ":".join(f"{option.key}={option.value}" for option in options if option.value is not None)


def _weigh_streams(inside: pd.DataFrame, mode: str) -> Option:
    streams = count_streams(PlainColumns(inside), inside["scope"].to_numpy())

    def left(reason: Message, measured: bool) -> Option:
        basis = "measured" if measured else "assumed"
        return Option(key="stream-fusion", value=None, reason=reason, basis=basis, source=_TORCHAIR)  # type: ignore[arg-type]

    if streams == 0:
        return left(Message(_("the capture has no stream ids")), False)
    if mode == "eager":
        return left(Message(_("the capture is eager, so the streams of the graph are unknown")), False)
    if streams == 1:
        return left(Message(_("all kernels of the scope run on one stream")), True)
    together = _concurrent_us(inside)
    if _cube_beside_vector(inside):
        reason = Message(
            _("{streams} streams run in the scope, Cube beside Vector, {us:.1f} us per scope at the same time"),
            streams=streams,
            us=together,
        )
    else:
        reason = Message(
            _(
                "{streams} streams run in the scope, {us:.1f} us per scope at the same time; they are not pure Cube "
                "beside pure Vector, so the fused kernel may run them one after the other: "
                "compare with one scope per stream"
            ),
            streams=streams,
            us=together,
        )
    return Option(key="stream-fusion", value="1", reason=reason, basis="measured", source=_TORCHAIR)


def _concurrent_us(inside: pd.DataFrame) -> float:
    """How long more than one kernel runs in a scope, us, in the median scope."""
    from skadvisor.accounting.timeline import merge_intervals

    codes = inside["scope"].to_numpy(dtype="int64")
    start = inside["start_ns"].to_numpy(dtype="int64")
    duration = inside["dur_ns"].to_numpy(dtype="int64")
    group, begin, end = merge_intervals(codes, start, start + duration)
    totals = inside.groupby("scope")["dur_ns"].sum()
    import pandas as pd

    united = pd.Series(end - begin).groupby(group).sum()
    return us(float((totals - united).median()))


def _cube_beside_vector(inside: pd.DataFrame) -> bool:
    """Whether every stream is purely one kind of core and both kinds occur."""
    cores = inside.dropna(subset=["stream"]).groupby("stream")["core"].agg(lambda column: set(column.astype(str)))
    pure = [kinds for kinds in cores if kinds in ({"AI_CORE"}, {"AI_VECTOR_CORE"})]
    return len(pure) == len(cores) and len({next(iter(kinds)) for kinds in pure}) == 2


def _weigh_cores(inside: pd.DataFrame) -> Option:
    """Never set beforehand: it is for runs that hang. Cube counts are compared with Cube, Vector with Vector."""

    def left(reason: Message, basis: Basis) -> Option:
        return Option(key="feed-sync-all", value=None, reason=reason, basis=basis, source=_TORCHAIR)

    known = inside.dropna(subset=["blocks"])
    if known.empty:
        return left(Message(_("the capture has no core counts (Block Dim); set it if the run hangs")), "assumed")
    vector = known["core"].astype("object").isin(["AI_VECTOR_CORE", "MIX_AIV"])
    most = known.groupby(vector)["blocks"].transform("max")
    fewer = known[known["blocks"] < most]
    types = operator_labels(PlainColumns(fewer)).tolist()
    waiting = sorted({name for name in types if any(word in name for word in _MAY_SYNCHRONISE)})
    if waiting:
        reason = _("{ops} may synchronise all cores and use fewer than others of their kind: set it if the run hangs")
        return left(Message(reason, ops=", ".join(waiting[:3])), "derived")
    return left(Message(_("no operator known to synchronise all cores uses fewer than others of its kind")), "derived")


def weigh_graph_options(dialect: str, streams: int) -> tuple[Option, ...]:
    """The options of npugraph_ex, as its users set them; `streams` is what one scope uses in the capture."""
    if dialect == "vllm-ascend":
        reason = Message(_("vLLM-Ascend sets it itself and has no field for the other options"))
        return (_graph_option("dcci_after_kernel_end", '[".*"]', reason, _VLLM),)
    refresh = _(
        "as cann-recipes-infer sets it: no refresh of the data cache round sub-kernels; "
        "where the output differs, use dcci_after_kernel_end instead, as vLLM-Ascend does"
    )
    parallel = (
        Message(_("off by default; the scope uses {streams} streams: try 1 once the output is right"), streams=streams)
        if streams > 1
        else Message(_("off by default, and one stream leaves nothing to arrange"))
    )
    early = _("off by default; try 1 once the output is right")
    bypass = _("off by default; only where sk_scope_split.log names value, event or task breaks, for it may deadlock")
    return (
        _graph_option("dcci_disable_on_kernel", '[".*"]', Message(refresh), _NPUGRAPH),
        _graph_option("auto_op_parallel", None, parallel, _NPUGRAPH),
        _graph_option("early_start", None, Message(early), _NPUGRAPH),
        _graph_option("aggressive_opt_strategies", None, Message(bypass), _NPUGRAPH),
    )


def _graph_option(key: str, value: str | None, reason: Message, source: str) -> Option:
    return Option(key=key, value=value, reason=reason, basis="derived", source=source)
