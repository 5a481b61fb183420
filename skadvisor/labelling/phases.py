"""Phase and steadiness of each step.

Decode passes one token (or a few speculated ones) per sequence through the layers, prefill whole prompts. What says
so, in order of weight: the range that the host ran it in, which attention kernel runs, the shapes of its inputs, how
many rows reach the head compared with how many pass through the layers, whether the step was replayed from a static
graph, and at last whether steps of two lengths differ.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling.class_table import Classes
from skadvisor.labelling.host_steps import Announced
from skadvisor.labelling.kernel_class import KernelClass
from skadvisor.labelling.mode import graph_kernels, graph_share
from skadvisor.labelling.steps import Ends, Step
from skadvisor.labelling.structure import Structure
from skadvisor.records import Phase, PhaseEvidence
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.arrays import Floats, Ints
from skadvisor.vocabulary.states import ATTENTION_STATES, State

S = State
#: More new tokens per sequence than this is no speculation any more.
MOST_SPECULATED = 8
#: A step this many times slower than its phase's median is not typical.
SLOW_STEP = 1.5
#: Without shapes, steps whose layers' times agree within this fraction repeat the same work ...
SAME_LENGTH = 0.15
#: ... and one that takes this many times as long does another work.
LONGER_STEP = 1.4
_BLOCK_TABLE_SLOT = 14  # of FusedInferAttentionScore, by its operator description
#: With this share of known operators, a cache that is written would have been seen.
MOSTLY_NAMED = 0.99


@dataclass(frozen=True)
class StepFacts:
    """What one step's kernels say: rows through the layers, rows at the head, sequences, phase of its attention.

    `predicts` says whether there is a head or sampling, `generates` whether names or sizes prove that something is kept
    for later tokens or a token is chosen; `named` is the share of kernels whose operator is known.
    """

    tokens: int | None
    head_rows: int | None
    sequences: int | None
    attention: frozenset[str]
    writes_cache: bool
    graph_share: float
    predicts: bool = True
    generates: bool = True
    named: float = 0.0
    announced: Announced | None = None


@dataclass(frozen=True)
class StepPhase:
    """The phase of a step and how it is known."""

    phase: Phase
    evidence: PhaseEvidence


UNKNOWN = StepPhase("unknown", "none")


def gather_facts(
    kernels: pd.DataFrame, structure: Structure, steps: list[Step], announced: list[Announced | None]
) -> list[StepFacts]:
    """The facts of every step; `announced` says of each what the host did. Steps of the same kernels share them."""
    graph = graph_kernels(kernels)
    known: dict[tuple[bytes, ...], StepFacts] = {}
    found = []
    for step, said in zip(steps, announced, strict=True):
        rows = structure.main[step.begin : step.end]
        of_rows = structure.classes.of_kernel[rows], structure.state[rows], graph[rows]
        key = tuple(column.tobytes() for column in of_rows)
        if key not in known:
            known[key] = _facts(structure.classes, *of_rows)
        found.append(replace(known[key], announced=said))
    return found


def _facts(classes: Classes, of_rows: Ints, state: NDArray[np.int8], graph: Floats) -> StepFacts:
    cores = [classes.items[number] for number in of_rows[state == S.ATTENTION_CORE]]
    roles = classes.roles_of(of_rows)
    named = [item for item in cores if item.role == "attention_core"]
    in_layers = np.isin(state, [*ATTENTION_STATES, S.POST_NORM, S.MLP_UP, S.MLP_DOWN, S.EXPERTS])
    return StepFacts(
        tokens=_layer_rows(classes, of_rows, state),
        head_rows=_head_rows(classes, of_rows, state),
        sequences=_most_common([count for item in named or cores if (count := _sequences(item)) is not None]),
        attention=frozenset(kind for item in named if (kind := _core_phase(item))),
        writes_cache=bool(np.isin(roles, ["kv_cache"]).any()) or any("paged" in item.properties for item in cores),
        graph_share=share if not np.isnan(share := graph_share(graph[in_layers])) else graph_share(graph),
        predicts=bool(np.isin(state, [S.HEAD, S.SAMPLING]).any()),
        generates=_generates(classes, of_rows, state),
        named=float((roles != "unknown").mean()) if len(roles) else 0.0,
    )


def _generates(classes: Classes, of_rows: Ints, state: NDArray[np.int8]) -> bool:
    """Whether a kernel keeps keys, values or a state for later tokens, makes a vocabulary's logits or chooses a token.

    Also where no attention core was recorded: then what it reads is not known.
    """
    cores = classes.roles_of(of_rows[state == S.ATTENTION_CORE])
    if not np.isin(cores, ["attention_core", "softmax"]).any():
        return True
    if any(_keeps(classes.items[number]) for number in np.unique(of_rows)):
        return True
    if np.isin(classes.roles_of(of_rows[state == S.SAMPLING]), ["sampling"]).any():
        return True
    heads = [classes.items[number].matmul for number in np.unique(of_rows[state == S.HEAD])]
    return any(dims is not None and dims.outer == classes.vocabulary for dims in heads)


def _keeps(item: KernelClass) -> bool:
    if item.role in ("kv_cache", "indexer"):
        return True
    if item.role not in ("attention_core", "qkv_proj"):
        return False
    if item.base.startswith("fusedinferattentionscore") and item.inputs:
        return _sequences(item) is not None
    return "keeps_state" in item.properties


def _layer_rows(classes: Classes, of_rows: Ints, state: NDArray[np.int8]) -> int | None:
    """Rows of the projections and norms that read the residual stream inside layers."""
    inside = np.isin(state, [S.ATTENTION_IN, S.POST_NORM, S.MLP_UP])
    counted: list[int] = []
    for number in of_rows[inside]:
        item = classes.items[number]
        if item.matmul and item.matmul.inner == classes.hidden:
            counted.append(item.matmul.rows)
        elif item.role in ("norm", "residual_norm") and item.last == classes.hidden and item.inputs and item.inputs[0]:
            counted.append(int(np.prod(item.inputs[0][:-1])))
    return _most_common(counted)


def _head_rows(classes: Classes, of_rows: Ints, state: NDArray[np.int8]) -> int | None:
    """Rows that tokens are predicted from: of the head's projection, or of the scores that sampling reads."""
    heads = [classes.items[number].matmul for number in of_rows[state == S.HEAD]]
    rows = [dims.rows for dims in heads if dims and dims.outer == classes.vocabulary]
    if not rows and classes.vocabulary:
        sampled = [classes.items[number] for number in of_rows[np.isin(state, [S.HEAD, S.SAMPLING])]]
        shapes = [item.inputs[0] for item in sampled if item.inputs]
        # one number per word of the vocabulary for each row
        rows = [int(np.prod(shape[:-1])) for shape in shapes if shape and shape[-1] == classes.vocabulary]
    return rows[0] if rows else None


