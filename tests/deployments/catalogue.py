"""All written captures by name, each built once, and labelled once, in a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from label_scores import Score, score
from sample_builder.build import BuiltCapture

from deployments.published import STEPS, Published
from deployments.published_drafts import DRAFTS
from deployments.published_hyper import HYPER
from deployments.published_latent import LATENT
from deployments.published_loose import LOOSE
from deployments.published_phases import PHASES
from deployments.published_sparse import SPARSE_STEPS
from deployments.written import CAPTURES
from skadvisor.labelling.labels import Labelled, label
from skadvisor.vocabulary.operators import load_vocabulary

VARIANTS = {**CAPTURES["variants"], **CAPTURES["loose"]}
NO_DECODERS = CAPTURES["encoders"]
PUBLISHED: dict[str, Published] = {**STEPS, **LATENT, **HYPER, **PHASES, **SPARSE_STEPS, **DRAFTS, **LOOSE}
DEPLOYMENTS = {
    **CAPTURES["dense"], **CAPTURES["experts"], **CAPTURES["latent"], **CAPTURES["hybrid"],
    **CAPTURES["towers"], **CAPTURES["serving"], **CAPTURES["odd"],
}  # fmt: skip
_ALL: dict[str, Callable[[], BuiltCapture]] = {
    **VARIANTS, **DEPLOYMENTS, **{name: published.build for name, published in PUBLISHED.items()},
}  # fmt: skip
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
