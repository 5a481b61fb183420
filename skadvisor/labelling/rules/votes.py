"""Rules, what they are asked about, and their votes: which rule spoke for or against which states of which kernels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property, partial

import numpy as np
from numpy.typing import NDArray

from skadvisor.labelling.class_table import Classes
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.vocabulary.arrays import Flags, Floats, Ints
from skadvisor.vocabulary.states import STATES, State

#: Any index of one axis: a place, places, or a mask.
Where = int | Ints | Flags


@dataclass(eq=False)
class Votes:
    """The rules' votes on a table of classes or on a chain of kernels: `scores` (count, STATES) is their sum.

    `said` keeps what each rule said: places, states and weight. `like` (n,), where a chain repeats itself, says which
    of the places asked about stands for each of its n kernels.
    """

    count: int
    like: Ints | None = None
    scores: Floats = field(init=False)
    said: list[tuple[str, Ints, Ints, float]] = field(default_factory=list)
    rule: str = ""

    def __post_init__(self) -> None:
        self.scores = np.zeros((self.count, STATES))

    def add(self, where: Where, states: Iterable[State], weight: float) -> None:
        """Speak for `states` of the kernels at `where` by `weight` (natural-log odds), against them where negative."""
        places, chosen = self._places(where), _numbers(tuple(states))
        if len(places):
            self.scores[places[:, None], chosen] += weight
            self.said.append((self.rule, places, chosen, weight))

    def only(self, where: Where, states: Collection[State], weight: float) -> None:
        """Speak against all other states."""
        self.add(where, [state for state in State if state not in states], -weight)

    def of(self, place: int) -> dict[str, Floats]:
        """What each rule that spoke said of one place, (STATES,) each, in the order of the rules."""
        place = place if self.like is None else int(self.like[place])
        found: dict[str, Floats] = {}
        for rule, places, states, weight in self.said:
            count = int((places == place).sum())
            if count:
                found.setdefault(rule, np.zeros(STATES))[states] += weight * count
        return found

    @staticmethod
    def _places(where: Where) -> Ints:
        if isinstance(where, int):
            return np.array([where], dtype=np.int64)
        return np.flatnonzero(where) if where.dtype == np.bool_ else where.astype(np.int64)


@cache
def _numbers(states: tuple[State, ...]) -> Ints:
    return np.array(states, dtype=np.int64)


@dataclass(frozen=True)
class Chain:
    """The kernels of one chain in the order in which it runs: `classes` and the class number of each, (n,)."""

    classes: Classes
    of_chain: Ints

    def __len__(self) -> int:
        return len(self.of_chain)

    @cached_property
    def roles(self) -> NDArray[np.object_]:
        """The role of each kernel by its operator's name."""
        return self.classes.roles_of(self.of_chain)

    @cached_property
    def next_roles(self) -> NDArray[np.object_]:
        """The role of the kernel right behind each, empty behind the last one."""
        return np.append(self.roles[1:], "")

    def item(self, place: int) -> KernelClass:
        """The class of the kernel at a place."""
        return self.classes.items[self.of_chain[place]]

    def which(self, holds: Callable[[KernelClass], object]) -> Flags:
        """Of which kernels something holds; it is asked once per class."""
        return self.classes.which(holds)[self.of_chain]

    def hidden(self, item: KernelClass) -> int | None:
        """The width of the residual stream of the model that a class belongs to."""
        return self.classes.seen_by(item).hidden


@dataclass(frozen=True)
class Rule:
    """A rule of one sentence that is true of transformers: `because` says why. `whole` ones are asked about chains.

    `stays` says what a rule is for that few architectures need, empty as a rule.
    """

    name: str
    because: str
    stays: str
    whole: bool
    apply: Callable[..., None]


#: All rules in the order in which they are asked.
RULES: list[Rule] = []


def class_rule(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a rule about one class, its name, shapes and core: of (item, its classes, its number, the votes)."""
    return partial(_register, name, False)


def chain_rule(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a rule about the kernels of a chain and their neighbours: of (chain, the votes)."""
    return partial(_register, name, True)


def _register(name: str, whole: bool, apply: Callable[..., None]) -> Callable[..., None]:
    because, _blank, stays = (apply.__doc__ or "").partition("\n\n")
    RULES.append(Rule(name, " ".join(because.split()), " ".join(stays.split()), whole, apply))
    return apply


def class_votes(classes: Classes, without: Collection[str] = ()) -> Votes:
    """What the rules say of each class, (classes, STATES); those named in `without` are left out."""
    votes = Votes(len(classes.items))
    for rule in RULES:
        if rule.whole or rule.name in without:
            continue
        votes.rule = rule.name
        for number, item in enumerate(classes.items):
            rule.apply(item, classes.seen_by(item), number, votes)
    return votes


def chain_votes(
    classes: Classes,
    of_chain: Ints,
    without: Collection[str] = (),
    like: Ints | None = None,
) -> Votes:
    """What the rules say of the kernels of a chain, given by the class number of each; `like` as in `Votes`."""
    votes = Votes(len(of_chain), like)
    chain = Chain(classes, of_chain)
    for rule in RULES:
        if rule.whole and rule.name not in without:
            votes.rule = rule.name
            rule.apply(chain, votes)
    return votes
