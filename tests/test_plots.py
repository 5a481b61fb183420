"""Figures: they draw what the records say, into the Axes they are given, and never show anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations

import matplotlib
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from example_results import ALL, dense_decode, eager_refusal, hostile, moe_decode

from skadvisor.records import LAYER_REGIONS, REGIONS
from skadvisor.report import plots
from skadvisor.report.palette import GAP_COLOURS, REGION_COLOURS, contrast, text_on

RESULT_FIGURES = (plots.region_shares, plots.gains, plots.layer_strip, plots.steps)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("figure", RESULT_FIGURES)
def test_figures_of_a_result_draw_into_the_given_axes(name: str, figure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plt, "show", lambda *_: pytest.fail("a figure was shown"))
    ax = plt.subplots()[1]
    assert figure(ALL[name](), ax=ax) is ax
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", ["dense", "moe", "toy", "hostile"])
def test_figures_of_a_part_draw(name: str) -> None:
    result = ALL[name]()
    for ax in (
        plots.layer_timeline(result.typical_layers[0]),
        plots.gain_terms(result.templates[0]),
        plots.breakers(result.templates[0]),
    ):
        assert ax.patches
        assert "µs" in ax.get_xlabel()
        ax.figure.canvas.draw()


def test_shares_add_up_to_the_step() -> None:
    for result in (dense_decode(), eager_refusal()):
        ax = plots.region_shares(result)
        for place, phase in enumerate(result.phases):
            drawn = sum(bar.get_width() for bar in ax.patches if round(bar.get_y() + bar.get_height() / 2) == place)
            record = result.phases[phase]
            told = sum(region.exposed_us for region in result.regions if region.phase == phase) + record.gap_us
            assert drawn == pytest.approx(100 * told / record.wall_us)


def test_timeline_has_a_box_for_every_kernel() -> None:
    typical = moe_decode().typical_layers[1]
    ax = plots.layer_timeline(typical)
    end = max(kernel.start_us + kernel.dur_us for kernel in typical.kernels)
    told = sorted(100 * kernel.dur_us / end for kernel in typical.kernels)
    assert sorted(bar.get_width() for bar in ax.patches) == pytest.approx(told, abs=0.01)


def test_waterfall_ends_at_the_sum_of_the_terms() -> None:
    template = dense_decode().templates[0]
    ax = plots.gain_terms(template)
    last, total = ax.patches[len(template.terms) - 1], ax.patches[len(template.terms)]
    end = total.get_x() + total.get_width()
    # The thinnest bar is 0.3 % wide.
    assert any(edge == pytest.approx(end, abs=0.31) for edge in (last.get_x() + last.get_width(), last.get_x()))


def test_dollar_signs_of_names_are_no_mathematics() -> None:
    from dataclasses import replace

    template = hostile().templates[0]
    odd = replace(template, breakers=(replace(template.breakers[0], op_type=r"$\frac{1}$"),))
    plots.breakers(odd).figure.canvas.draw()


def test_importing_plots_loads_no_matplotlib() -> None:
    code = "import sys, skadvisor.report.plots; sys.exit('matplotlib' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_region_has_a_colour_that_letters_can_stand_on() -> None:
    assert set(REGION_COLOURS) == set(REGIONS)
    assert len(set(REGION_COLOURS.values())) == len(REGIONS)
    for colour in (REGION_COLOURS | GAP_COLOURS).values():
        assert contrast(colour, text_on(colour)) >= 4.5


def _linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


#: Machado, Oliveira and Fernandes (2009), severity 1: how colour-blind eyes see linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


@pytest.mark.parametrize("eyes", BLINDNESS)
def test_colour_blind_eyes_tell_the_regions_of_a_layer_apart(eyes: str) -> None:
    seen = {region: _lab(BLINDNESS[eyes] @ _linear(REGION_COLOURS[region])) for region in LAYER_REGIONS}
    for one, other in combinations(LAYER_REGIONS, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)
