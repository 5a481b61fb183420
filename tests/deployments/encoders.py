"""What is no decoder inference: encoders, diffusion, training with recomputation."""

from __future__ import annotations

from collections.abc import Callable

from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

A, MLP, NORM, OTHER = "attention", "mlp", "norm", "other"


def _layer_norm(r: Recorder, wide: Shape) -> None:
    width = wide[-1:]
    r.put("LayerNormV4", NORM, [wide, width, width], [wide, (*wide[:-1], 1), (*wide[:-1], 1)], 4.0)


def _self_attention(r: Recorder, wide: Shape, heads: int, core: str, separate: bool) -> None:
    rows, width = wide[0] * wide[1], wide[2]
    split = (wide[0], heads, wide[1], width // heads)
    if separate:
        for _part in range(3):
            r.mm(A, rows, width, width)
            r.put("Transpose", A, [(*wide[:2], heads, width // heads)], [split], 3.0)
    else:
        r.mm(A, rows, width, 3 * width)
        r.put("Transpose", A, [(*wide[:2], 3, heads, width // heads)], [(3, *split)], 5.0)
    if core:
        r.put(core, A, [split, split, split], [split], 40.0, "MIX_AIC")
    else:
        scores = (wide[0], heads, wide[1], wide[1])
        r.put("BatchMatMulV2", A, [split, split], [scores], 20.0)
        r.put("Muls", A, [scores], [scores], 5.0)
        r.put("Add", A, [scores, (wide[0], 1, 1, wide[1])], [scores], 5.0)
        r.put("SoftmaxV2", A, [scores], [scores], 8.0)
        r.put("BatchMatMulV2", A, [scores, split], [split], 20.0)
    r.put("Transpose", A, [split], [wide], 3.0)
    r.mm(A, rows, width, width)


def _feed(r: Recorder, wide: Shape, times: int = 4) -> None:
    rows, width = wide[0] * wide[1], wide[2]
    r.mm(MLP, rows, width, times * width)
    r.put("Gelu", MLP, [(rows, times * width)], [(rows, times * width)], 6.0)
    r.mm(MLP, rows, times * width, width)


def bert(core: str = "") -> BuiltCapture:
    """Norms behind the sums; embeddings of words, positions and segments; one pooled vector."""
    r = Recorder(mode="eager", gap_us=10.0, phase="unknown")
    wide: Shape = (8, 128, 768)
    for step in range(3):
        r.step = step
        r.layer = r.kind = None
        for table in (30522, 512, 2):
            r.put("GatherV2", "embedding", [(table, 768), (8, 128), (1,)], [wide], 5.0)
        r.put("Add", "embedding", [wide, wide], [wide], 3.0)
        _layer_norm(r, wide)
        for layer in range(6):
            r.layer, r.kind = layer, "dense"
            _self_attention(r, wide, 12, core, separate=True)
            r.put("Add", NORM, [wide, wide], [wide], 3.0)
            _layer_norm(r, wide)
            _feed(r, wide)
            r.put("Add", NORM, [wide, wide], [wide], 3.0)
            _layer_norm(r, wide)
        r.layer = r.kind = None
        r.put("Slice", "head", [wide], [(8, 768)], 2.0)
        r.mm("head", 8, 768, 768)
        r.put("Tanh", "head", [(8, 768)], [(8, 768)], 2.0)
        r.pause(300.0)
    return r.finish()


def embedder() -> BuiltCapture:
    """A decoder's layers used as an encoder: rotation, no cache, the last row of each text normalised."""
    r = Recorder(mode="eager", gap_us=10.0, phase="unknown")
    rows, width = 700, 1024
    wide: Shape = (rows, width)
    for step in range(3):
        r.step = step
        r.layer = r.kind = None
        r.put("GatherV2", "embedding", [(151669, width), (rows,), (1,)], [wide], 6.0)
        for layer in range(6):
            r.layer, r.kind = layer, "dense"
            r.put(
                "AddRmsNorm" if layer else "RmsNorm",
                NORM,
                [wide, wide, (width,)] if layer else [wide, (width,)],
                [wide, (rows, 1)],
                3.0,
            )
            r.mm(A, rows, width, 4096)
            r.put("RotaryMul", A, [(1, rows, 16, 128), (1, rows, 1, 128)], [(1, rows, 16, 128)], 5.0)
            r.put("FlashAttentionScore", A, [(rows, 16, 128)] * 3, [(rows, 16, 128)], 50.0, "MIX_AIC")
            r.mm(A, rows, 2048, width)
            r.put("AddRmsNorm", NORM, [wide, wide, (width,)], [wide, (rows, 1)], 3.0)
            r.mm(MLP, rows, width, 6144)
            r.put("SwiGlu", MLP, [(rows, 6144)], [(rows, 3072)], 4.0)
            r.mm(MLP, rows, 3072, width)
        r.put("AddRmsNorm", NORM, [wide, wide, (width,)], [wide, (rows, 1)], 3.0)
        r.layer = r.kind = None
        r.put("Index", "head", [wide, (1,), (2,), (5,)], [(5, width)], 3.0)
        r.put("ReduceSum", "head", [(5, width)], [(5, 1)], 2.0)
        r.put("RealDiv", "head", [(5, width), (5, 1)], [(5, width)], 2.0)
        r.pause(300.0)
    return r.finish()


def image_encoder() -> BuiltCapture:
    r = Recorder(mode="graph", phase="unknown")
    wide: Shape = (16, 197, 768)
    for step in range(3):
        r.step = step
        r.layer = r.kind = None
        r.put("Conv2D", OTHER, [(16, 3, 224, 224), (768, 3, 16, 16)], [(16, 768, 14, 14)], 60.0)
        r.put("Add", OTHER, [wide, (1, 197, 768)], [wide], 4.0)
        for layer in range(6):
            r.layer, r.kind = layer, "dense"
            _layer_norm(r, wide)
            _self_attention(r, wide, 12, "PromptFlashAttention", separate=False)
            r.put("Add", NORM, [wide, wide], [wide], 3.0)
            _layer_norm(r, wide)
            _feed(r, wide)
            r.put("Add", NORM, [wide, wide], [wide], 3.0)
        _layer_norm(r, wide)
        r.layer = r.kind = None
        r.mm("head", 16, 768, 1000)
        r.pause(300.0)
    return r.finish()


def diffusion() -> BuiltCapture:
    """A diffusion transformer: norms without weights, shifted and scaled by the time step, over and over."""
    r = Recorder(mode="eager", gap_us=8.0, phase="unknown")
    rows, width = 4096, 1152
    wide: Shape = (2, rows // 2, width)
    for step in range(4):
        r.step = step
        r.layer = r.kind = None
        r.put("Conv2D", OTHER, [(2, 4, 64, 64), (width, 4, 2, 2)], [(2, width, 32, 32)], 30.0)
        r.mm(OTHER, 2, 256, width)
        r.put("Silu", OTHER, [(2, width)], [(2, width)], 2.0)
        for layer in range(6):
            r.layer, r.kind = layer, "dense"
            r.mm(OTHER, 2, width, 6 * width)
            for block in range(2):
                _layer_norm(r, wide)
                r.put("Mul", NORM, [wide, (2, 1, width)], [wide], 4.0)
                r.put("Add", NORM, [wide, (2, 1, width)], [wide], 4.0)
                if block == 0:
                    _self_attention(r, wide, 16, "FlashAttentionScore", separate=False)
                else:
                    _feed(r, wide)
                r.put("Mul", NORM, [wide, (2, 1, width)], [wide], 4.0)
                r.put("Add", NORM, [wide, wide], [wide], 4.0)
        _layer_norm(r, wide)
        r.layer = r.kind = None
        r.mm(OTHER, rows, width, 32)
        r.pause(60.0)
    return r.finish()


def u_net() -> BuiltCapture:
    """Convolutions and normalised groups with attention to a text in between."""
    r = Recorder(mode="graph", phase="unknown")
    for step in range(4):
        r.step = step
        for channels, size in ((320, 64), (640, 32), (1280, 16), (640, 32), (320, 64)):
            picture: Shape = (2, channels, size, size)
            for _block in range(2):
                r.put("GroupNormSilu", OTHER, [picture, (channels,), (channels,)], [picture], 20.0)
                r.put("Conv2D", OTHER, [picture, (channels, channels, 3, 3)], [picture], 80.0)
            wide: Shape = (2, size * size, channels)
            for attention in range(2):
                _layer_norm(r, wide)
                rows = 2 * size * size
                for part in range(3):
                    r.mm(OTHER, 154 if attention and part else rows, 768 if attention and part else channels, channels)
                r.put("PromptFlashAttention", OTHER, [wide, wide, wide], [wide], 60.0, "MIX_AIC")
                r.mm(OTHER, rows, channels, channels)
                r.put("Add", OTHER, [wide, wide], [wide], 5.0)
            _layer_norm(r, wide)
            _feed(r, wide)
            r.put("Add", OTHER, [wide, wide], [wide], 5.0)
        r.pause(100.0)
    return r.finish()


def recomputing() -> BuiltCapture:
    """Training that makes each layer's activations once more on the way back."""
    r = Recorder(mode="eager", gap_us=3.0, phase="training")
    rows, width, inter = 4096, 2048, 5504
    wide: Shape = (rows, width)

    def forward(layer: int) -> None:
        r.layer, r.kind = layer, "dense"
        r.put("RmsNorm", NORM, [wide, (width,)], [wide, (rows, 1)], 9.0)
        r.mm(A, rows, width, 3 * width)
        r.put("RotaryPositionEmbedding", A, [(rows, 1, 16, 128), (rows, 1, 1, 128)], [(rows, 1, 16, 128)], 9.0)
        r.put("FlashAttentionScore", A, [(rows, 1, width)] * 3, [(rows, 1, width)], 200.0, "MIX_AIC")
        r.mm(A, rows, width, width)
        r.put("Add", NORM, [wide, wide], [wide], 7.0)
        r.put("RmsNorm", NORM, [wide, (width,)], [wide, (rows, 1)], 9.0)
        r.mm(MLP, rows, width, 2 * inter)
        r.put("SwiGlu", MLP, [(rows, 2 * inter)], [(rows, inter)], 20.0)
        r.mm(MLP, rows, inter, width)
        r.put("Add", NORM, [wide, wide], [wide], 7.0)

    for step in range(2):
        r.step = step
        r.layer = r.kind = None
        r.put("GatherV2", "embedding", [(32000, width), (rows,)], [wide], 20.0)
        for layer in range(4):
            forward(layer)
        r.layer = r.kind = None
        r.mm("head", rows, width, 32000)
        r.put("LogSoftmaxV2", OTHER, [(rows, 32000)], [(rows, 32000)], 90.0)
        r.put("NLLLoss", OTHER, [(rows, 32000), (rows,)], [(1,)], 20.0)
        r.put("NLLLossGrad", OTHER, [(rows, 32000), (1,)], [(rows, 32000)], 50.0)
        for layer in reversed(range(4)):
            forward(layer)
            for op in (
                "SwiGluGrad",
                "RmsNormGrad",
                "FlashAttentionScoreGrad",
                "RotaryPositionEmbeddingGrad",
                "RmsNormGrad",
            ):
                r.put(op, OTHER, [wide, wide], [wide], 60.0)
                r.mm(OTHER, width, rows, width)
        for _parameter in range(12):
            r.put("ApplyAdamWV2", OTHER, [(width, width)] * 4, [(width, width)], 30.0)
        r.pause(100.0)
    return r.finish()


#: name -> how it is made.
NO_DECODERS: dict[str, Callable[[], BuiltCapture]] = {
    "bert": bert,
    "bert-fused": lambda: bert("PromptFlashAttention"),
    "embedder": embedder,
    "image-encoder": image_encoder,
    "diffusion-transformer": diffusion,
    "u-net": u_net,
    "training-with-recomputation": recomputing,
}
