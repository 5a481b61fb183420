"""What the host says about a kernel: the module or scope that launched it, or the scope path in its own name.

A module's class (`Qwen2MLP_3`), a scope of record_function (`layers.3.self_attn`) and the path in a graph node's name
(`Default/network-Net/layers-CellList/3-Layer/attention-Attention/MatMul-op17`) name a sub-block in words. The
innermost word counts. Names of whole models and layers, and launches of whole graphs, say nothing about a sub-block.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skadvisor.labelling.levels import SETTLED, STRONG
from skadvisor.labelling.mode import MOST_PER_LAUNCH, kernels_per_launch
from skadvisor.text.messages import Message, _
from skadvisor.vocabulary.arrays import Flags, Floats, Ints
from skadvisor.vocabulary.states import (
    ATTENTION_STATES,
    MOE_STATES,
    REGION_OF_STATE,
    STATE_REGIONS,
    STATES,
    State,
    by_region,
)
from skadvisor.vocabulary.word_lists import WORD_LISTS

S = State

#: A kernel elsewhere than where the host puts it costs this much (natural log): more than shapes and order weigh.
WEIGHT = SETTLED
#: A norm's module stands between sub-blocks rather than inside attention, an MLP's is no shared expert, unless the
#: kernels themselves say otherwise.
LESS_LIKELY = STRONG
#: The structural answer counts as contradicted from this probability on.
SURE = 0.9
MOST_MESSAGES = 10
#: Stray kernels of a neighbouring layer are no other count.
OTHER_LAYER_SHARE = 0.02

#: (what a word looks like, the regions in which such a module's kernels can be). The first match counts.
_WORDS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(entry["pattern"]), tuple(entry["regions"])) for entry in WORD_LISTS["module"]
)
#: A family's name before what the module is: `Qwen3MoeAttention` is an attention.
_FAMILY = re.compile(r"moe(?=(attention|mlp|rmsnorm|layernorm|decoderlayer|model|forcausallm|rotary))")
_WHOLE = re.compile(
    r"(forcausallm|decoderlayer|decoder_layer|encoderlayer|model|_?step|execute|forward_pass|graph|block)$"
)
_LAYER = re.compile(
    r"(?:layers?|blocks?|h)[._/-](\d+)(?:\D|$)|(?:DecoderLayer|Block|attention_layer|moe_layer)_(\d+)$"
    r"|(?:^|/)(\d+)-\w*Layer"
)
_COUNTER = re.compile(r"(_|-op)?\d+$")


#: A word that fits both: which state is meant rather than which others.
_RATHER = (
    (S.POST_NORM, np.array(ATTENTION_STATES, dtype=np.intp)),
    (S.MLP_UP, np.array(MOE_STATES, dtype=np.intp)),
)


@dataclass(frozen=True, eq=False)
class HostHints:
    """What the host says of each kernel: `text` (N,) is what it was read from (None where it says nothing).

    `allowed` (texts, STATES) marks the states that agree with each text of `names`, `code` (N,) is the text of each
    kernel or -1, `layer` (N,) the number of the layer that the host was in or -1.
    """

    names: tuple[str, ...]
    allowed: Flags
    code: Ints
    layer: Ints

    def scores(self, rows: Ints) -> Floats:
        """Log scores of kernels, (len(rows), STATES): 0 where the host agrees or says nothing."""
        scores = np.where(self.allowed, 0.0, -WEIGHT)
        for likely, other in _RATHER:
            either = self.allowed[:, likely] & self.allowed[:, other[0]]
            scores[np.ix_(either, other)] -= LESS_LIKELY
        return np.vstack([scores, np.zeros((1, STATES))])[self.code[rows]]

    def agrees(self, state: NDArray[np.int8]) -> Flags:
        """Whether the host says something of a kernel and its state fits, (N,)."""
        allowed = np.vstack([self.allowed, np.zeros((1, STATES), dtype=bool)])
        return np.where(state >= 0, allowed[self.code, np.maximum(state, 0)], False)


def regions_of(text: str) -> tuple[str, ...]:
    """The regions that a module, scope or path names, innermost word first; empty where it names none.

    >>> regions_of("Qwen2DecoderLayer_3"), regions_of("model.layers.3.mlp.down_proj"), regions_of("Qwen3MoeAttention_2")
    ((), ('mlp', 'moe'), ('attention',))
    """
    parts = [part for part in re.split(r"[/.]", text) if part]
    unclear: tuple[str, ...] = ()
    for part in reversed(parts):
        found = _regions_of_part(part)
        if unclear and found:
            return tuple(region for region in unclear if region in found) or unclear[:1]
        if len(found) > 1 and len(parts) > 1:
            unclear = found
        elif found:
            return found
    return unclear


@lru_cache(maxsize=65536)
def _regions_of_part(part: str) -> tuple[str, ...]:
    bare = _FAMILY.sub("", _COUNTER.sub("", part).lower())
    if _WHOLE.search(bare) and not re.search(r"moe_?block", bare):
        return ()
    return next((regions for pattern, regions in _WORDS if pattern.search(bare)), ())


def layer_of(text: str) -> int:
    """The number of the decoder layer that a text names, -1 where it names none."""
    found = _LAYER.search(text)
    return int(next(group for group in found.groups() if group)) if found else -1


def host_hints(kernels: pd.DataFrame) -> HostHints | None:
    """Read module, scope and name path of every kernel; None where they say nothing of any."""
    code = np.full(len(kernels), -1, dtype=np.int64)
    layer = np.full(len(kernels), -1, dtype=np.int64)
    names: list[str] = []
    launched = kernels_per_launch(kernels) <= MOST_PER_LAUNCH  # what a whole graph ran in is not what each works for
    for column in ("module", "range", "name"):
        texts = [str(text) for text in kernels[column].cat.categories.tolist()]
        said = [_path_of_name(text) for text in texts] if column == "name" else texts
        # many names have one path, most have none
        numbers = {path: place for place, path in enumerate(dict.fromkeys(said))}
        speaking = [path for path in numbers if regions_of(path)]
        own, layers = np.full(len(numbers) + 1, -1), np.array([*map(layer_of, numbers), -1])
        own[[numbers[path] for path in speaking]] = np.arange(len(names), len(names) + len(speaking))
        names += speaking
        of_row = np.array([*(numbers[path] for path in said), -1])[kernels[column].cat.codes.to_numpy()]
        own, layers = own[of_row], layers[of_row]
        counts = launched if column != "name" else np.ones(len(kernels), dtype=bool)
        code = np.where((code < 0) & counts, own, code)
        layer = np.where((layer < 0) & counts, layers, layer)
    code[(kernels["kind"] != "kernel").to_numpy()] = -1
    if (code < 0).all() and (layer < 0).all():
        return None
    allowed = np.array([_states_in(regions_of(text)) for text in names], dtype=np.bool_).reshape(-1, STATES)
    return HostHints(tuple(names), allowed, code, layer)


def _path_of_name(name: str) -> str:
    """The scope path in front of a node's operator; empty for names without one."""
    parts = name.split("/")
    return "/".join(parts[:-1]) if len(parts) >= 3 else ""


