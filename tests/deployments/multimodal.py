"""Towers of other modalities before a text decoder."""

from __future__ import annotations

from collections.abc import Callable

from sample_builder.blocks import AIC
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder
from sample_builder.runs import DENSE_LAYERS, embed, head, prepare

from deployments.dense import LLAMA


def multimodal(tower: Callable[[Recorder], None], prompt: int, scattered: int = 0, decoded: int = 3) -> BuiltCapture:
    """A tower of another modality runs once before the prompt; then tokens are decoded without it."""
    r = Recorder(mode="eager", gap_us=12.0)
    for step, (phase, rows) in enumerate([("prefill", prompt), *[("decode", 1)] * decoded]):
        c = LLAMA.at(rows, 1)
        r.step, r.phase = step, phase
        if step == 0:
            r.outside()
            tower(r)
        prepare(r, c)
        embed(r, c)
        if step == 0 and scattered:
            r.put("MaskedScatter", "embedding", [c.wide, c.wide, (scattered, c.hidden)], us=12.0)
        DENSE_LAYERS(r, c)
        head(r, c, 1)
        r.pause(320.0)
    return r.finish()


def vision(r: Recorder) -> None:
    """A vision transformer of 6 layers on 2304 patches, merged by four; all of it is `other`."""
    rows, width, inter, heads = 2304, 1280, 5120, 16
    wide, merged = (rows, width), (rows // 4, 4 * width)
    r.put("Conv3DV2", "other", [(rows, 3, 2, 14, 14), (width, 3, 2, 14, 14)], (rows, width, 1, 1, 1), 60.0)
    for _layer in range(6):
        other_norm(r, wide, 8.0)
        r.mm("other", rows, width, 3 * width)
        r.put("RotaryMul", "other", [(1, rows, heads, 80), (1, rows, 1, 80)], us=9.0)
        r.put("FlashAttentionScore", "other", [(rows, heads, 80)] * 3, us=80.0, core=AIC)
        r.mm("other", rows, width, width)
        r.each("Add", "other", wide, 6.0)
        other_norm(r, wide, 8.0)
        r.mm("other", rows, width, inter)
        r.put("Gelu", "other", (rows, inter), us=9.0)
        r.mm("other", rows, inter, width)
        r.each("Add", "other", wide, 6.0)
    r.put("LayerNormV4", "other", [merged, merged[1:]], us=8.0)
    r.mm("other", *merged, 4 * width)
    r.put("Gelu", "other", merged, us=9.0)
    r.mm("other", *merged, 4096)


def other_norm(r: Recorder, wide: Shape, us: float) -> None:
    one = (*wide[:-1], 1)
    r.put("LayerNormV4", "other", [wide, wide[-1:], wide[-1:]], [wide, one, one], us)


def hearing(r: Recorder) -> None:
    """An audio encoder: two convolutions, layers of its own width."""
    rows, width = 1500, 1280
    wide, mid = (1, rows, width), (1, rows, 4 * width)
    for _convolution in range(2):
        r.put("Conv2D", "other", [(1, 128, 1, 2 * rows), (width, 128, 1, 3)], (1, width, 1, rows), 40.0)
        r.put("Gelu", "other", (1, width, rows), us=6.0)
    r.put("Add", "other", [wide, (rows, width)], us=4.0)
    for _layer in range(5):
        other_norm(r, wide, 6.0)
        for _part in range(3):
            r.put("MatMulV3", "other", [wide, (width, width), (width,)], us=30.0)
        r.put("PromptFlashAttention", "other", [wide, wide, wide], us=60.0, core=AIC)
        r.put("MatMulV3", "other", [wide, (width, width), (width,)], us=30.0)
        r.each("Add", "other", wide, 4.0)
        other_norm(r, wide, 6.0)
        r.put("MatMulV3", "other", [wide, (4 * width, width)], mid, 60.0)
        r.put("Gelu", "other", mid, us=6.0)
        r.put("MatMulV3", "other", [mid, (width, 4 * width)], wide, 60.0)
        r.each("Add", "other", wide, 4.0)
    other_norm(r, wide, 6.0)
    r.put("MatMulV3", "other", [wide, (4096, width)], (1, rows, 4096), 50.0)


#: name -> how it is made.
MULTIMODAL: dict[str, Callable[[], BuiltCapture]] = {
    "pictures": lambda: multimodal(vision, 640, scattered=576),
    "sound": lambda: multimodal(hearing, 200, decoded=2),
}
