"""Networks that are no transformer decoders, as rows of operators and shapes: what labelling has to decline.

Each is a list of (operator type, input shapes, output shapes) for one pass; passes repeat.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

Row = tuple[str, str, str]
WIDTH = 768


def product(rows: int, inner: int, outer: int) -> Row:
    """A projection."""
    return ("MatMulV2", f"{rows},{inner};{outer},{inner}", f"{rows},{outer}")


def each(operators: str, shape: str) -> list[Row]:
    """Element-wise kernels one after another."""
    return [
        (operator, f"{shape};{shape}" if operator in ("Add", "Mul", "Sub") else shape, shape)
        for operator in operators.split()
    ]


def norm(shape: str) -> Row:
    """A norm over rows."""
    width = shape.rsplit(",", 1)[-1]
    return ("LayerNormV3", f"{shape};{width};{width}", shape)


def mixer() -> list[Row]:
    """Tokens mixed by a feed-forward across them instead of attention."""
    wide = f"8,196,{WIDTH}"
    tokens = [("Transpose", wide, f"8,{WIDTH},196"), product(8 * WIDTH, 196, 384), *each("Gelu", f"{8 * WIDTH},384")]
    tokens += [product(8 * WIDTH, 384, 196), ("Transpose", f"8,{WIDTH},196", wide)]
    channels = [product(1568, WIDTH, 3072), *each("Gelu", "1568,3072"), product(1568, 3072, WIDTH)]
    return [norm(wide), *tokens, *each("Add", wide), norm(wide), *channels, *each("Add", wide)] * 12 + [
        product(8, WIDTH, 1000)
    ]


def long_convolution() -> list[Row]:
    """Gated convolutions over the tokens before, of operators that any model has."""
    wide = f"4,{WIDTH}"
    filters = [
        ("Roll", f"{wide},64", f"{wide},64"),
        ("Mul", f"{wide},64;{WIDTH},64", f"{wide},64"),
        ("ReduceSum", f"{wide},64", wide),
    ]
    split = ("SplitVD", f"4,{3 * WIDTH}", ";".join([wide] * 3))
    mixing = [
        product(4, WIDTH, 3 * WIDTH),
        split,
        *each("Mul", wide),
        *filters,
        *each("Mul", wide),
        product(4, WIDTH, WIDTH),
    ]
    channels = [product(4, WIDTH, 4 * WIDTH), *each("Gelu", f"4,{4 * WIDTH}"), product(4, 4 * WIDTH, WIDTH)]
    step = [norm(wide), *mixing, *each("Add", wide), norm(wide), *channels, *each("Add", wide)] * 12
    head = [norm(wide), product(4, WIDTH, 50000), ("ArgMaxV2", "4,50000", "4")]
    return [("GatherV2", f"50000,{WIDTH};4;1", wide), *step, *head]


def graph_network() -> list[Row]:
    """Rows gathered along edges and summed up at their ends."""
    rows, edges = "20000,256", "80000,256"
    layer = [product(20000, 256, 256), ("GatherV2", f"{rows};80000", edges), ("Mul", f"{edges};80000,1", edges)]
    layer += [("InplaceIndexAdd", f"{rows};80000;{edges}", rows), norm(rows), *each("Relu", rows)]
    return [*layer * 6, product(20000, 256, 40), ("LogSoftmaxV2", "20000,40", "20000,40")]


def recurrent() -> list[Row]:
    """A recurrent cell, over and over: two projections, three gates, a state."""
    wide, gates = "16,512", "16,2048"
    cell = [
        product(16, 512, 2048),
        product(16, 512, 2048),
        *each("Add", gates),
        ("SplitVD", gates, ";".join([wide] * 4)),
    ]
    cell += [*each("Sigmoid Sigmoid Sigmoid Tanh Mul Mul Add Tanh Mul", wide)]
    return [("GatherV2", "30000,512;16", wide), *cell * 40, product(16, 512, 30000), ("ArgMaxV2", "16,30000", "16")]


def recommender() -> list[Row]:
    """Lookups in many tables, their products, and a tower of projections."""
    lookups = [("GatherV2", f"{100_000 + 1_000 * table},64;2048", "2048,64") for table in range(26)]
    bottom = [
        product(2048, 13, 512),
        *each("Relu", "2048,512"),
        product(2048, 512, 256),
        *each("Relu", "2048,256"),
        product(2048, 256, 64),
    ]
    pairs = [
        ("ConcatD", ";".join(["2048,64"] * 27), "2048,27,64"),
        ("BatchMatMulV2", "2048,27,64;2048,27,64", "2048,27,27"),
    ]
    top = [
        product(2048, 415, 512),
        *each("Relu", "2048,512"),
        product(2048, 512, 256),
        *each("Relu", "2048,256"),
        product(2048, 256, 1),
        *each("Sigmoid", "2048,1"),
    ]
    return [*lookups, *bottom, *pairs, *top]


def residual_tower() -> list[Row]:
    """Feed-forwards with residual sums and norms, and nothing between tokens."""
    wide = "64,1024"
    block = [norm(wide), product(64, 1024, 4096), *each("Gelu", "64,4096"), product(64, 4096, 1024), *each("Add", wide)]
    return [*block * 16, norm(wide), product(64, 1024, 100)]


def dilated() -> list[Row]:
    """Dilated convolutions with gates, as matrix products."""
    wide = "4000,256"
    layer = [
        ("Pad", wide, "4064,256"),
        ("Im2col", "4064,256", "4000,512"),
        product(4000, 512, 512),
        *each("Tanh Sigmoid Mul", wide),
    ]
    layer += [product(4000, 256, 256), *each("Add", wide), product(4000, 256, 256), *each("Add", wide)]
    return [*layer * 20, *each("Relu", wide), product(4000, 256, 256)]


def fourier() -> list[Row]:
    """A neural operator: transform, weights per frequency, transform back."""
    wide = "32,64,64,64"
    layer = [
        ("Rfft2D", wide, "32,64,64,33"),
        ("BatchMatMulV2", "33,32,64;33,64,64", "33,32,64"),
        ("Irfft2D", "32,64,64,33", wide),
    ]
    layer += [product(131072, 64, 64), *each("Add Gelu", wide)]
    return [
        product(131072, 3, 64),
        *layer * 8,
        product(131072, 64, 128),
        *each("Gelu", "131072,128"),
        product(131072, 128, 1),
    ]


def autoencoder() -> list[Row]:
    """Projections that narrow and widen again."""
    widths = [4096, 2048, 1024, 512, 128, 32, 128, 512, 1024, 2048, 4096]
    found: list[Row] = []
    for inner, outer in itertools.pairwise(widths):
        found += [product(512, inner, outer), norm(f"512,{outer}"), *each("Relu", f"512,{outer}")]
    return found * 3


#: name -> the rows of one pass.
OTHER_NETWORKS: dict[str, Callable[[], list[Row]]] = {
    "mixer": mixer,
    "long convolution": long_convolution,
    "graph network": graph_network,
    "recurrent": recurrent,
    "recommender": recommender,
    "residual tower": residual_tower,
    "dilated convolutions": dilated,
    "neural operator": fourier,
    "autoencoder": autoencoder,
}
