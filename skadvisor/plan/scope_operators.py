"""What one scope holds in this capture: its operators, what its code looks like for them, and a scope per stream.

One scope per stream is for streams with cores of their own. It is published for LongCat-Flash (cann-recipes-infer): one
SuperKernel runs on one number of cores, so what runs beside it with other limits wants a scope of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.events import PlainColumns
from skadvisor.plan.patch import Dialect, Scope, dialects, scope_label
from skadvisor.plan.records import ScopeOperator, Snippet
from skadvisor.text.messages import Message, _
from skadvisor.units import us
from skadvisor.vocabulary.labels_of_kernels import operator_labels

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.records import Template

#: More streams than this are pieces of a graph, not parts of a layer.
MOST_STREAMS = 4
_SHOWN = 4
_CUBE, _VECTOR = ("AI_CORE", "MIX_AIC"), ("AI_VECTOR_CORE", "MIX_AIV")


def list_operators(inside: pd.DataFrame, record: Template | None) -> tuple[ScopeOperator, ...]:
    """The operator types of one scope, on the average of all scopes, the costly ones first."""
    if inside.empty:
        return ()
    scopes = int(inside["scope"].nunique())
    breaks = {item.op_type: item.likelihood for item in (record.breakers if record else ())}
    types = operator_labels(PlainColumns(inside))
    roles = inside["role"].astype("object").fillna("unknown").astype(str)
    totals = inside.assign(_type=types, _role=roles).groupby(["_type", "_role"])["dur_ns"].agg(["size", "sum"])
    found = [
        ScopeOperator(
            op_type=str(op_type),
            role=str(role),
            per_scope=float(row["size"]) / scopes,
            us_per_scope=us(float(row["sum"])) / scopes,
            breaks=breaks.get(str(op_type), ""),
        )
        for (op_type, role), row in totals.iterrows()
    ]
    return tuple(sorted(found, key=lambda item: (-item.us_per_scope, item.op_type, item.role)))


def code_operators(operators: tuple[ScopeOperator, ...]) -> dict[str, bool]:
    """How the class reads for them (`code.skeleton`): one matmul for q, k and v or three, shared experts or none."""
    matmuls = [item for item in operators if item.role == "qkv_proj" and "matmul" in item.op_type.lower()]
    experts = any(item.role in ("expert_matmul", "dispatch", "combine") for item in operators)
    return {
        "fused_projections": round(sum(item.per_scope for item in matmuls)) == 1,
        "shared": not experts or any(item.role == "shared_expert" for item in operators),
    }


def list_stream_scopes(inside: pd.DataFrame, template: str, dialect: Dialect) -> tuple[Snippet, ...]:
    """The scopes by stream with what each holds in this capture; empty where all run on one stream or number of cores.

    `inside` are the kernels of `compile_options.scope_kernels`. A scope round all layers is parted within each layer.
    """
    known = inside.dropna(subset=["stream"])
    streams = list(known.groupby("stream", sort=True))
    limits = {_most(rows, _CUBE) for _stream, rows in streams} - {0}
    if not 1 < len(streams) <= MOST_STREAMS or len(limits) < 2:
        return ()
    lines = ["# in place of the one scope, inside the blocks that switch streams and limit cores\n"]
    for number, (_stream, rows) in enumerate(streams, start=1):
        label = scope_label("per-block" if template == "full-model" else template, f"_part{number}")
        scope = Scope("self.enable_superkernel", "not is_prefill", label, "")
        lines.append(dialects.example(dialect, scope, f"...  # {_operators(rows)}: {_cores(rows)}"))
    title = Message(_("One scope per stream and core limit, as the streams of this capture are"))
    return (Snippet(title=title, language="python", code="".join(lines)),)


def _most(rows: pd.DataFrame, cores: tuple[str, ...]) -> int:
    """The most cores that one kernel of these kinds used, 0 where none says."""
    known = rows[rows["core"].astype("object").isin(cores)]["blocks"].dropna()
    return 0 if known.empty else int(known.max())


def _cores(rows: pd.DataFrame) -> str:
    found = {"Cube": _most(rows, _CUBE), "Vector": _most(rows, _VECTOR)}
    return ", ".join(f"{count} {kind} cores" for kind, count in found.items() if count)


def _operators(rows: pd.DataFrame) -> str:
    """The operator types of one scope on this stream, in the order in which they run."""
    first = rows[rows["scope"] == rows["scope"].min()].sort_values("start_ns")
    types = list(dict.fromkeys(operator_labels(PlainColumns(first)).tolist()))
    return ", ".join(types[:_SHOWN]) + (", ..." if len(types) > _SHOWN else "")