@lru_cache(maxsize=64)
def _states_in(regions: tuple[str, ...]) -> Flags:
    return np.array([REGION_OF_STATE[state] in regions for state in State], dtype=bool)


def layer_disagreements(
    hints: HostHints, step: NDArray[np.int32], layer: NDArray[np.int32], state: NDArray[np.int8]
) -> tuple[Message, ...]:
    """Steps in which the host counts the decoder layers otherwise than their repetition does.

    A capture may begin behind the first layer, so only the distance of the two counts has to stay the same. Norms are
    left out: a layer's own code launches the norm that closes the layer before it.
    """
    inside = [one for one in State if REGION_OF_STATE[one] in ("attention", "mlp", "moe")]
    known = (hints.layer >= 0) & (layer >= 0) & (step >= 0) & np.isin(state, inside)
    found = []
    for number in np.unique(step[known]).tolist():
        distance = (hints.layer - layer)[known & (step == number)]
        usual = Counter(distance.tolist()).most_common(1)[0][0]
        share = float((distance != usual).mean())
        if share > OTHER_LAYER_SHARE:
            text = _(
                "step {step}: the host puts {share:.0%} of the kernels into other layers than their repetition does"
            )
            found.append(Message(text, step=number, share=share))
    return tuple(found[:MOST_MESSAGES])


def disagreements(hints: HostHints, structural: Floats, state: NDArray[np.int8]) -> tuple[Message, ...]:
    """Where the order of kernels alone was sure of another region than the host names, by module or scope.

    `structural` (N, STATES) are the probabilities without the host, `state` (N,) the states decided with it.
    """
    of_region = by_region(structural)
    best = of_region.argmax(axis=1)
    allowed = by_region(hints.allowed) > 0
    rows = np.flatnonzero((hints.code >= 0) & (of_region.max(axis=1) >= SURE))
    rows = rows[~allowed[hints.code[rows], best[rows]]]
    said = zip(hints.code[rows].tolist(), best[rows].tolist(), hints.agrees(state)[rows].tolist(), strict=True)
    counted = Counter((_COUNTER.sub("", hints.names[code]), STATE_REGIONS[region], host) for code, region, host in said)
    followed = _("{count} kernels of {scope}: their order says {region}; the host is followed")
    kept = _("{count} kernels of {scope}: they work for {region} all the same")
    return tuple(
        Message(followed if host else kept, count=count, scope=scope, region=region)
        for (scope, region, host), count in counted.most_common(MOST_MESSAGES)
    )
