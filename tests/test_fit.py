"""Captures outside the grammar of a decoder are declined with the reason, whatever their layers look like."""

from __future__ import annotations

from dataclasses import replace

import pytest
from label_variants import build_variant
from small_tables import capture_of

from skadvisor.analysis import analyze_capture
from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
H = 768
SUM = ("Add", f"8,196,{H};8,196,{H}", f"8,196,{H}")
NORM = ("LayerNormV3", f"8,196,{H};{H};{H}", f"8,196,{H}")


def product(rows: int, inner: int, outer: int) -> tuple[str, str, str]:
    return ("MatMulV2", f"{rows},{inner};{outer},{inner}", f"{rows},{outer}")


def mixer() -> list[tuple[str, str, str]]:
    """Tokens mixed by a feed-forward across them instead of attention."""
    tokens = [
        ("Transpose", f"8,196,{H}", f"8,{H},196"),
        product(8 * H, 196, 384),
        ("Gelu", f"{8 * H},384", f"{8 * H},384"),
    ]
    tokens += [product(8 * H, 384, 196), ("Transpose", f"8,{H},196", f"8,196,{H}")]
    channels = [product(1568, H, 3072), ("Gelu", "1568,3072", "1568,3072"), product(1568, 3072, H)]
    return [NORM, *tokens, SUM, NORM, *channels, SUM] * 12 + [product(8, H, 1000)]


def long_convolution() -> list[tuple[str, str, str]]:
    """Gated convolutions over the tokens before, of operators that any model has."""
    wide = f"4,{H}"
    filters = [
        ("Roll", f"{wide},64", f"{wide},64"),
        ("Mul", f"{wide},64;{H},64", f"{wide},64"),
        ("ReduceSum", f"{wide},64", wide),
    ]
    gates = ("Mul", f"{wide};{wide}", wide)
    norm, total = ("LayerNormV3", f"{wide};{H};{H}", wide), ("Add", f"{wide};{wide}", wide)
    mixing = [
        product(4, H, 3 * H),
        ("SplitVD", f"4,{3 * H}", ";".join([wide] * 3)),
        gates,
        *filters,
        gates,
        product(4, H, H),
    ]
    channels = [product(4, H, 4 * H), ("Gelu", f"4,{4 * H}", f"4,{4 * H}"), product(4, 4 * H, H)]
    step = [norm, *mixing, total, norm, *channels, total] * 12
    return [("GatherV2", f"50000,{H};4;1", wide), *step, norm, product(4, H, 50000), ("ArgMaxV2", "4,50000", "4")]


def graph_network() -> list[tuple[str, str, str]]:
    """Rows gathered along edges and summed up at their ends."""
    rows, edges = "20000,256", "80000,256"
    layer = [product(20000, 256, 256), ("GatherV2", f"{rows};80000", edges), ("Mul", f"{edges};80000,1", edges)]
    layer += [
        ("InplaceIndexAdd", f"{rows};80000;{edges}", rows),
        ("LayerNormV3", f"{rows};256;256", rows),
        ("Relu", rows, rows),
    ]
    return [*layer * 6, product(20000, 256, 40), ("LogSoftmaxV2", "20000,40", "20000,40")]


@pytest.mark.parametrize("network", [mixer, long_convolution, graph_network])
def test_other_networks_are_declined_with_the_reason(network) -> None:
    analysis = analyze_capture(capture_of(network() * 4))
    assert analysis.result.recommendation.choice == "none"
    assert "no transformer" in str(analysis.result.recommendation.reason)
    assert analysis.result.layers.count == 0
    kernels = analysis.kernels
    assert set(kernels["region"]) <= {"unattributed", "norm", "sampling", "other"}
    time = kernels.groupby("region", observed=True)["dur_ns"].sum()
    assert time["unattributed"] > 0.6 * time.sum()
    assert (kernels.loc[kernels["region"] == "unattributed", "confidence"] == 0).all()
    assert set(analysis.steps["phase"]) == {"unknown"}


@pytest.mark.parametrize(
    ("architecture", "variant"),
    [
        ("qwen3-8b-ge", "all_renamed"),
        ("deepseek-v4-flash", "plain"),
        ("qwen2.5-7b-level0", "plain"),
        ("qwen3-next-acl", "dropped"),
    ],
)
def test_decoders_stay_within_the_grammar(architecture: str, variant: str) -> None:
    assert label(build_variant(architecture, variant).capture, VOCABULARY).outside_grammar is None


def test_an_unknown_operator_may_be_the_one_that_attends() -> None:
    rows = [("TokenWarp", *rest) if op_type == "Roll" else (op_type, *rest) for op_type, *rest in long_convolution()]
    capture = capture_of(rows * 4)
    assert label(capture, VOCABULARY).outside_grammar is None
    named = capture.kernels["op_type"].cat.rename_categories({"TokenWarp": "Roll"})
    assert (
        label(replace(capture, kernels=capture.kernels.assign(op_type=named)), VOCABULARY).outside_grammar is not None
    )
