"""Towers round a text decoder unlike most: the encoder in the same capture, states added behind the first layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sample_builder.blocks import AIC, NORM, PAGED, A, Card, add, add_norm, attend, gqa, linear, mlp, norm
from sample_builder.build import BuiltCapture
from sample_builder.operation import Shape
from sample_builder.recorder import Recorder
from sample_builder.runs import embed, head, prepare

from deployments.dense import QWEN3


def whole_speech_model() -> BuiltCapture:
    """Whisper: the encoder reads the sound once, then the decoder writes tokens and looks back at it."""
    r = Recorder(mode="eager", gap_us=10.0)
    c = Card(
        hidden=1280, heads=20, kv=20, dim=64, inter=5120, vocab=51866, layers=6, rows=1, bias=True, norm="LayerNormV4",
        add_norm="", cut="separate", rope="", mlp="plain", act="Gelu", core=PAGED, runner=False,
    )  # fmt: skip
    sound: Shape = (1, 1500, c.hidden)
    rows: Shape = sound[1:]
    mid: Shape = (1500, c.inter)

    def hear() -> None:
        for _convolution in range(2):
            r.put("Conv2D", "other", [(1, 128, 1, 3000), (c.hidden, 128, 1, 3)], (1, c.hidden, 1, 1500), 40.0)
            r.put("Gelu", "other", (1, c.hidden, 1500), us=6.0)
        for _layer in range(6):
            r.put("LayerNormV4", "other", [rows, rows[1:], rows[1:]], us=6.0)
            for _part in range(3):
                r.mm("other", 1500, c.hidden, c.hidden)
            r.put("PromptFlashAttention", "other", [sound, sound, sound], us=60.0, core=AIC)
            r.mm("other", 1500, c.hidden, c.hidden)
            r.each("Add", "other", rows, 4.0)
            r.put("LayerNormV4", "other", [rows, rows[1:], rows[1:]], us=6.0)
            r.mm("other", 1500, c.hidden, c.inter)
            r.put("Gelu", "other", mid, us=8.0)
            r.mm("other", 1500, c.inter, c.hidden)
            r.each("Add", "other", rows, 4.0)

    def look_back(r: Recorder, c: Card) -> None:
        linear(r, c, A, c.hidden, c.hidden)
        r.put("FusedInferAttentionScore", A, [(c.rows, 20, 64), sound, sound], [(c.rows, 20, 64), None], 12.0, AIC)
        linear(r, c, A, c.hidden, c.hidden)

    for _step in r.steps(5):
        r.outside()
        if _step == 0:
            hear()
        embed(r, c)
        for _number in r.layers(c.layers):
            for block in (attend, look_back, mlp):
                norm(r, c)
                block(r, c)
                add(r, c)
        norm(r, c)
        head(r, c, 1)
    return r.finish()


def deep_pictures() -> BuiltCapture:
    """Qwen3-VL: a tower before the prompt whose states are also added behind the first layers."""
    r = Recorder(mode="eager", gap_us=12.0)
    patches, width, inter = 1024, 1152, 4304
    wide: Shape = (patches, width)
    for step, (phase, rows) in enumerate([("prefill", 400), *[("decode", 1)] * 4]):
        c = replace(QWEN3, layers=6).at(rows, 1)
        r.step, r.phase = step, phase
        r.outside()
        if step == 0:
            r.mm("other", patches, 1536, width)
            for _layer in range(6):
                r.put("LayerNormV4", "other", [wide, wide[1:], wide[1:]], us=6.0)
                r.put("MatMulV2", "other", [wide, (3 * width, width), (3 * width,)], (patches, 3 * width), 30.0)
                r.put("RotaryMul", "other", [(1, patches, 16, 72), (1, patches, 1, 72)], us=9.0)
                r.put("FlashAttentionScore", "other", [(patches, 16, 72)] * 3, us=60.0, core=AIC)
                r.put("MatMulV2", "other", [wide, (width, width), (width,)], wide, 14.0)
                r.each("Add", "other", wide, 4.0)
                r.put("LayerNormV4", "other", [wide, wide[1:], wide[1:]], us=6.0)
                r.put("MatMulV2", "other", [wide, (inter, width), (inter,)], (patches, inter), 40.0)
                r.put("Gelu", "other", (patches, inter), us=8.0)
                r.put("MatMulV2", "other", [(patches, inter), (width, inter), (width,)], wide, 40.0)
                r.each("Add", "other", wide, 4.0)
            merged: Shape = (patches // 4, 4 * width)
            r.put("LayerNormV4", "other", [merged, merged[1:], merged[1:]], us=6.0)
            r.mm("other", *merged, 4 * width)
            r.put("Gelu", "other", merged, us=8.0)
            r.mm("other", *merged, 4096)
        prepare(r, c)
        embed(r, c)
        if step == 0:
            r.put("MaskedScatter", "embedding", [c.wide, c.wide, (256, c.hidden)], us=12.0)
        for number in r.layers(c.layers):
            if number == 0:
                norm(r, c)
            gqa(r, c)
            add_norm(r, c)
            mlp(r, c)
            if step == 0 and number < 3:
                r.put("Add", NORM, [c.wide, c.wide], us=6.0)
            add_norm(r, c)
        head(r, c, 1)
        r.pause(320.0)
    return r.finish()


#: name -> how it is made.
ODD_TOWERS: dict[str, Callable[[], BuiltCapture]] = {
    "whole-speech-model": whole_speech_model,
    "deep-pictures": deep_pictures,
}