def _most_common(values: list[int]) -> int | None:
    return Counter(values).most_common(1)[0][0] if values else None


def _sequences(item: KernelClass) -> int | None:
    """Sequences that an attention kernel serves: rows of its block table, where it has one."""
    if item.base.startswith("fusedinferattentionscore") or not item.known:
        table = item.inputs[_BLOCK_TABLE_SLOT] if len(item.inputs) > _BLOCK_TABLE_SLOT else None
        if table and len(table) == 2:
            return table[0]
    return None


def _core_phase(item: KernelClass) -> str:
    """`decode`, `prefill` or nothing, from an attention kernel's name and shapes."""
    base = item.base
    if "decodes" in item.properties and "prefills_as_well" not in item.properties:
        return "decode"
    if "prefills" in item.properties:
        return "prefill"
    query = item.inputs[0] if item.inputs else None
    keys = item.inputs[1] if len(item.inputs) > 1 else None
    if query and keys and base.startswith("fusedinferattentionscore") and _sequences(item) is None:
        if len(query) == len(keys) == 3 and (query[0], query[2]) == (keys[0], keys[2]) and query[0] > 1:
            return "prefill"
        if len(query) == len(keys) == 4:
            # one position per sequence is decode; whether it stands second or third (BSND or BNSD) is not written
            return "decode" if 1 in query[1:3] else ""
    if base.startswith("flashattention") and query and int(np.prod(query[:-2] or (1,))) > 1:
        return "prefill"
    return ""


def find_phases(facts: list[StepFacts], busy_ns: Ints, training: bool) -> list[StepPhase]:
    """The phase of every step; `busy_ns` (steps,) is the time of the kernels in each one's layers."""
    if training:
        return [StepPhase("training", "training")] * len(facts)
    found = [_phase_of(fact) for fact in facts]
    if not any(fact.generates or fact.named < MOSTLY_NAMED for fact in facts):
        # an encoder: every operator is known, and none keeps or chooses anything
        found = [UNKNOWN] * len(facts)
    elif not any(fact.predicts or fact.writes_cache for fact in facts):
        # nothing is kept for later tokens and no token is predicted: an encoder reads whole inputs, it prefills nothing
        found = [UNKNOWN if one.phase == "prefill" else one for one in found]
    elif UNKNOWN in found and all(fact.tokens is None for fact in facts):
        found = _by_length(found, busy_ns)
    return [
        one if fact.announced is None else StepPhase(fact.announced.phase, "host")
        for one, fact in zip(found, facts, strict=True)
    ]


