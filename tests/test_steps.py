"""Where one forward pass ends and the next begins."""

from __future__ import annotations

import pytest
from deployments.catalogue import labelled
from deployments.written import SMALL, cut_off, replayed, without
from sample_builder.build import BuiltCapture
from sample_builder.runs import recorded, run

from skadvisor.analysis import analyze_capture
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


#: Of a step of 100 kernels: how many are missing at the recording's begin and end; whole, steady steps that are left.
WINDOWS = [
    (0, 0, "www", "sss"),
    (80, 80, ".w.", ".s."),
    (1, 3, ".w.", ".s."),
    (50, 150, "..", ".."),
    (130, 60, "..", ".."),
    (98, 0, "ww", "ss"),
    (30, 230, ".", "s"),
]


@pytest.mark.parametrize(("first", "last", "whole", "steady"), WINDOWS)
def test_what_the_recording_cuts_off_is_no_whole_step(first: int, last: int, whole: str, steady: str) -> None:
    steps = label(cut_off(run(SMALL), first, last).capture, VOCABULARY).steps
    assert steps["whole"].tolist() == [one == "w" for one in whole]
    assert steps["steady"].tolist() == [one == "s" for one in steady]


@pytest.mark.parametrize("missing", [("embedding",), ("head", "sampling"), ("embedding", "head", "sampling")])
@pytest.mark.parametrize("steps", [2, 4])
def test_the_stage_of_a_pipeline_is_not_cut(steps: int, missing: tuple[str, ...]) -> None:
    found = label(without(run(SMALL, steps=steps), *missing).capture, VOCABULARY).steps
    assert found["layers"].tolist() == [8] * steps
    assert found["steady"].all()


def test_the_end_of_a_step_that_nobody_saw_is_no_part_of_the_next() -> None:
    kernels = label(cut_off(run(SMALL), 98, 0).capture, VOCABULARY).kernels
    assert kernels["step"].tolist()[:3] == [-1, -1, 0]


@pytest.mark.parametrize(
    ("first", "last", "noticed"), [(0, 0, False), (80, 80, False), (50, 150, True), (0, 230, True)]
)
def test_a_capture_of_no_whole_step_is_noticed(first: int, last: int, noticed: bool) -> None:
    result = analyze_capture(cut_off(run(SMALL), first, last).capture).result
    assert ("no_whole_step" in {notice.code for notice in result.warnings}) is noticed
    assert noticed or result.layers.count == 8


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
