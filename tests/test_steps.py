"""Where one forward pass ends and the next begins."""

from __future__ import annotations

import pytest
from deployments.catalogue import labelled
from deployments.written import SMALL, cut_off, replayed
from sample_builder.build import BuiltCapture
from sample_builder.runs import recorded, run

from skadvisor.labelling.labels import label
from skadvisor.labelling.repetition import _is_regular
from skadvisor.vocabulary.operators import load_vocabulary

VOCABULARY = load_vocabulary()


def layers_found(recorded: BuiltCapture) -> list[int]:
    return label(recorded.capture, VOCABULARY).steps["layers"].tolist()


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("bare", [True, False])
def test_steps_of_layers_alone_are_told_apart_like_whole_ones(steps: int, bare: bool) -> None:
    assert layers_found(run(SMALL, steps=steps, outside=not bare)) == [8] * steps


@pytest.mark.parametrize("pause", [0.5, 8.0, 300.0])
def test_the_pause_between_replays_need_not_be_long(pause: float) -> None:
    assert layers_found(recorded(SMALL, body=replayed, pause=pause)) == [8, 8, 8]


def test_a_capture_of_layers_that_begins_and_ends_within_steps() -> None:
    found = layers_found(cut_off(run(SMALL, steps=4, outside=False), 30, 40))
    assert len(found) == 4
    assert found[1:3] == [8, 8]


def test_a_step_cut_short_at_the_end_is_no_draft() -> None:
    found = labelled("cut-early")
    assert "mtp" not in set(found.kernels["layer_kind"].dropna())
    assert len(found.steps) == 3


def test_draft_runs_belong_to_the_step_before_them() -> None:
    kernels = labelled("drafts-3").kernels
    drafts = kernels[kernels["layer_kind"] == "mtp"].groupby("step")["layer"].nunique()
    assert drafts.to_dict() == {0: 3, 1: 3, 2: 3}


@pytest.mark.parametrize(
    ("cuts", "kinds", "regular"),
    [
        ([4, 8], "dddd dddd dddd", True),
        ([4], "dddd dddd", True),
        ([3, 7], "ddd dddd ddd", True),
        ([3, 8], "ddd ddddd ddd", True),
        ([3, 5], "ddd dd dddd", False),
        ([2, 4], "dm dm dm", True),
        ([2, 4], "dm md dm", False),
        ([], "dddd", False),
        ([3], "ddd ddddd", False),
    ],
)
def test_only_what_recurs_is_a_step(cuts: list[int], kinds: str, regular: bool) -> None:
    assert _is_regular(cuts, list(kinds.replace(" ", ""))) is regular
