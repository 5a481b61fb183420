"""What the fusion preview says about each kernel of the typical step, for drawing it into a layer's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skadvisor.accounting.representative import step_kernels, typical_step
from skadvisor.fusion.preview import preview
from skadvisor.fusion.rules import load_rules
from skadvisor.fusion.templates import template_scope

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.accounting.situation import Situation
    from skadvisor.accounting.timeline import Times


def shown_fusion(
    labelled: pd.DataFrame, times: Times, situation: Situation, template: str, rules: Sequence[Path] = ()
) -> pd.DataFrame | None:
    """Columns fusible and fragment of the typical step's kernels (index: row of the labelled table).

    `template` is the chosen one; "none" shows the widest scope. None where there is no step or no layer.
    """
    step = typical_step(times, situation.phase)
    if step is None or not situation.decoder_layers:
        return None
    scope = template_scope("full-model" if template == "none" else template)
    kernels = step_kernels(labelled, times, step)
    found = preview(kernels, scope.variants[0], load_rules(*rules), situation.hardware, situation.graph_kind)
    return found.kernels[["fusible", "fragment"]]
