"""What one scope holds in this capture: its operators with their time, and what its code looks like for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.plan.records import ScopeOperator
from skadvisor.units import us

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.records import Template


def list_operators(inside: pd.DataFrame, record: Template | None) -> tuple[ScopeOperator, ...]:
    """The operator types of one scope, on the average of all scopes, the costly ones first."""
    if inside.empty:
        return ()
    scopes = int(inside["scope"].nunique())
    breaks = {item.op_type: item.likelihood for item in (record.breakers if record else ())}
    types = inside["op_type"].astype("object").fillna(inside["name"].astype("object")).astype(str)
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
