"""Dense decoders by family: other norms, biases, parallel blocks, positions without rotation, encoder-decoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    AIC,
    INFER,
    MLP,
    PAGED,
    A,
    Block,
    Card,
    Layers,
    V,
    add,
    attend,
    cache,
    core,
    feed,
    gqa,
    linear,
    mlp,
    norm,
    qkv,
    reduce,
    split,
    static,
)
from sample_builder.build import BuiltCapture
from sample_builder.recorder import Recorder
from sample_builder.renaming import named
from sample_builder.runs import DENSE_LAYERS, embed, head, layers_of, phased, prepare, run, sandwiched

QWEN3 = Card(hidden=4096, heads=32, kv=8, dim=128, inter=12288, vocab=151936)
LLAMA = Card(hidden=4096, heads=32, kv=8, dim=128, inter=14336, vocab=128256)
CUT_OUT = replace(LLAMA, cut="late")
GEMMA = Card(
    hidden=2304, heads=8, kv=4, dim=256, inter=9216, vocab=256000, norm="GemmaRmsNorm", add_norm="", cut="slices",
    positions=8192, mlp="sliced",
)  # fmt: skip
LAYERNORM = Card(
    hidden=6144, heads=64, kv=64, dim=96, inter=24576, vocab=50432, bias=True, norm="LayerNormV4", add_norm="",
    cut="late", mlp="plain", act="Gelu",
)  # fmt: skip
NEOX = LAYERNORM
#: Positions are added to the embeddings, nothing rotates.
OPT = replace(
    LAYERNORM, hidden=2048, heads=32, kv=32, dim=64, inter=8192, vocab=50272, cut="slices", rope="", core=PAGED
)
GPT2 = replace(OPT, hidden=1600, heads=25, kv=25, inter=6400, vocab=50257)
FALCON = replace(LAYERNORM, hidden=4544, heads=71, kv=1, dim=64, inter=18176, vocab=65024, bias=False)
COHERE = replace(
    LAYERNORM,
    hidden=8192,
    heads=64,
    kv=8,
    dim=128,
    inter=22528,
    vocab=256000,
    tp=8,
    bias=False,
    mlp="gated",
    act="SwiGlu",
)
CHATGLM = Card(hidden=4096, heads=32, kv=2, dim=128, inter=13696, vocab=65024)
#: No rotation: slopes inside the attention kernel.
BAICHUAN = Card(hidden=5120, heads=40, kv=40, dim=128, inter=13696, vocab=125696, cut="split", rope="", core=PAGED)
WHISPER = replace(LAYERNORM, hidden=1280, heads=20, kv=20, dim=64, inter=5120, vocab=51866, rows=8)
OLMO = Card(hidden=4096, heads=32, kv=32, dim=128, inter=11008, vocab=100352)
BLOOM = replace(
    LAYERNORM, hidden=4096, heads=32, kv=32, dim=128, inter=16384, vocab=250880, cut="slices", rope="", core=PAGED
)
GRANITE = Card(hidden=2048, heads=32, kv=8, dim=64, inter=8192, vocab=49155, add_norm="", cut="late")
PANGU = Card(hidden=5120, heads=40, kv=8, dim=128, inter=20480, vocab=153600, tp=4, quant="static", cut="late")
PHI3 = Card(hidden=3072, heads=32, kv=32, dim=96, inter=8192, vocab=32064, cut="late")


def scaled(layers: Layers) -> Layers:
    """Embeddings multiplied before the layers."""

    def all_layers(r: Recorder, c: Card) -> None:
        r.put("Muls", "embedding", c.wide, us=1.8)
        layers(r, c)

    return all_layers


def gemma2() -> BuiltCapture:
    """No norms of heads, and logits capped by loose kernels."""
    r, c = Recorder(), GEMMA
    for _step in r.steps(3):
        prepare(r, c)
        embed(r, c)
        scaled(sandwiched(gqa, mlp))(r, c)
        r.outside()
        logits = (c.rows, c.vocab)
        linear(r, c, "head", c.hidden, c.vocab)
        r.each("Muls Tanh Muls", "head", logits, 6.0)
        r.put("ArgMaxV2", "sampling", [logits, (1,)], (c.rows,), 9.0)
    return r.finish()


def learned_positions(r: Recorder, c: Card) -> None:
    r.put("GatherV2", "embedding", [(2050, c.hidden), (c.rows,), (1,)], c.wide, 3.0)
    r.put("Add", "embedding", [c.wide, c.wide], us=2.0)
    DENSE_LAYERS(r, c)


def parallel_layers(norms: int = 1) -> Layers:
    """Attention and MLP read the same layer input, normalised once or twice; both results are added."""

    def layers(r: Recorder, c: Card) -> None:
        for _number in r.layers(c.layers):
            norm(r, c)
            attend(r, c)
            if norms == 2:
                norm(r, c)
            feed(r, c)
            add(r, c)
            reduce(r, c)
            add(r, c)
        norm(r, c)

    return layers


def chatglm(r: Recorder, c: Card) -> None:
    """Half of each head is rotated, the other half passed by; the bias is inside the projection."""
    linear(r, replace(c, bias=True), A, c.hidden, c.qkv)
    q, k, angles = (c.rows, c.q), (c.rows, c.kv_width), (c.rows, c.dim // 2)
    r.put("SplitVD", A, (c.rows, c.qkv), [q, k, k])
    r.put("RopeBf16Kernel", A, [q, k, angles, angles], [q, k], 3.2, V)
    cache(r, c)
    core(r, c, PAGED)
    linear(r, c, A, c.q, c.hidden)


ATB = {
    "MatMulV2": "PpMatMulBf16Kernel", "RmsNorm": "RmsNormBF16Kernel", "AddRmsNormBias": "RmsPreNormBF16Kernel",
    "_triton_rope": "RopeBf16Kernel", "RotaryMul": "RopeBf16Kernel", "SwiGlu": "SwigluForwardBF16Kernel",
    "Slice": "SliceBF16Int64Kernel", "ReshapeAndCache": "ReshapeAndCacheNdKernel", INFER: PAGED,
    "GatherV2": "Gather16I64Kernel", "Index": "Gather16I64Kernel", "Cast": "CastBF16F32Kernel",
    "DynamicQuant": "QuantPerTokenKernel", "QuantBatchMatmulV3": "PpMatMulW8A8Bf16NzKernel", "Add": "AddBF16Kernel",
    "ArgMaxV2": "TopkDescF32Kernel",
}  # fmt: skip


def encoder_decoder() -> BuiltCapture:
    """Whisper's decoder: self-attention, attention to the encoder's output, MLP; each with a norm of its own."""
    r, c = Recorder(), WHISPER
    sound = (c.rows, 1500, c.hidden)

    def own(r: Recorder, c: Card) -> None:
        for _part in range(3):
            linear(r, c, A, c.hidden, c.hidden)
        cache(r, c)
        core(r, c, PAGED)
        linear(r, c, A, c.hidden, c.hidden)

    def crossed(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, c.hidden)
        r.put(INFER, A, [c.query, sound, sound], [c.query, None], 12.0, AIC)
        linear(r, c, A, c.hidden, c.hidden)

    for _step in r.steps(4):
        r.outside()
        r.put("GatherV2", "embedding", [(c.vocab, c.hidden), (c.rows,), (1,)], c.wide, 3.0)
        r.put("GatherV2", "embedding", [(448, c.hidden), (c.rows,), (1,)], c.wide, 2.0)
        r.put("Add", "embedding", [c.wide, c.wide], us=1.8)
        sandwiched(own, crossed, mlp, after=False)(r, c)
        head(r, c)
    return r.finish()


def whole_norms(before: bool) -> Layers:
    """OLMo 2: q and k are normalised over all heads, as wide as the residual stream; norms behind sub-blocks."""

    def attention(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, c.qkv)
        split(r, c, A, c.qkv, c.q, c.q, c.q)
        norm(r, c, A)
        norm(r, c, A)
        r.put("_triton_rope", A, [c.query, c.query, (4096, c.dim)], [c.query, c.query], 3.0, V)
        cache(r, c)
        core(r, c)
        linear(r, c, A, c.hidden, c.hidden)

    return sandwiched(attention, mlp, before=before, after=not before)


def embedded_norm(r: Recorder, c: Card) -> None:
    """BLOOM: a norm on the embeddings, slopes instead of positions, biases everywhere."""
    r.layer, r.kind = 0, "dense"
    norm(r, c)
    DENSE_LAYERS(r, c)


def quantised_cache(r: Recorder, c: Card) -> None:
    """Keys and values are written as int8 and read back with scales."""
    qkv(r, replace(c, cut="late"))
    for _part in range(2):
        static(r, A, c.rows, c.kv_width)
    cache(r, c, "ScatterPaKvCache")
    core(r, c)
    linear(r, c, A, c.q, c.hidden)


def cleared(block: Block, region: str) -> Block:
    """Deterministic mode: buffers are cleared before matmuls, formats converted before attention."""

    def all_of_it(r: Recorder, c: Card) -> None:
        r.put("MemSet", region, (c.rows * 64,), us=1.4)
        block(r, c)

    return all_of_it


CHUNKED = [("prefill", 900, 1), ("mixed", 514, 7), ("decode", 8, 8), ("decode", 8, 8)]
#: name -> how it is made.
DENSE: dict[str, Callable[[], BuiltCapture]] = {
    "qwen3-fused-rope": lambda: run(replace(QWEN3, tp=4)),
    "qwen3-w8a8": lambda: run(replace(QWEN3, quant="dynamic", tp=2)),
    "qwen3-w8a8-static": lambda: run(replace(QWEN3, quant="static")),
    "qwen3-mx": lambda: run(replace(QWEN3, quant="mx")),
    "qwen3-w4a16": lambda: run(replace(QWEN3, quant="w4")),
    "qwen3-chunked": lambda: phased(QWEN3, DENSE_LAYERS, CHUNKED),
    "llama": lambda: run(CUT_OUT),
    "llama-eager": lambda: run(CUT_OUT, mode="eager"),
    "llama-atb": lambda: named(run(CUT_OUT), ATB),
    "llama-atb-w8a8": lambda: named(run(replace(CUT_OUT, quant="dynamic")), ATB),
    "gemma-2": gemma2,
    "gemma-3": lambda: run(replace(GEMMA, qk_norm=True), scaled(sandwiched(gqa, mlp))),
    "opt": lambda: run(replace(OPT, act="Relu"), learned_positions),
    "gpt-2": lambda: run(GPT2, learned_positions),
    "gpt-neox": lambda: run(NEOX, parallel_layers(norms=2)),
    "gpt-j": lambda: run(replace(NEOX, hidden=4096, heads=16, kv=16, dim=256, inter=16384), parallel_layers()),
    "phi-2": lambda: run(replace(NEOX, hidden=2560, heads=32, kv=32, dim=80, inter=10240), parallel_layers()),
    "falcon": lambda: run(FALCON, parallel_layers()),
    "cohere": lambda: run(COHERE, parallel_layers()),
    "squared-relu": lambda: run(replace(CUT_OUT, add_norm="", mlp="plain", act="Relu Relu")),
    "chatglm": lambda: run(CHATGLM, layers_of(("dense", chatglm, mlp))),
    "baichuan": lambda: run(BAICHUAN),
    "whisper-decoder": encoder_decoder,
    "olmo-2": lambda: run(OLMO, whole_norms(before=False)),
    "olmoe-like-norms": lambda: run(OLMO, whole_norms(before=True)),
    "bloom": lambda: run(BLOOM, embedded_norm),
    "granite": lambda: run(GRANITE, scaled(sandwiched(gqa, mlp, after=False, scales=1))),
    "pangu-static": lambda: run(PANGU),
    "phi-3": lambda: run(PHI3),
    "quantised-cache": lambda: run(replace(QWEN3, quant="dynamic"), layers_of(("dense", quantised_cache, mlp))),
    "cleared-buffers": lambda: run(QWEN3, layers_of(("dense", cleared(gqa, A), cleared(mlp, MLP)))),
}
