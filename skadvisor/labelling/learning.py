"""Learned scores for operators that no vocabulary names: what kernels like these work for in labelled captures.

A logistic regression over the pieces of the name, the shapes relative to the model's sizes, the core, the operators
before and after, and how long and how often the kernel runs. profiles/train_labels.py fits it to built captures and
keeps what was learned in `learning.npz`. What it says is added to the other evidence, bounded, so that the order of a
step can still overrule it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_facts import Context, facts_of_class, name_pieces
from skadvisor.labelling.class_table import Classes
from skadvisor.vocabulary.arrays import Floats
from skadvisor.vocabulary.states import STATES, State

if TYPE_CHECKING:
    import pandas as pd

S = State
#: Pieces of the name, and facts: words parted by blanks.
Example = tuple[str, str]
DATA = Path(__file__).with_name("learning.npz")
#: Names are compared by groups of so many letters.
LETTERS = (2, 3, 4)
#: The learned log odds count for this much of their weight ...
WEIGHT = 0.8
#: ... and move a state by this much at the most (natural log): less than a known operator's name does.
BOUND = 3.0
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


@dataclass(frozen=True, eq=False)
class Model:
    """What was learned of each of `groups` (G,): how frequent it was, and how its odds grow with what is seen.

    `letters` (L,) are letter groups of names with their `rarity` (L,), the logarithm of their inverse frequency;
    `facts` (F,) are words. `weights` (L + F, G), `log_prior` and `intercept` (G,) are natural logarithms.
    """

    groups: NDArray[np.str_]
    log_prior: Floats
    letters: NDArray[np.str_]
    rarity: Floats
    facts: NDArray[np.str_]
    weights: Floats
    intercept: Floats

    @classmethod
    def read(cls, path: Path = DATA) -> Model:
        """The model that a file holds."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{one.name: file[one.name] for one in fields(cls)})

    def write(self, path: Path = DATA) -> None:
        """Keep the model; the same one gives the same bytes."""
        np.savez_compressed(path, **{one.name: getattr(self, one.name) for one in fields(self)})

    def probability(self, examples: Sequence[Example]) -> Floats:
        """How likely each group is, (examples, G); rows sum to 1."""
        scores = np.array([self._score(name, facts) for name, facts in examples]).reshape(-1, len(self.groups))
        likely = np.exp(scores - scores.max(axis=1, keepdims=True))
        return likely / likely.sum(axis=1, keepdims=True)

    def log_odds(self, examples: Sequence[Example]) -> Floats:
        """How much likelier each group is than among all examples, natural log, (examples, G)."""
        return np.log(np.clip(self.probability(examples), 1e-6, None)) - self.log_prior

    def _score(self, name: str, facts: str) -> Floats:
        of_letters, of_facts = self._rows
        counts = Counter(of_letters[group] for group in letter_groups(name) if group in of_letters)
        rows = np.array([*counts], dtype=np.int64)
        # rare groups tell more, repeated ones little more; a long name as a whole as much as a short one
        seen = (1.0 + np.log([*counts.values()])) * self.rarity[rows]
        named = seen @ self.weights[rows] / max(float(np.sqrt((seen**2).sum())), 1e-300)
        true = sorted({of_facts[fact] for fact in facts.split() if fact in of_facts})
        return named + self.weights[true].sum(axis=0) + self.intercept

    @cached_property
    def _rows(self) -> tuple[dict[str, int], dict[str, int]]:
        """The row of each letter group and of each fact among the weights."""
        letters, facts = self.letters.tolist(), self.facts.tolist()
        return dict(zip(letters, range(len(letters)), strict=True)), {
            fact: row for row, fact in enumerate(facts, start=len(letters))
        }


def letter_groups(name: str) -> Iterator[str]:
    """Every group of two to four letters within the words of a name, their edges counted as blanks."""
    for word in name.split():
        edged = f" {word} "
        for size in LETTERS:
            yield from (edged[at : at + size] for at in range(max(1, len(edged) - size + 1)))
            if len(edged) <= size:
                break


def unknown_scores(classes: Classes, kernels: pd.DataFrame) -> Floats:
    """Learned log scores per class and state, (classes, STATES); zeros for all classes that have a role.

    Zeros for all where no more than a NEGLIGIBLE part of the kernels has none.
    """
    scores = np.zeros((len(classes.items), STATES))
    unknown = [number for number, item in enumerate(classes.items) if item.role == "unknown"]
    if not _matter(unknown, classes, kernels):
        return scores
    model = shipped_model()
    odds = model.log_odds(examples(classes, kernels, unknown))
    bounded = np.clip(WEIGHT * odds, -BOUND, BOUND)
    for column, group in enumerate(model.groups.tolist()):
        for state in GROUPS[group]:
            scores[unknown, state] = bounded[:, column]
    return scores


def _matter(unknown: list[int], classes: Classes, kernels: pd.DataFrame) -> bool:
    inside = np.isin(classes.of_kernel, unknown) & (kernels["kind"] == "kernel").to_numpy()
    time = kernels["dur_ns"].to_numpy()
    return bool(inside.sum() > NEGLIGIBLE * len(inside) or time[inside].sum() > NEGLIGIBLE * time.sum())


def examples(classes: Classes, kernels: pd.DataFrame, chosen: list[int]) -> list[Example]:
    """What is known of the chosen classes."""
    context = Context.of(classes, kernels)
    return [(name_pieces(classes.items[number].base), " ".join(facts_of_class(number, context))) for number in chosen]


@lru_cache(maxsize=1)
def shipped_model() -> Model:
    """The model that ships with the package, read once per process."""
    return Model.read()
