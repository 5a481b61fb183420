"""What the gain model is given and what it answers.

It looks at one template's scope in one typical step and answers with draws of the saving, so that uncertainty
can be carried through to the step, to percent and to the comparison of templates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from skadvisor.gain.replay import Constraints
from skadvisor.records import Basis, WholeTime
from skadvisor.vocabulary.arrays import Floats

if TYPE_CHECKING:
    from skadvisor.accounting.representative import StepKernels
    from skadvisor.accounting.situation import Situation
    from skadvisor.fusion import Preview


#: Odd, so that the median is a draw; enough for stable tenths, few enough for seconds.
DRAWS = 401
SEED = 20_240_501


@dataclass(frozen=True, eq=False)
class Scene:
    """One template variant on one step. `wall_ns` is the time that percent refer to (rescaled by `tpot_ms`).

    `constraints` say what each kernel of the step waits for. `gap_scale` (0 to 1) shrinks the gaps that the profiler
    inflated. `basis` says what time `wall_ns` is. `waits_for_ranks` says that the step talks to other ranks, so that it
    may wait for them instead of ending sooner.
    """

    preview: Preview
    situation: Situation
    wall_ns: float
    in_scope_ns: float
    constraints: Constraints
    gap_scale: float = 1.0
    basis: WholeTime = "captured_step"
    waits_for_ranks: bool = False

    @property
    def step(self) -> StepKernels:
        """The kernels of the step."""
        return self.preview.judged.step

    @property
    def level(self) -> Literal["step", "block"]:
        """A step of a decoder, beside whose kernels collectives and other ranks are waited for, or a block alone."""
        return "step" if self.situation.decoder_layers else "block"


@dataclass(frozen=True, eq=False)
class Part:
    """One named term: the draws (us per step, losses negative) and what they follow from, each a draw or a constant.

    `rate`, where there is one, is the pair (its name, the input that it multiplies to give the term).
    """

    draws: Floats
    basis: Basis
    source: str
    inputs: dict[str, Floats | float]
    rate: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Draws:
    """A model's answer: named parts whose draws add up to the saving of the step, and the ceiling, us per step.

    `block_us` are the draws of what the scopes themselves win, before the step's critical path is considered.
    `price_breakers` gives for each row of the preview's cuts how much more the same draws would win without it, us.
    `overhead_us` are the gaps and heads at the boundaries that are expected to vanish. `recompile_pct` is by how much
    another compilation moves what one before/after pair shows, points (standard deviation), no part of the saving.
    """

    parts: dict[str, Part]
    ceiling_us: float
    block_us: Floats
    price_breakers: Callable[[], tuple[float, ...]]
    overhead_us: float
    recompile_pct: float

    @cached_property
    def saving_us(self) -> Floats:
        """The saving of the step, one value per draw."""
        return np.sum([part.draws for part in self.parts.values()], axis=0)