def _by_length(found: list[StepPhase], busy_ns: Ints) -> list[StepPhase]:
    """Without shapes: where steps of two kinds differ, the shorter ones that repeat are decode, the longer prefill.

    Steps of one length are no witness: a capture of nothing but prompts looks the same.
    """
    usual = float(np.median(np.sort(busy_ns)[: max(2, len(busy_ns) // 2 + 1)]))
    like_usual = np.abs(busy_ns - usual) <= SAME_LENGTH * usual
    longer = busy_ns > LONGER_STEP * usual
    if like_usual.sum() < 2 or not longer.any():
        return found
    return [
        one
        if one != UNKNOWN
        else StepPhase("decode", "length")
        if same
        else StepPhase("prefill", "length")
        if long
        else UNKNOWN
        for one, same, long in zip(found, like_usual, longer, strict=True)
    ]


def _phase_of(facts: StepFacts) -> StepPhase:
    if {"decode", "prefill"} <= facts.attention:
        return StepPhase("mixed", "attention")
    if facts.tokens and facts.sequences:
        return StepPhase(_by_sequences(facts), "tokens")
    if facts.attention:
        return StepPhase(cast(Phase, next(iter(facts.attention))), "attention")
    if facts.tokens and facts.head_rows:
        if facts.tokens > MOST_SPECULATED * facts.head_rows:
            return StepPhase("prefill", "tokens")
        return StepPhase("decode", "tokens") if facts.writes_cache or facts.tokens <= 512 else UNKNOWN
    if facts.tokens and facts.tokens <= MOST_SPECULATED and facts.writes_cache:
        return StepPhase("decode", "tokens")
    return StepPhase("decode", "replay") if facts.graph_share > 0.5 else UNKNOWN


def _by_sequences(facts: StepFacts) -> Phase:
    """From tokens per sequence, where attention reads a paged cache.

    Fresh prompts attend to themselves without a block table, so many tokens over several cached sequences are
    prompts added to sequences that decode. Fewer rows than sequences are one rank's part of a decoding batch.
    """
    assert facts.tokens is not None and facts.sequences is not None
    if facts.sequences % facts.tokens == 0:
        return "decode"
    if facts.tokens % facts.sequences == 0 and facts.tokens // facts.sequences <= MOST_SPECULATED:
        return "decode"
    return "mixed" if facts.sequences > 1 else "prefill"


def dummy_steps(facts: list[StepFacts]) -> list[Message | None]:
    """A note on each step that the host announced as a dummy pass, None for the others."""
    said = Message(_("dummy pass: the rank only kept step with the others"))
    return [said if fact.announced is not None and fact.announced.dummy else None for fact in facts]


def steady_steps(walls_ns: Ints, phases: list[str], layers: list[int], ends: Ends) -> list[Message | None]:
    """Why each step is not typical of its phase (cut off, too few layers, much slower), None where it is.

    What is usual is told by whole steps where there are any: of a cut one nobody knows how many layers it had.
    """
    notes: list[Message | None] = [None] * len(walls_ns)
    cut = ends.begins_cut | ends.ends_cut
    for phase in set(phases):
        members = [place for place, name in enumerate(phases) if name == phase]
        telling = [member for member in members if ends.whole[member]] or members
        counts = Counter(layers[member] for member in telling)
        usual = max(counts, key=lambda count: (counts[count], count))
        complete = [member for member in members if layers[member] == usual and not cut[member]]
        median = float(np.median(walls_ns[complete])) if complete else 0.0
        for member in members:
            if cut[member]:
                begins = ends.begins_cut[member]
                text = (
                    _("cut off by the beginning of the recording")
                    if begins
                    else _("cut off by the end of the recording")
                )
                notes[member] = Message(text)
            elif layers[member] != usual:
                notes[member] = Message(_("{found} layers instead of {usual}"), found=layers[member], usual=usual)
            elif len(complete) >= 3 and walls_ns[member] > SLOW_STEP * median:
                ratio = float(walls_ns[member]) / median
                text = _("warm-up: {ratio:.1f} times the median") if member == 0 else _("{ratio:.1f} times the median")
                notes[member] = Message(text, ratio=ratio)
    return notes
