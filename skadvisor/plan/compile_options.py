"""Compile options that follow from the capture: each is weighed, with its reason, and most stay at their default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.plan.records import Option
from skadvisor.text.messages import Message, _
from skadvisor.units import us

if TYPE_CHECKING:
    import pandas as pd

_TORCHAIR = "TorchAir: options of super_kernel scopes"
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


def scope_kernels(kernels: pd.DataFrame, template: str, variant: str) -> pd.DataFrame:
    """The decode kernels that the scope would hold, with a column `scope` that numbers the scopes.

    `kernels` is the labelled table. Fragments of collectives are left out: their collective is there once.
    """
    from skadvisor.fusion.templates import place, template_scope

    choices = template_scope(template).variants
    chosen = next((item for item in choices if item.name.lower() == variant.lower()), choices[0])
    inside = kernels.assign(scope=place(kernels, chosen))
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


def count_streams(inside: pd.DataFrame) -> int:
    """How many streams one scope uses (the median scope). Pieces of a graph have streams of their own: not counted."""
    known = inside.dropna(subset=["stream"])
    if known.empty:
        return 0
    pieces = known.assign(model=known["model"].fillna(-1)).groupby(["scope", "model"])["stream"].nunique()
    return int(pieces.groupby("scope").max().median())


def _weigh_streams(inside: pd.DataFrame, mode: str) -> Option:
    streams = count_streams(inside)

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
    blocks = inside["blocks"].dropna()
    key = "feed-sync-all"
    if blocks.empty:
        reason = Message(_("the capture has no core counts (Block Dim); set it if the run hangs"))
        return Option(key=key, value=None, reason=reason, basis="assumed", source=_TORCHAIR)
    most, least = int(blocks.max()), int(blocks.min())
    if most == least:
        reason = Message(_("all kernels of the scope use {cores} cores, as many as the fused kernel"), cores=most)
        return Option(key=key, value=None, reason=reason, basis="measured", source=_TORCHAIR)
    fewer = inside[inside["blocks"].fillna(most) < most]
    types = fewer["op_type"].astype("object").fillna(fewer["name"].astype("object")).astype(str)
    waiting = sorted({name for name in types if any(word in name for word in _MAY_SYNCHRONISE)})
    if waiting:
        reason = Message(
            _("{ops} may synchronise all cores and run on fewer than the {cores} of the fused kernel, which can hang"),
            ops=", ".join(waiting[:3]),
            cores=most,
        )
        return Option(key=key, value="1", reason=reason, basis="assumed", source=_TORCHAIR)
    reason = Message(
        _(
            "kernels use {least} to {most} cores, but none of them is known to synchronise all cores; "
            "set it if the run hangs"
        ),
        least=least,
        most=most,
    )
    return Option(key=key, value=None, reason=reason, basis="derived", source=_TORCHAIR)
