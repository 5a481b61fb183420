"""SuperKernels in a planned capture: where scopes lie, what cuts them, and what fusing them really saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sample_builder.scheduling import Planned


def planted_effects(plan: Sequence[Sequence[Planned]]) -> dict[str, Any]:
    """What is planted in a capture; nothing as long as no compiler model is given."""
    return {"steps": len(plan)}
