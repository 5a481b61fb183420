"""Phase, mode and steadiness of steps."""

from __future__ import annotations

import numpy as np
import pytest
from deployments.written import CAPTURES, SMALL, dense_layers, encoded, small
from sample_builder.perturb import change, level0
from sample_builder.runs import phased, run

from skadvisor.labelling.labels import label
from skadvisor.labelling.mode import graph_kernels
from skadvisor.labelling.phases import steady_steps
from skadvisor.labelling.steps import Ends
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()


@pytest.mark.parametrize(
    ("rows", "sequences", "phase"),
    [
        (16, 16, "decode"),
        (1, 1, "decode"),
        (64, 16, "decode"),
        (512, 1, "prefill"),
        (300, 5, "mixed"),
        (5, 1, "decode"),
    ],
)
def test_phase_from_tokens_and_sequences(rows: int, sequences: int, phase: str) -> None:
    labelled = label(phased(SMALL, dense_layers, [(phase, rows, sequences)] * 2).capture, VOCABULARY)
    assert labelled.steps["phase"].astype(str).tolist() == [phase, phase]
    assert labelled.steps["tokens"].tolist() == [rows, rows]


def test_an_unknown_kernel_that_is_called_chunk_proves_no_prefill() -> None:
    recorded = CAPTURES["variants"]["only-scan"]()
    renamed = change(recorded, op_type=lambda op: "mixer_chunk_k" if op == "ssd_state_k" else op)
    labelled = label(renamed.capture, VOCABULARY)
    assert set(labelled.steps["phase"].astype(str)) == {"decode"}


def test_without_shapes_and_graph_nothing_is_claimed() -> None:
    recorded = level0(phased(SMALL, dense_layers, [("prefill", 512, 1), ("mixed", 300, 5), ("decode", 6, 6)]))
    assert set(label(recorded.capture, VOCABULARY).steps["phase"].astype(str)) == {"unknown"}


@pytest.mark.parametrize(("mode", "kind"), [("eager", None), ("graph", "ge_graph")])
def test_mode_and_kind_of_graph(mode: str, kind: str | None) -> None:
    labelled = label(run(SMALL, mode=mode).capture, VOCABULARY)
    assert (labelled.mode, labelled.graph_kind) == (mode, kind)


def test_numbered_conversions_and_collectives_tell_no_mode() -> None:
    recorded = run(small(tp=2), mode="eager")
    names = change(recorded, name=lambda text: "trans_TransData_3" if "Split" in text else text, state=None)
    verdict = graph_kernels(names.capture.kernels)
    named = names.capture.kernels["name"].astype(str)
    assert np.isnan(verdict[named.str.startswith(("trans_", "hcom")).to_numpy()]).all()
    assert label(names.capture, VOCABULARY).mode == "eager"


def ends(whole: str, cut: str = "") -> Ends:
    """Of each step whether it is known to be whole (w), and of which is known that its begin (b) or end (e) is cut."""
    cut = cut or "." * len(whole)
    return Ends(*(np.array([one == mark for one in text]) for text, mark in ((whole, "w"), (cut, "b"), (cut, "e"))))


def test_incomplete_and_slow_steps_are_named() -> None:
    walls = np.array([500, 100, 101, 99, 60])
    notes = steady_steps(walls, ["decode"] * 5, [8, 8, 8, 8, 5], ends("wwww."))
    assert [note is None for note in notes] == [False, True, True, True, False]
    assert "warm-up" in str(notes[0])
    assert "5 layers instead of 8" in str(notes[4])


@pytest.mark.parametrize(("layers", "whole"), [([7, 8, 6], ".w."), ([7, 8, 7], ".w."), ([8, 7, 8], "...")])
def test_a_step_that_may_be_cut_does_not_say_what_is_usual(layers: list[int], whole: str) -> None:
    notes = steady_steps(np.array([70, 100, 60]), ["decode"] * 3, layers, ends(whole))
    assert [note is None for note in notes] == [count == 8 for count in layers]


def test_what_is_known_to_be_cut_is_not_steady_whatever_it_holds() -> None:
    notes = steady_steps(np.array([90, 100, 80]), ["decode"] * 3, [8, 8, 8], ends(".w.", "b.e"))
    assert [str(note) for note in notes] == [
        "cut off by the beginning of the recording",
        "None",
        "cut off by the end of the recording",
    ]


@pytest.mark.parametrize("core", ["PromptFlashAttention", "FlashAttentionScore"])
def test_an_encoder_is_neither_prefill_nor_decode(core: str) -> None:
    labelled = label(encoded(core).capture, VOCABULARY)
    assert set(labelled.steps["phase"].astype(str)) == {"unknown"}
    assert not labelled.training
