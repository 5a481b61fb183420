"""Dense decoders by family: other norms, biases, parallel blocks, positions without rotation, encoder-decoders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import (
    MLP,
    A,
    Card,
    Layers,
    add,
    cache,
    core,
    gqa,
    head,
    layers_of,
    linear,
    mlp,
    norm,
    phased,
    prepare,
    qkv,
    reduce,
    run,
    split,
    swiglu,
)
from sample_builder.build import BuiltCapture
from sample_builder.recorder import Recorder
from sample_builder.renaming import named

QWEN3 = Card(hidden=4096, heads=32, kv=8, dim=128, inter=12288, vocab=151936)
LLAMA = Card(hidden=4096, heads=32, kv=8, dim=128, inter=14336, vocab=128256)
GEMMA = Card(hidden=2304, heads=8, kv=4, dim=256, inter=9216, vocab=256000, norm="GemmaRmsNorm", add_norm="")
LAYERNORM = {"norm": "LayerNormV4", "add_norm": ""}
NEOX = Card(hidden=6144, heads=64, kv=64, dim=96, inter=24576, vocab=50432, bias=True, **LAYERNORM)  # type: ignore[arg-type]
OPT = Card(hidden=2048, heads=32, kv=32, dim=64, inter=8192, vocab=50272, bias=True, **LAYERNORM)  # type: ignore[arg-type]
FALCON = Card(hidden=4544, heads=71, kv=1, dim=64, inter=18176, vocab=65024, **LAYERNORM)  # type: ignore[arg-type]
COHERE = Card(hidden=8192, heads=64, kv=8, dim=128, inter=22528, vocab=256000, tp=8, **LAYERNORM)  # type: ignore[arg-type]
CHATGLM = Card(hidden=4096, heads=32, kv=2, dim=128, inter=13696, vocab=65024)
BAICHUAN = Card(hidden=5120, heads=40, kv=40, dim=128, inter=13696, vocab=125696)
WHISPER = Card(hidden=1280, heads=20, kv=20, dim=64, inter=5120, vocab=51866, rows=8, bias=True, **LAYERNORM)  # type: ignore[arg-type]


def unnormed(r: Recorder, c: Card) -> None:
    gqa(r, c, fused="")


def swiglu_of(act: str) -> Callable[[Recorder, Card], None]:
    def feed(r: Recorder, c: Card) -> None:
        swiglu(r, c, act=act)
        reduce(r, c)

    return feed


def gemma_layers(capped: bool) -> Layers:
    """Norms before and behind each sub-block; per-head norms; tanh GELU times up; embeddings scaled before."""

    def feed(r: Recorder, c: Card) -> None:
        linear(r, c, MLP, c.hidden, 2 * c.inter)
        split(r, c, MLP, 2 * c.inter, c.inter, c.inter)
        r.put("Gelu", MLP, [(c.rows, c.inter)], [(c.rows, c.inter)], 3.0)
        r.put("Mul", MLP, [(c.rows, c.inter), (c.rows, c.inter)], [(c.rows, c.inter)], 2.6)
        linear(r, c, MLP, c.inter, c.hidden)

    def attend(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, c.q + 2 * c.kv_width)
        split(r, c, A, c.q + 2 * c.kv_width, c.q, c.kv_width, c.kv_width)
        for heads in () if capped else (c.heads, c.kv):
            shape = (c.rows, heads, c.dim)
            r.put("GemmaRmsNorm", A, [shape, (c.dim,)], [shape, (c.rows, heads, 1)], 2.4)
        q, k = (c.rows, c.heads, c.dim), (c.rows, c.kv, c.dim)
        r.put("_triton_rope", A, [q, k, (8192, c.dim)], [q, k], 3.0, "AI_VECTOR_CORE")
        cache(r, c)
        core(r, c)
        linear(r, c, A, c.q, c.hidden)

    def layers(r: Recorder, c: Card) -> None:
        r.put("Muls", "embedding", [c.wide], [c.wide], 1.8)
        for number in range(c.layers):
            r.layer, r.kind = number, "dense"
            for block in (attend, feed):
                norm(r, c)
                block(r, c)
                norm(r, c)
                add(r, c)
        norm(r, c)

    return layers


def soft_capped_head(r: Recorder, c: Card) -> None:
    r.layer = r.kind = None
    logits = (c.rows, c.vocab)
    linear(r, c, "head", c.hidden, c.vocab)
    for op in ("Muls", "Tanh", "Muls"):
        r.put(op, "head", [logits], [logits], 6.0)
    r.put("ArgMaxV2", "sampling", [logits, (1,)], [(c.rows,)], 9.0)


def gemma2(steps: int = 3) -> BuiltCapture:
    r = Recorder()
    c, layers = GEMMA, gemma_layers(capped=True)
    for step in range(steps):
        r.step = step
        prepare(r, c)
        r.put("GatherV2", "embedding", [(c.vocab, c.hidden), (c.rows,), (1,)], [c.wide], 4.0)
        layers(r, c)
        soft_capped_head(r, c)
        r.pause(320.0)
    return r.finish()


def fc(act: str, pieces: int = 1) -> Callable[[Recorder, Card], None]:
    """Two projections round an activation (of several kernels where it is not one operator)."""

    def feed(r: Recorder, c: Card) -> None:
        inter = c.inter // c.tp
        linear(r, c, MLP, c.hidden, inter)
        for _piece in range(pieces):
            r.put(act, MLP, [(c.rows, inter)], [(c.rows, inter)], 2.4)
        linear(r, c, MLP, inter, c.hidden)

    return feed


def learned_positions(act: str, op: str = "PagedAttentionMaskNdKernel") -> Layers:
    """OPT and GPT-2: positions are added to the embeddings, nothing rotates."""

    def attend(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, 3 * c.hidden)
        split(r, c, A, 3 * c.hidden, c.hidden, c.hidden, c.hidden)
        cache(r, c)
        core(r, c, op)
        linear(r, c, A, c.hidden, c.hidden)

    def layers(r: Recorder, c: Card) -> None:
        r.put("GatherV2", "embedding", [(2050, c.hidden), (c.rows,), (1,)], [c.wide], 3.0)
        r.put("Add", "embedding", [c.wide, c.wide], [c.wide], 2.0)
        layers_of(("dense", attend, fc(act)))(r, c)

    return layers


def parallel_layers(act: str, norms: int = 1, pieces: int = 1, gated: bool = False) -> Layers:
    """Attention and MLP read the same layer input, normalised once or twice; both results are added."""

    def layers(r: Recorder, c: Card) -> None:
        for number in range(c.layers):
            r.layer, r.kind = number, "dense"
            norm(r, c)
            qkv(r, c, fused="")
            cache(r, c)
            core(r, c)
            linear(r, c, A, c.q, c.hidden)
            if norms == 2:
                norm(r, c)
            (swiglu if gated else fc(act, pieces))(r, c)
            add(r, c)
            reduce(r, c)
            add(r, c)
        norm(r, c)

    return layers


def chatglm(r: Recorder, c: Card) -> None:
    """Half of each head is rotated, the other half passed by; the bias is inside the projection."""
    linear(r, replace(c, bias=True), A, c.hidden, c.q + 2 * c.kv_width)
    r.put("SplitVD", A, [(c.rows, c.q + 2 * c.kv_width)], [(c.rows, c.q), (c.rows, c.kv_width), (c.rows, c.kv_width)])
    q, k = (c.rows, c.q), (c.rows, c.kv_width)
    angles = (c.rows, c.dim // 2)
    r.put("RopeBf16Kernel", A, [q, k, angles, angles], [q, k], 3.2, "AI_VECTOR_CORE")
    cache(r, c)
    core(r, c, "PagedAttentionMaskNdKernel")
    linear(r, c, A, c.q, c.hidden)


def alibi(r: Recorder, c: Card) -> None:
    """No rotation: slopes inside the attention kernel."""
    linear(r, c, A, c.hidden, 3 * c.hidden)
    r.put("SplitVD", A, [(c.rows, 3 * c.hidden)], [c.wide, c.wide, c.wide], 2.2)
    cache(r, c)
    core(r, c, "PagedAttentionMaskNdKernel")
    linear(r, c, A, c.hidden, c.hidden)


ATB = {
    "MatMulV2": "PpMatMulBf16Kernel", "RmsNorm": "RmsNormBF16Kernel", "AddRmsNormBias": "RmsPreNormBF16Kernel",
    "_triton_rope": "RopeBf16Kernel", "SwiGlu": "SwigluForwardBF16Kernel", "Slice": "SliceBF16Int64Kernel",
    "FusedInferAttentionScore": "PagedAttentionMaskNdKernel", "GatherV2": "Gather16I64Kernel",
    "Index": "Gather16I64Kernel", "Cast": "CastBF16F32Kernel", "DynamicQuant": "QuantPerTokenKernel",
    "QuantBatchMatmulV3": "PpMatMulW8A8Bf16NzKernel", "Add": "AddBF16Kernel", "ArgMaxV2": "TopkDescF32Kernel",
}  # fmt: skip


def encoder_decoder(steps: int = 4) -> BuiltCapture:
    """Whisper's decoder: self-attention, attention to the encoder's output, MLP; each with a norm of its own."""
    r = Recorder()
    c = WHISPER
    sound = (c.rows, 1500, c.hidden)
    for step in range(steps):
        r.step = step
        r.layer = r.kind = None
        r.put("GatherV2", "embedding", [(c.vocab, c.hidden), (c.rows,), (1,)], [c.wide], 3.0)
        r.put("GatherV2", "embedding", [(448, c.hidden), (c.rows,), (1,)], [c.wide], 2.0)
        r.put("Add", "embedding", [c.wide, c.wide], [c.wide], 1.8)
        for number in range(c.layers):
            r.layer, r.kind = number, "dense"
            norm(r, c)
            for _part in range(3):
                linear(r, c, A, c.hidden, c.hidden)
            cache(r, c)
            core(r, c, "PagedAttentionMaskNdKernel")
            linear(r, c, A, c.hidden, c.hidden)
            add(r, c)
            norm(r, c)
            linear(r, c, A, c.hidden, c.hidden)
            query = (c.rows, c.heads, c.dim)
            r.put("FusedInferAttentionScore", A, [query, sound, sound], [query, None], 12.0, "MIX_AIC")
            linear(r, c, A, c.hidden, c.hidden)
            add(r, c)
            norm(r, c)
            fc("Gelu")(r, c)
            add(r, c)
        norm(r, c)
        head(r, c)
        r.pause(320.0)
    return r.finish()


CHUNKED = [("prefill", 900, 1), ("mixed", 514, 7), ("decode", 8, 8), ("decode", 8, 8)]
#: name -> how it is made.
DENSE: dict[str, Callable[[], BuiltCapture]] = {
    "qwen3-fused-rope": lambda: run(replace(QWEN3, tp=4), layers_of(("dense", gqa, mlp))),
    "qwen3-w8a8": lambda: run(replace(QWEN3, quant="dynamic", tp=2), layers_of(("dense", gqa, mlp))),
    "qwen3-w8a8-static": lambda: run(replace(QWEN3, quant="static"), layers_of(("dense", gqa, mlp))),
    "qwen3-mx": lambda: run(replace(QWEN3, quant="mx"), layers_of(("dense", gqa, mlp))),
    "qwen3-w4a16": lambda: run(replace(QWEN3, quant="w4"), layers_of(("dense", gqa, mlp))),
    "qwen3-chunked": lambda: phased(QWEN3, layers_of(("dense", gqa, mlp)), CHUNKED),
    "llama": lambda: run(LLAMA, layers_of(("dense", unnormed, mlp))),
    "llama-eager": lambda: run(LLAMA, layers_of(("dense", unnormed, mlp)), mode="eager"),
    "llama-atb": lambda: named(run(replace(LLAMA, bias=False), layers_of(("dense", unnormed, mlp))), ATB),
    "llama-atb-w8a8": lambda: named(run(replace(LLAMA, quant="dynamic"), layers_of(("dense", unnormed, mlp))), ATB),
    "gemma-2": gemma2,
    "gemma-3": lambda: run(GEMMA, gemma_layers(capped=False)),
    "opt": lambda: run(OPT, learned_positions("Relu")),
    "gpt-2": lambda: run(
        replace(OPT, hidden=1600, heads=25, kv=25, inter=6400, vocab=50257), learned_positions("Gelu")
    ),
    "gpt-neox": lambda: run(NEOX, parallel_layers("Gelu", norms=2)),
    "gpt-j": lambda: run(replace(NEOX, hidden=4096, heads=16, kv=16, dim=256, inter=16384), parallel_layers("Gelu")),
    "phi-2": lambda: run(replace(NEOX, hidden=2560, heads=32, kv=32, dim=80, inter=10240), parallel_layers("Gelu")),
    "falcon": lambda: run(FALCON, parallel_layers("Gelu")),
    "cohere": lambda: run(COHERE, parallel_layers("", gated=True)),
    "squared-relu": lambda: run(replace(LLAMA, add_norm=""), layers_of(("dense", unnormed, fc("Relu", 2)))),
    "chatglm": lambda: run(CHATGLM, layers_of(("dense", chatglm, mlp))),
    "baichuan": lambda: run(BAICHUAN, layers_of(("dense", alibi, mlp))),
    "whisper-decoder": encoder_decoder,
}
