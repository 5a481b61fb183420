"""Model cards: the sizes and the kinds of kernels that the blocks of written captures are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sample_builder.operation import Shape


@dataclass(frozen=True)
class Card:
    """Sizes of a model per rank where tensor parallelism splits them, and which kernels its blocks are made of.

    `quant` is how projections are stored: dynamic, static, mx, w4, w4a8; `dequant` puts a kernel behind them. `bias` is
    added inside a projection, `bias_add` by a kernel behind it. `cut` says how q, k and v come apart: by one `kernel`
    that also normalises and rotates, by `slices`, by slices with that of v behind the rotation (`late`), by a `split`,
    or by `separate` projections. The feed-forward's `form` is `gated`, `plain`, or gated by loose kernels: `sliced`,
    `swish`, `swish-between`, `sigmoid`. `runner` is whether the small kernels round a step are there.
    """

    hidden: int
    heads: int
    kv: int
    dim: int
    inter: int
    vocab: int
    layers: int = 6
    rows: int = 24
    sequences: int = 0
    tp: int = 1
    quant: str = ""
    dequant: bool = False
    bias: bool = False
    bias_add: bool = False
    norm_op: str = "RmsNorm"
    add_norm_op: str = "AddRmsNormBias"
    cut: str = "kernel"
    qk_norm: bool = False
    rope: str = "_triton_rope"
    positions: int = 32768
    cache_op: str = "ReshapeAndCacheNdKernel"
    core_op: str = "FusedInferAttentionScore"
    form: str = "gated"
    act: str = "SwiGlu"
    experts: int = 128
    top_k: int = 8
    expert_inter: int = 768
    local: int = 16
    runner: bool = True

    @property
    def wide(self) -> Shape:
        """The residual stream."""
        return (self.rows, self.hidden)

    @property
    def q_width(self) -> int:
        """Width of the queries on this rank."""
        return self.heads // self.tp * self.dim

    @property
    def kv_width(self) -> int:
        """Width of the keys on this rank."""
        return max(1, self.kv // self.tp) * self.dim

    @property
    def qkv_width(self) -> int:
        """Width of queries, keys and values together."""
        return self.q_width + 2 * self.kv_width

    @property
    def query(self) -> Shape:
        """Queries by heads."""
        return (self.rows, self.q_width // self.dim, self.dim)

    @property
    def key(self) -> Shape:
        """Keys by heads."""
        return (self.rows, self.kv_width // self.dim, self.dim)

    @property
    def copies(self) -> int:
        """Rows after each was copied for the experts that it visits."""
        return self.rows * self.top_k

    @property
    def routed(self) -> Shape:
        """The residual stream, a row for each visit of an expert."""
        return (self.copies, self.hidden)

    @property
    def picks(self) -> Shape:
        """The experts chosen for each row."""
        return (self.rows, self.top_k)

    def but(self, **changes: Any) -> Card:
        """The same model with some figures changed."""
        return replace(self, **changes)

    def at(self, rows: int, sequences: int = 0) -> Card:
        """The same model on another batch."""
        return replace(self, rows=rows, sequences=sequences)
