"""What is no decoder inference: encoders, diffusion, training with recomputation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sample_builder.blocks import AIC, MLP, NORM, A
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder

OTHER = "other"


def layer_norm(r: Recorder, wide: Shape) -> None:
    one = (*wide[:-1], 1)
    r.put("LayerNormV4", NORM, [wide, wide[-1:], wide[-1:]], [wide, one, one], 4.0)


def self_attention(r: Recorder, wide: Shape, heads: int, core: str, separate: bool) -> None:
    rows, width = wide[0] * wide[1], wide[2]
    split = (wide[0], heads, wide[1], width // heads)
    if separate:
        for _part in range(3):
            r.mm(A, rows, width, width)
            r.put("Transpose", A, (*wide[:2], heads, width // heads), split)
    else:
        r.mm(A, rows, width, 3 * width)
        r.put("Transpose", A, (*wide[:2], 3, heads, width // heads), (3, *split), 5.0)
    if core:
        r.put(core, A, [split, split, split], us=40.0, core=AIC)
    else:
        scores = (wide[0], heads, wide[1], wide[1])
        r.put("BatchMatMulV2", A, [split, split], scores, 20.0)
        r.put("Muls", A, scores, us=5.0)
        r.put("Add", A, [scores, (wide[0], 1, 1, wide[1])], us=5.0)
        r.put("SoftmaxV2", A, scores, us=8.0)
        r.put("BatchMatMulV2", A, [scores, split], split, 20.0)
    r.put("Transpose", A, split, wide)
    r.mm(A, rows, width, width)


def feed(r: Recorder, wide: Shape, times: int = 4) -> None:
    rows, width = wide[0] * wide[1], wide[2]
    r.mm(MLP, rows, width, times * width)
    r.put("Gelu", MLP, (rows, times * width), us=6.0)
    r.mm(MLP, rows, times * width, width)


def passes(r: Recorder, count: int = 3, pause: float = 300.0) -> Iterator[int]:
    """Steps that begin outside the layers."""
    for step in r.steps(count, pause):
        r.outside()
        yield step


def bert(core: str = "") -> BuiltCapture:
    """Norms behind the sums; embeddings of words, positions and segments; one pooled vector."""
    r = Recorder(mode="eager", gap_us=10.0, phase="unknown")
    wide: Shape = (8, 128, 768)
    for _step in passes(r):
        for table in (30522, 512, 2):
            r.put("GatherV2", "embedding", [(table, 768), (8, 128), (1,)], wide, 5.0)
        r.each("Add", "embedding", wide)
        layer_norm(r, wide)
        for _layer in r.layers(6):
            self_attention(r, wide, 12, core, separate=True)
            r.each("Add", NORM, wide)
            layer_norm(r, wide)
            feed(r, wide)
            r.each("Add", NORM, wide)
            layer_norm(r, wide)
        r.outside()
        r.put("Slice", "head", wide, (8, 768), 2.0)
        r.mm("head", 8, 768, 768)
        r.put("Tanh", "head", (8, 768), us=2.0)
    return r.finish()


def embedder() -> BuiltCapture:
    """A decoder's layers used as an encoder: rotation, no cache, the last row of each text normalised."""
    r = Recorder(mode="eager", gap_us=10.0, phase="unknown")
    rows, width = 700, 1024
    wide: Shape = (rows, width)
    for _step in passes(r):
        r.put("GatherV2", "embedding", [(151669, width), (rows,), (1,)], wide, 6.0)
        for layer in r.layers(6):
            if layer:
                r.put("AddRmsNorm", NORM, [wide, wide, (width,)], [wide, (rows, 1)])
            else:
                r.put("RmsNorm", NORM, [wide, (width,)], [wide, (rows, 1)])
            r.mm(A, rows, width, 4096)
            r.put("RotaryMul", A, [(1, rows, 16, 128), (1, rows, 1, 128)], us=5.0)
            r.put("FlashAttentionScore", A, [(rows, 16, 128)] * 3, us=50.0, core=AIC)
            r.mm(A, rows, 2048, width)
            r.put("AddRmsNorm", NORM, [wide, wide, (width,)], [wide, (rows, 1)])
            r.mm(MLP, rows, width, 6144)
            r.put("SwiGlu", MLP, (rows, 6144), (rows, 3072), 4.0)
            r.mm(MLP, rows, 3072, width)
        r.put("AddRmsNorm", NORM, [wide, wide, (width,)], [wide, (rows, 1)])
        r.outside()
        r.put("Index", "head", [wide, (1,), (2,), (5,)], (5, width))
        r.put("ReduceSum", "head", (5, width), (5, 1), 2.0)
        r.put("RealDiv", "head", [(5, width), (5, 1)], us=2.0)
    return r.finish()


