"""Learned scores for operators that no vocabulary names: what kernels like these work for in labelled captures.

A logistic regression over the pieces of the name, the shapes relative to the model's sizes, the core, the operators
before and after, and how long and how often the kernel runs. It is fitted at first use from `learning.csv.gz`, which
profiles/train_labels.py makes from built captures, and only where a capture holds such operators. What it says is
added to the other evidence, bounded, so that the order of a step can still overrule it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_facts import Context, facts_of_class, name_pieces
from skadvisor.labelling.class_table import Classes
from skadvisor.vocabulary.states import STATES, State

if TYPE_CHECKING:
    import pandas as pd

S = State
DATA = Path(__file__).with_name("learning.csv.gz")
#: The learned log odds count for this much of their weight ...
WEIGHT = 0.8
#: ... and move a state by this much at the most (natural log): less than a known operator's name does.
BOUND = 3.0
#: How much a name counts against the facts, and how far weights are held back: chosen by leaving families and names
#: out, so that a probability of 0.9 is right that often.
NAME_WEIGHT, REGULARISATION = 3.0, 0.3
#: Unknown operators with a smaller share of the kernels and of the time are left to the order: nothing hangs on them.
NEGLIGIBLE = 0.005
#: States that a kernel cannot be told apart in by itself, learned as one; SuperKernels over a layer bear their name.
GROUPS: dict[str, tuple[State, ...]] = {
    "NORM": (S.INPUT_NORM, S.POST_NORM, S.FINAL_NORM),
    "SHARED": (S.SHARED_BEFORE, S.SHARED_AFTER),
    **{
        state.name: (state,)
        for state in State
        if state not in (S.INPUT_NORM, S.POST_NORM, S.FINAL_NORM, S.SHARED_BEFORE, S.SHARED_AFTER, S.WHOLE_LAYER)
    },
}
GROUP_OF_STATE = {state: group for group, states in GROUPS.items() for state in states}


@dataclass(frozen=True)
class Model:
    """A fitted pipeline and how frequent each of its groups was among the examples, as natural logarithms."""

    pipeline: Any
    groups: tuple[str, ...]
    log_prior: NDArray[np.float64]

    def log_odds(self, examples: pd.DataFrame) -> NDArray[np.float64]:
        """How much likelier each group is than among all examples, natural log, (examples, groups)."""
        probability = np.clip(self.pipeline.predict_proba(examples), 1e-6, None)
        return np.log(probability) - self.log_prior


def unknown_scores(classes: Classes, kernels: pd.DataFrame) -> NDArray[np.float64]:
    """Learned log scores per class and state, (classes, STATES); zeros for all classes that have a role.

    Loads scikit-learn only where more than a NEGLIGIBLE part of the kernels has none.
    """
    scores = np.zeros((len(classes.items), STATES))
    unknown = [number for number, item in enumerate(classes.items) if item.role == "unknown"]
    if not _matter(unknown, classes, kernels):
        return scores
    model = shipped_model()
    odds = model.log_odds(examples(classes, kernels, unknown))
    bounded = np.clip(WEIGHT * odds, -BOUND, BOUND)
    for column, group in enumerate(model.groups):
        for state in GROUPS[group]:
            scores[unknown, state] = bounded[:, column]
    return scores


def _matter(unknown: list[int], classes: Classes, kernels: pd.DataFrame) -> bool:
    inside = np.isin(classes.of_kernel, unknown) & (kernels["kind"] == "kernel").to_numpy()
    time = kernels["dur_ns"].to_numpy()
    return bool(inside.sum() > NEGLIGIBLE * len(inside) or time[inside].sum() > NEGLIGIBLE * time.sum())


def examples(classes: Classes, kernels: pd.DataFrame, chosen: list[int]) -> pd.DataFrame:
    """What is known of the chosen classes: columns `name` (pieces of it) and `facts`, words parted by blanks."""
    import pandas as pd

    context = Context.of(classes, kernels)
    return pd.DataFrame(
        {
            "name": [name_pieces(classes.items[number].base) for number in chosen],
            "facts": [" ".join(facts_of_class(number, context)) for number in chosen],
        }
    )


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The model fitted from the shipped examples, once per process."""
    return fit(read_examples())


def read_examples(path: Path = DATA) -> pd.DataFrame:
    """Labelled examples: family (of architectures), name, facts, group, weight."""
    import pandas as pd

    return pd.read_csv(path, dtype={"weight": "float64"}, keep_default_na=False, compression="gzip")


def fit(labelled: pd.DataFrame) -> Model:
    """Fit the pipeline to labelled examples (see `read_examples`); the same examples give the same model."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    weight = labelled["weight"].to_numpy(dtype="float64")
    pipeline = build_pipeline()
    with threadpool_limits(1):  # threads cost more than they gain on so few examples
        pipeline.fit(labelled[["name", "facts"]], labelled["group"], classifier__sample_weight=weight)
    groups = tuple(str(name) for name in pipeline.classes_)
    total = labelled.groupby("group")["weight"].sum().reindex(groups).to_numpy(dtype="float64")
    return Model(pipeline, groups, np.log(total / total.sum()))


def build_pipeline() -> Any:
    """The unfitted scikit-learn pipeline over the columns `name` and `facts`."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    names = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=4, max_features=1500, sublinear_tf=True)
    facts = CountVectorizer(token_pattern=r"\S+", lowercase=False, binary=True, min_df=3)
    columns = ColumnTransformer(
        [("name", names, "name"), ("facts", facts, "facts")], transformer_weights={"name": NAME_WEIGHT, "facts": 1.0}
    )
    classifier = LogisticRegression(C=REGULARISATION, max_iter=300, tol=1e-3, random_state=0)
    return Pipeline([("columns", columns), ("classifier", classifier)])
