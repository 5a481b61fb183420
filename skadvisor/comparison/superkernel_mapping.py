"""Which kernels of a step without SuperKernels each SuperKernel of the same step with them replaced.

The kernels that stayed are matched in order; what lies between two matches in the one step and a SuperKernel in the
other is what was fused. The first and last operator in the SuperKernel's name confirm it, or it stays unmapped.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import pandas as pd

from skadvisor.comparison.superkernel_steps import Step, Token
from skadvisor.events import start_and_end
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.names import base_operator
from skadvisor.vocabulary.superkernel_names import TYPE, end_names

#: Stretches longer than this on both sides are matched by their unique tokens only: difflib is quadratic.
LONGEST_STRETCH = 1500
#: Kernels may have taken this many times what a SuperKernel of unknown content takes: the boldest claim is 40 % less.
MOST_SHORTENED = 2


@dataclass(frozen=True)
class Site:
    """One SuperKernel of a step: its row in the step after, and the rows that it replaced in the step before."""

    row: int
    children: tuple[int, ...]


@dataclass(frozen=True)
class Mapping:
    """`twins[i]` is the row before of row `i` after (-1: none). `unmapped` are SuperKernels with the reason."""

    twins: tuple[int, ...]
    sites: tuple[Site, ...]
    unmapped: tuple[tuple[int, Message], ...]

    def matched_share(self, fused: Sequence[bool]) -> float:
        """Of the kernels after that are no SuperKernels, the share that has a twin before (1.0 where there is none)."""
        plain = [twin for twin, sk in zip(self.twins, fused, strict=True) if not sk]
        return sum(twin >= 0 for twin in plain) / len(plain) if plain else 1.0

    def held_share(self, before: int) -> float:
        """Of the `before` kernels of a step before, the share that a step after has, alone or in a SuperKernel."""
        held = {place for site in self.sites for place in site.children} | set(self.twins)
        return len(held - {-1}) / before


def map_step(step_before: Step, step_after: Step) -> Mapping:
    """Map one step's kernels to those of the same step before."""
    before, after, tokens_before = step_before.kernels, step_after.kernels, step_before.tokens
    twins = align(tokens_before, step_after.tokens)
    names_after = _names(after)
    names_before = [name.replace("/", "_") for name in _names(before)]  # as a SuperKernel's name can hold them
    rows = [row for row, token in enumerate(step_after.tokens) if token[0] == TYPE]
    used = {place for place in twins if place >= 0}
    found: dict[int, tuple[int, ...]] = {}

    def divide(groups: Iterable[tuple[list[int], list[int]]]) -> None:
        for group, free in groups:
            shared = _divide([names_after[row] for row in group], free, names_before, tokens_before)
            found.update((row, children) for row, children in zip(group, shared, strict=True) if children)

    divide(_groups(rows, twins, len(tokens_before)))
    # What began on one stream and ended on another lies in no single stretch: look by time, first near, then anywhere.
    for windows in (True, False):
        left = [row for row in rows if row not in found]
        used |= {place for children in found.values() for place in children}
        divide(_groups_by_time(before, after, left, twins, used, windows))
    found = _add_side_kernels(before, found, used)
    other = {row for row, children in found.items() if _other_shapes(before, after, row, children)}
    sites = tuple(Site(row, found[row]) for row in rows if row in found and row not in other)
    unmapped = tuple(
        (row, Message(_("its input shapes are not those of BEFORE")) if row in other else _why(names_after[row]))
        for row in rows
        if row in other or row not in found
    )
    return Mapping(tuple(twins), sites, unmapped)


def unshared_ns(step_before: Step, step_after: Step, mapping: Mapping) -> tuple[Counter[str], Counter[str]]:
    """The time by operator that the step after lost, and that it added, ns; empty where SuperKernels may explain it.

    What an operator loses here and gains there is set off: it moved, or its shapes did. A SuperKernel without its
    counterpart may hold anything that the other side has.
    """
    held = {place for site in mapping.sites for place in site.children} | set(mapping.twins)
    fused = {site.row for site in mapping.sites}
    gone = _times(step_before, [place for place in range(len(step_before.tokens)) if place not in held])
    new = _times(step_after, [row for row, twin in enumerate(mapping.twins) if twin < 0 and row not in fused])
    unknown_before, unknown_after = gone.pop(TYPE, 0), new.pop(TYPE, 0)
    lost, added = gone - new, new - gone
    return (
        lost if lost.total() > MOST_SHORTENED * unknown_after else Counter(),
        added if added.total() > MOST_SHORTENED * unknown_before else Counter(),
    )


