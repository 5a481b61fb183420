"""How well a capture obeys the grammar of a decoder: where it does not, its labels would be confident nonsense.

Where no known operator attends, reading the kernels as a decoder can overrule what they say by themselves. How often
the labels are right in spite of that is a curve fitted to captures that the grammar fits, under other names, and to
networks that are no decoders (`profiles/train_fit.py` makes `fit.toml`). It lowers every label's confidence; where
labels are rather wrong than right, nothing is labelled and no placement is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skadvisor.files.data_files import read_toml
from skadvisor.labelling.layers import Layer
from skadvisor.labelling.structure import Structure
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.states import ATTENTION_STATES

_CURVE = read_toml(Path(__file__).with_name("fit.toml"))
#: Overruled evidence per kernel (natural-log odds) with which labels are right as often as wrong, and how steeply.
HALF_RIGHT, STEEPNESS = _CURVE["half_right"], _CURVE["steepness"]
#: With this share of known operators, one that attends would be known too.
MOSTLY_NAMED = 0.99
#: Of so many layers, at least this share of their kernels is in layers that are like another one.
FEWEST_LAYERS, LEAST_REPEATED = 4, 0.2
#: Roles that only attention, or time mixing in its place, has.
_ATTENDING = frozenset({"attention_core", "kv_cache", "rope", "indexer", "qkv_proj", "superkernel"})


@dataclass(frozen=True)
class Fit:
    """`overruled` is the evidence against the states of the main chain, natural-log odds per kernel.

    `repeated` is the share of the layers' kernels in layers that run the same operators as another one, `confirmed`
    whether a known operator attends, `possible` whether an unknown one may, `named` the share of kernels with a known
    operator.
    """

    overruled: float
    repeated: float
    confirmed: bool
    possible: bool
    named: float

    @property
    def trust(self) -> float:
        """How likely labels are right for all that the grammar says, a probability; 1 where attention is confirmed."""
        return 1.0 if self.confirmed else 1.0 / (1.0 + exp(min(50.0, STEEPNESS * (self.overruled - HALF_RIGHT))))

    @property
    def doubt(self) -> Message | None:
        """Why the capture is outside the grammar, None where nothing says so."""
        if self.trust < 0.5:
            text = _(
                "this is no transformer as skadvisor knows them: reading it as one overrules what operators and shapes "
                "say ({overruled:.2f} per kernel; at most {most:.2f} where it fits)"
            )
            return Message(text, overruled=self.overruled, most=HALF_RIGHT)
        if not self.confirmed and not self.possible and self.named >= MOSTLY_NAMED:
            return Message(
                _("this is no transformer as skadvisor knows them: all operators are known, and none of them attends")
            )
        if self.repeated < LEAST_REPEATED:
            text = _(
                "this is no transformer as skadvisor knows them: only {share:.0%} of what looks like layers repeats"
            )
            return Message(text, share=self.repeated)
        return None


def judge_fit(structure: Structure, layers: Sequence[Layer]) -> Fit:
    """How well the layers that were found obey the grammar."""
    classes = structure.classes
    of_main = classes.of_kernel[structure.main]
    known = classes.which(lambda item: item.known)
    confirmed, possible = _attending(structure)
    no_attention = not any(layer.attention for layer in layers)
    return Fit(
        overruled=structure.overruled,
        repeated=_repeated(np.array([item.base for item in classes.items], dtype=object)[of_main], layers),
        confirmed=confirmed or no_attention or structure.hints is not None or bool(structure.fused.any()),
        possible=possible,
        named=float(known[of_main].mean()) if len(of_main) else 0.0,
    )


def _attending(structure: Structure) -> tuple[bool, bool]:
    """Whether a kernel in attention is of an operator that only attends, or round a softmax; whether an unknown may."""
    inside = np.isin(structure.state, ATTENTION_STATES)
    held = [structure.classes.items[number] for number in np.unique(structure.classes.of_kernel[inside]).tolist()]
    products = any(item.role == "softmax" for item in held) and any(item.multiplies_batches for item in held)
    named = any(item.role in _ATTENDING or item.fused is not None for item in held)
    return products or named, any(not item.known for item in held)


def _repeated(bases: NDArray[np.object_], layers: Sequence[Layer]) -> float:
    """The share of the layers' kernels in layers that run the same operators as another one."""
    if len(layers) < FEWEST_LAYERS:
        return 1.0
    keys = [frozenset(bases[layer.begin : layer.end].tolist()) for layer in layers]
    often = Counter(keys)
    sizes = [layer.end - layer.begin for layer in layers]
    return sum(size for size, key in zip(sizes, keys, strict=True) if often[key] > 1) / max(1, sum(sizes))
