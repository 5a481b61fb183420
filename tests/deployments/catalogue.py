"""All written captures by name, each built once, and labelled once, in a session."""

from __future__ import annotations

from functools import cache

from label_scores import Score, score
from sample_builder.build import BuiltCapture

from deployments.written import CAPTURES, COUNTED
from skadvisor.labelling.labels import Labelled, label
from skadvisor.vocabulary.operators import load_vocabulary

VARIANTS = {**CAPTURES["variants"], **CAPTURES["loose"]}
NO_DECODERS = CAPTURES["encoders"]
#: Published steps; `COUNTED` has how often each kernel runs in them.
PUBLISHED = {name: made for captures in CAPTURES.values() for name, made in captures.items() if name in COUNTED}
DEPLOYMENTS = {
    name: made
    for file in ("dense", "experts", "latent", "hybrid", "towers", "serving", "odd")
    for name, made in CAPTURES[file].items()
}
_ALL = {**VARIANTS, **DEPLOYMENTS, **PUBLISHED}
assert len(_ALL) == len(VARIANTS) + len(DEPLOYMENTS) + len(PUBLISHED), "two captures of one name"


def names() -> list[str]:
    """The names of all captures."""
    return list(_ALL)


@cache
def built(name: str) -> BuiltCapture:
    """The capture of this name with its truth."""
    return _ALL[name]()


@cache
def labelled(name: str) -> Labelled:
    """Its labels."""
    return label(built(name).capture, load_vocabulary())


def scored(capture: BuiltCapture) -> Score:
    """How right the labels of a changed capture are."""
    return score(capture, label(capture.capture, load_vocabulary()))