def _times(step: Step, rows: Sequence[int]) -> Counter[str]:
    durations = step.kernels["dur_ns"].to_numpy(dtype="int64")
    times: Counter[str] = Counter()
    for row in rows:
        times[step.tokens[row][0]] += int(durations[row])
    return times


def _groups_by_time(
    before: pd.DataFrame, after: pd.DataFrame, rows: Sequence[int], twins: Sequence[int], used: set[int], windows: bool
) -> list[tuple[list[int], list[int]]]:
    """SuperKernels in time order with the free rows before, in time order, that ran at their place in the step.

    Their place is between the matched kernels that start next before and after them; without `windows` it is the
    whole step.
    """
    starts_before, starts_after = (side["start_ns"].tolist() for side in (before, after))
    free = sorted((place for place in range(len(starts_before)) if place not in used), key=starts_before.__getitem__)
    ordered = sorted(rows, key=starts_after.__getitem__)
    if not windows:
        return [(ordered, free)] if ordered else []
    matched = sorted((starts_after[row], starts_before[twin]) for row, twin in enumerate(twins) if twin >= 0)
    groups: dict[tuple[int, int], list[int]] = {}
    for row in ordered:
        position = bisect.bisect_left(matched, (starts_after[row], -1))
        low = matched[position - 1][1] if position else -1
        high = matched[position][1] if position < len(matched) else starts_before[free[-1]] + 1 if free else 0
        groups.setdefault((low, high), []).append(row)
    return [
        (group, [place for place in free if low < starts_before[place] < high]) for (low, high), group in groups.items()
    ]


def _add_side_kernels(
    before: pd.DataFrame, found: dict[int, tuple[int, ...]], used: set[int]
) -> dict[int, tuple[int, ...]]:
    """Kernels of another stream that ran while a SuperKernel's children did and are gone: it holds them, too."""
    start, end = start_and_end(before)
    taken = used | {place for children in found.values() for place in children}
    gone = [place for place in range(len(start)) if place not in taken]
    answer = {}
    for row, children in found.items():
        window = (start[list(children)].min(), end[list(children)].max())
        side = [place for place in gone if start[place] < window[1] and end[place] > window[0]]
        gone = [place for place in gone if place not in set(side)]
        answer[row] = tuple(sorted((*children, *side), key=lambda place: int(start[place])))
    return answer


def _other_shapes(before: pd.DataFrame, after: pd.DataFrame, row: int, children: Sequence[int]) -> bool:
    """Whether a SuperKernel lists input shapes that its kernels did not have, and they had some that it lacks.

    npugraph_ex lists those of all its kernels in a row, GE the outer ones; some kernels have none.
    """
    listed = after["input_shapes"].iloc[row]
    shapes = before["input_shapes"].iloc[list(children)].dropna().astype(str)
    if pd.isna(listed) or shapes.empty:
        return False
    had, has = (Counter(slot for slot in text.split(";") if slot) for text in (";".join(shapes), str(listed)))
    return not (had <= has or has <= had)


def _why(name: str) -> Message:
    ends = end_names(name)
    if not ends:
        return Message(_("its name does not say what it holds"))
    return Message(_("no kernels of BEFORE from {first} to {last} are left for it"), first=ends[0], last=ends[1])


def align(before: Sequence[Token], after: Sequence[Token]) -> list[int]:
    """For each token after the place before of its twin, -1 where it has none; twins are in order.

    Tokens that occur equally often on both sides pair up in order and anchor the rest.
    """
    twins = [-1] * len(after)
    for row, place in _increasing(_anchors(before, after)):
        twins[row] = place
    known = [(-1, -1), *((row, place) for row, place in enumerate(twins) if place >= 0), (len(after), len(before))]
    for (row, place), (next_row, next_place) in itertools.pairwise(known):
        rows, places = range(row + 1, next_row), range(place + 1, next_place)
        if rows and places and max(len(rows), len(places)) <= LONGEST_STRETCH:
            matcher = SequenceMatcher(None, [before[i] for i in places], [after[i] for i in rows], autojunk=False)
            for block in matcher.get_matching_blocks():
                for offset in range(block.size):
                    twins[rows[block.b + offset]] = places[block.a + offset]
    return twins


