"""Layers without attention over keys: time mixing by a state of fixed size, told by work on heads between norms."""

from __future__ import annotations

import pytest
from small_tables import capture_of

from skadvisor.labelling.labels import label
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()
WIDTH, LAYERS = 1024, 6
WIDE = f"4,{WIDTH}"
HEADS = f"4,{WIDTH // 64},64"


def mix(count: int) -> list[tuple[str, str, str]]:
    """The step before, mixed into this one by weights of their own for each use."""
    return [("Sub", f"{WIDE};{WIDE}", WIDE)] + [("Addcmul", f"{WIDE};{WIDE};{WIDTH}", WIDE)] * count


def project(inner: int, outer: int) -> tuple[str, str, str]:
    return ("MatMulV2", f"4,{inner};{outer},{inner}", f"4,{outer}")


def time_mixing(kernel: str) -> list[tuple[str, str, str]]:
    """RWKV-7's: receptance, key and value, four low-rank gates, the state's update, a norm per head, the way back."""
    low_rank = [
        row
        for rank in (64, 32, 96)
        for row in (project(WIDTH, rank), project(rank, WIDTH), ("Add", f"{WIDE};{WIDTH}", WIDE))
    ]
    return [
        *mix(6),
        *[project(WIDTH, WIDTH)] * 3,
        *low_rank,
        ("Sigmoid", WIDE, WIDE),
        ("LpNormV2", HEADS, f"4,{WIDTH // 64},1"),
        ("RealDiv", f"{HEADS};4,{WIDTH // 64},1", HEADS),
        (kernel, f"4,{WIDTH // 64},64,64" + f";{HEADS}" * 6, f"{HEADS};4,{WIDTH // 64},64,64"),
        ("GroupNorm", f"{WIDE};{WIDTH};{WIDTH}", WIDE),
        ("Mul", f"{WIDE};{WIDE}", WIDE),
        project(WIDTH, WIDTH),
    ]


NORM = ("LayerNormV3", f"{WIDE};{WIDTH};{WIDTH}", f"{WIDE};4,1;4,1")
SUM = ("Add", f"{WIDE};{WIDE}", WIDE)
CHANNELS = [*mix(1), project(WIDTH, 4 * WIDTH), ("Relu", f"4,{4 * WIDTH}", f"4,{4 * WIDTH}"), project(4 * WIDTH, WIDTH)]
TAIL = [NORM, project(WIDTH, 65536), ("ArgMaxV2", "4,65536", "4")]


@pytest.mark.parametrize("kernel", ["Rwkv7StateUpdate", "wkv6_forward_kernel", "zxkernel"])
def test_time_mixing_is_attention_and_channel_mixing_the_feed_forward(kernel: str) -> None:
    layer = [(NORM, "norm"), *((row, "attention") for row in time_mixing(kernel)), (SUM, "norm")]
    layer += [(NORM, "norm"), *((row, "mlp") for row in CHANNELS), (SUM, "norm")]
    step = [(("GatherV2", f"65536,{WIDTH};4;1", WIDE), "embedding"), *layer * LAYERS]
    step += zip(TAIL, ("norm", "head", "sampling"), strict=True)
    found = label(capture_of([row for row, _region in step * 3]), VOCABULARY)
    assert found.steps["layers"].tolist() == [LAYERS] * 3
    assert found.kernels["region"].tolist() == [region for _row, region in step] * 3


def test_state_space_layers_without_feed_forward_are_counted() -> None:
    """Mamba-2: one sub-block per layer, with a projection in, a short convolution, the state's update and a norm."""
    inner, heads = 2 * WIDTH, 2 * WIDTH // 64
    mixer = [
        project(WIDTH, 2 * inner + 256 + heads),
        ("_causal_conv1d_update_kernel", "", ""),
        ("_selective_scan_update_kernel", "", ""),
        ("RmsNorm", f"4,{inner};{inner}", f"4,{inner};4,1"),
        project(inner, WIDTH),
    ]
    layer = [("AddRmsNorm", f"{WIDE};{WIDE};{WIDTH}", f"{WIDE};4,1;{WIDE}"), *mixer]
    step = [("GatherV2", f"65536,{WIDTH};4;1", WIDE), NORM, *mixer, *layer * (LAYERS - 1), *TAIL]
    found = label(capture_of(step * 3), VOCABULARY)
    assert found.steps["layers"].tolist() == [LAYERS] * 3
    assert found.kernels["region"].tolist().count("attention") == 3 * LAYERS * len(mixer)