def image_encoder() -> BuiltCapture:
    r = Recorder(phase="unknown")
    wide: Shape = (16, 197, 768)
    for _step in passes(r):
        r.put("Conv2D", OTHER, [(16, 3, 224, 224), (768, 3, 16, 16)], (16, 768, 14, 14), 60.0)
        r.put("Add", OTHER, [wide, (1, 197, 768)], us=4.0)
        for _layer in r.layers(6):
            layer_norm(r, wide)
            self_attention(r, wide, 12, "PromptFlashAttention", separate=False)
            r.each("Add", NORM, wide)
            layer_norm(r, wide)
            feed(r, wide)
            r.each("Add", NORM, wide)
        layer_norm(r, wide)
        r.outside()
        r.mm("head", 16, 768, 1000)
    return r.finish()


def diffusion() -> BuiltCapture:
    """A diffusion transformer: norms without weights, shifted and scaled by the time step, over and over."""
    r = Recorder(mode="eager", gap_us=8.0, phase="unknown")
    rows, width = 4096, 1152
    wide, scale = (2, rows // 2, width), (2, 1, width)
    for _step in passes(r, 4, 60.0):
        r.put("Conv2D", OTHER, [(2, 4, 64, 64), (width, 4, 2, 2)], (2, width, 32, 32), 30.0)
        r.mm(OTHER, 2, 256, width)
        r.put("Silu", OTHER, (2, width), us=2.0)
        for _layer in r.layers(6):
            r.mm(OTHER, 2, width, 6 * width)
            for block in range(2):
                layer_norm(r, wide)
                r.put("Mul", NORM, [wide, scale], us=4.0)
                r.put("Add", NORM, [wide, scale], us=4.0)
                if block == 0:
                    self_attention(r, wide, 16, "FlashAttentionScore", separate=False)
                else:
                    feed(r, wide)
                r.put("Mul", NORM, [wide, scale], us=4.0)
                r.each("Add", NORM, wide, 4.0)
        layer_norm(r, wide)
        r.outside()
        r.mm(OTHER, rows, width, 32)
    return r.finish()


def u_net() -> BuiltCapture:
    """Convolutions and normalised groups with attention to a text in between."""
    r = Recorder(phase="unknown")
    for _step in r.steps(4, 100.0):
        for channels, size in ((320, 64), (640, 32), (1280, 16), (640, 32), (320, 64)):
            picture, rows = (2, channels, size, size), 2 * size * size
            for _block in range(2):
                r.put("GroupNormSilu", OTHER, [picture, (channels,), (channels,)], us=20.0)
                r.put("Conv2D", OTHER, [picture, (channels, channels, 3, 3)], us=80.0)
            wide: Shape = (2, size * size, channels)
            for attention in range(2):
                layer_norm(r, wide)
                for part in range(3):
                    crossed = attention and part
                    r.mm(OTHER, 154 if crossed else rows, 768 if crossed else channels, channels)
                r.put("PromptFlashAttention", OTHER, [wide, wide, wide], us=60.0, core=AIC)
                r.mm(OTHER, rows, channels, channels)
                r.each("Add", OTHER, wide, 5.0)
            layer_norm(r, wide)
            feed(r, wide)
            r.each("Add", OTHER, wide, 5.0)
    return r.finish()


def recomputing() -> BuiltCapture:
    """Training that makes each layer's activations once more on the way back."""
    r = Recorder(mode="eager", gap_us=3.0, phase="training")
    rows, width, inter = 4096, 2048, 5504
    wide, logits = (rows, width), (rows, 32000)
    gradients = "SwiGluGrad RmsNormGrad FlashAttentionScoreGrad RotaryPositionEmbeddingGrad RmsNormGrad"

    def forward() -> None:
        r.put("RmsNorm", NORM, [wide, (width,)], [wide, (rows, 1)], 9.0)
        r.mm(A, rows, width, 3 * width)
        r.put("RotaryPositionEmbedding", A, [(rows, 1, 16, 128), (rows, 1, 1, 128)], us=9.0)
        r.put("FlashAttentionScore", A, [(rows, 1, width)] * 3, us=200.0, core=AIC)
        r.mm(A, rows, width, width)
        r.each("Add", NORM, wide, 7.0)
        r.put("RmsNorm", NORM, [wide, (width,)], [wide, (rows, 1)], 9.0)
        r.mm(MLP, rows, width, 2 * inter)
        r.put("SwiGlu", MLP, (rows, 2 * inter), (rows, inter), 20.0)
        r.mm(MLP, rows, inter, width)
        r.each("Add", NORM, wide, 7.0)

    for _step in passes(r, 2, 100.0):
        r.put("GatherV2", "embedding", [(32000, width), (rows,)], wide, 20.0)
        for _layer in r.layers(4):
            forward()
        r.outside()
        r.mm("head", rows, width, 32000)
        r.put("LogSoftmaxV2", OTHER, logits, us=90.0)
        r.put("NLLLoss", OTHER, [logits, (rows,)], (1,), 20.0)
        r.put("NLLLossGrad", OTHER, [logits, (1,)], us=50.0)
        for r.layer in reversed(range(4)):
            r.kind = "dense"
            forward()
            for op in gradients.split():
                r.put(op, OTHER, [wide, wide], us=60.0)
                r.mm(OTHER, width, rows, width)
        for _parameter in range(12):
            r.put("ApplyAdamWV2", OTHER, [(width, width)] * 4, us=30.0)
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