def _anchors(before: Sequence[Token], after: Sequence[Token]) -> list[tuple[int, int]]:
    counts_before, counts_after = Counter(before), Counter(after)
    equal = {token for token, count in counts_after.items() if counts_before[token] == count}
    places: dict[Token, list[int]] = defaultdict(list)
    for place, token in enumerate(before):
        if token in equal:
            places[token].append(place)
    taken: Counter[Token] = Counter()
    pairs = []
    for row, token in enumerate(after):
        if token in equal:
            pairs.append((row, places[token][taken[token]]))
            taken[token] += 1
    return pairs


def _increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs in which both sides increase (patience)."""
    tails: list[int] = []
    last: list[int] = []
    link = [-1] * len(pairs)
    for index, (_row, place) in enumerate(pairs):
        position = bisect.bisect_left(tails, place)
        if position == len(tails):
            tails.append(place)
            last.append(index)
        else:
            tails[position], last[position] = place, index
        link[index] = last[position - 1] if position else -1
    chosen = []
    index = last[-1] if last else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = link[index]
    return chosen[::-1]


def _groups(rows: Sequence[int], twins: Sequence[int], size: int) -> list[tuple[list[int], list[int]]]:
    """SuperKernels that lie between the same two matches, with the rows before that are free there."""
    used = {place for place in twins if place >= 0}
    known = np.asarray(twins, dtype=np.int64)
    previous = np.maximum.accumulate(np.append(-1, known))  # previous[row]: the last match before the row
    following = np.minimum.accumulate(np.append(np.where(known >= 0, known, size), size)[::-1])[::-1]
    groups: dict[tuple[int, int], list[int]] = {}
    for row in rows:
        groups.setdefault((int(previous[row]), int(following[row])), []).append(row)
    return [
        (group, [place for place in range(low + 1, high) if place not in used]) for (low, high), group in groups.items()
    ]


def _divide(
    names: Sequence[str], free: Sequence[int], names_before: Sequence[str], tokens_before: Sequence[Token]
) -> list[tuple[int, ...]]:
    """Share the free rows out among SuperKernels in order, by the operators in their names; empty where that fails."""
    answers: list[tuple[int, ...]] = []
    position = 0
    for name, next_name in itertools.zip_longest(names, names[1:], fillvalue=""):
        ends, following = end_names(name), end_names(next_name)
        first = last = None
        if ends:
            first = _find(ends[0], free, range(position, len(free)), names_before, tokens_before)
        if first is not None:
            limit = _limit(ends[1], following, free, first, names_before, tokens_before)
            # The last one: static kernels of the same operator and shapes share one name.
            last = _find(ends[1], free, range(limit - 1, first - 1, -1), names_before, tokens_before)
        answers.append(tuple(free[first : last + 1]) if first is not None and last is not None else ())
        position = last + 1 if last is not None else position
    return answers


def _limit(
    last: str,
    following: Sequence[str],
    free: Sequence[int],
    first: int,
    names: Sequence[str],
    tokens: Sequence[Token],
) -> int:
    """Where the next SuperKernel begins: at its first operator's name if that is unique, else where both meet."""
    if not following:
        return len(free)
    named = [position for position in range(first + 1, len(free)) if names[free[position]] == following[0]]
    if len(named) == 1:
        return named[0]
    for exact in (0, 1):  # by name, then by operator
        for position in range(first + 1, len(free)):
            ends = _matches(last, free[position - 1], names, tokens)[exact]
            if ends and _matches(following[0], free[position], names, tokens)[exact]:
                return position
    return len(free)


def _matches(wanted: str, place: int, names: Sequence[str], tokens: Sequence[Token]) -> tuple[bool, bool]:
    """Whether the kernel has exactly the name, and whether it is the same operator."""
    base = base_operator(None, wanted)
    return names[place] == wanted, base in (base_operator(None, names[place]), base_operator(tokens[place][0], None))


def _find(
    wanted: str, free: Sequence[int], places: Iterable[int], names: Sequence[str], tokens: Sequence[Token]
) -> int | None:
    """The first of the places whose kernel has the name, else the first with the same operator."""
    judged = [(place, *_matches(wanted, free[place], names, tokens)) for place in places]
    exact = (place for place, same, _alike in judged if same)
    return next(exact, next((place for place, _same, alike in judged if alike), None))


def _names(kernels: pd.DataFrame) -> list[str]:
    return list(kernels["name"].astype("object").fillna("").astype(str))


def intervals(kernels: pd.DataFrame, children: Sequence[int]) -> int:
    """From the first child's start to the last child's end, ns."""
    start, end = (edge[list(children)] for edge in start_and_end(kernels))
    return int(end.max() - start.min())
