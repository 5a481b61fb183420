"""Published pairs against what is foretold of them, and the population that is learned from them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from conftest import REPOSITORY

from skadvisor import analyze
from skadvisor.gain.outcomes import base_rate, published_pairs, repeats
from skadvisor.gain.overhead import OverheadModel
from skadvisor.gain.population import Observation, Population, published_observations, published_population
from skadvisor.gain.published import RIVALS, compare_published, score
from skadvisor.gain.published_text import describe_published
from skadvisor.gain.shrinkage import Shrinkage, fit_shrinkage, published_shrinkage
from skadvisor.report.markdown import render_markdown


@pytest.fixture(scope="module")
def comparisons():
    return compare_published()


def test_the_kept_fit_is_that_of_the_published_table():
    kept, fitted = published_population().fit, Population(published_observations()).fit
    assert kept.nets == fitted.nets, "run profiles/train_population.py"
    np.testing.assert_allclose(kept.drawn, fitted.drawn, rtol=1e-9)
    np.testing.assert_allclose(kept.log_weight, fitted.log_weight, rtol=1e-6, atol=1e-9)


def quantiles(population, **options):
    return np.quantile(population.draw(4001, **options).recovered, (0.1, 0.5, 0.9))


@pytest.mark.parametrize(("level", "nets"), [("step", 3), ("block", 5)])
def test_nets_left_out_are_foretold_better_than_by_the_claim_or_a_constant(comparisons, level, nets):
    mine = [one for one in comparisons if one.pair.level == level]
    ours, claim, constant = (score(mine, RIVALS[name]) for name in ("this model", "claim", "constant"))
    assert ours.nets == nets and ours.coverage >= 0.8
    assert ours.error < constant.error < claim.error
    # of blocks a constant is as good an interval, which is why their estimates are drawn to it
    assert ours.interval_score < (constant if level == "step" else claim).interval_score
    assert (published_shrinkage(level).weight < 1.0) == (level == "block")


def test_the_document_shows_every_pair_with_its_rivals_and_the_base_rate(comparisons):
    document = describe_published(comparisons)
    tables = {table.name: table for section in document.sections for table in section.tables}
    first = [row[0].text for row in tables["pairs"].rows]
    assert first == [f"{one.pair.net}, {one.pair.what} ({one.pair.level})" for one in comparisons]
    assert [row[0].text for row in tables["step"].rows] == list(RIVALS)
    recovered = {row[0].text: row[1].text for row in tables["recovered"].rows}
    assert recovered["GELU net: 26.1 µs at 5 boundaries"] == "111%"
    assert recovered["fifty layers: 22.6 µs at 4 boundaries"] == "37%"
    assert "<= 0" in [row[1].text for row in tables["pairs"].rows]
    assert "median gain is 1.0 %, 1 of 6 above 2.5 %" in document.summary.headline


def test_a_score_counts_every_net_once(comparisons):
    nets = Counter(one.pair.net for one in comparisons)
    assert nets["DeepSeek-V4-Flash"] > 10
    most = [one for one in comparisons if one.pair.net in ("DeepSeek-V4-Flash", "GELU net")]
    errors = {net: np.mean([abs(one.estimate[1] - one.pair.measured_pct) for one in most if one.pair.net == net])
              for net in ("DeepSeek-V4-Flash", "GELU net")}  # fmt: skip
    assert score(most, RIVALS["this model"]).error == pytest.approx(np.mean(list(errors.values())))


def test_measured_gains_are_the_published_ones():
    gains = {(pair.net, pair.level): round(pair.measured_pct, 1) for pair in published_pairs()}
    assert gains["hy3 295B", "step"] == 2.2 and gains["Kimi K3", "step"] == 2.0
    assert gains["MoE example", "block"] == 5.6 and gains["GELU net", "block"] == 4.7
    assert gains["fifty layers", "block"] == 1.8
    assert all(pair.source and pair.timing and (pair.vanished or 0) <= pair.boundaries for pair in published_pairs())
    assert set(base_rate().step_pct) >= {2.2, 2.0, 13.4, 0.0}
    assert repeats("block") and repeats("step")


def test_configurations_of_a_net_do_not_sharpen_what_is_known_of_others():
    one = Observation(net="a", level="block", gain_pct=4.0, overhead_pct=10.0)
    again = [Observation(net="a", level="block", gain_pct=4.0, overhead_pct=10.0) for _ in range(20)]
    nets = [Observation(net=f"net {n}", level="block", gain_pct=4.0, overhead_pct=10.0) for n in range(20)]
    widths = [np.ptp(np.log(quantiles(Population(seen)))) for seen in ([one], again, nets)]
    assert widths[2] < 0.7 * widths[1] and widths[1] > 0.8 * widths[0]


def test_what_is_recovered_follows_the_measurements_and_leaving_a_net_out_forgets_it():
    def seen(gain_pct):
        return [Observation(net=f"{n}", level="block", gain_pct=gain_pct, overhead_pct=10.0) for n in range(6)]

    low, high = Population(seen(2.0)), Population(seen(10.0))
    assert quantiles(low)[1] == pytest.approx(0.2, rel=0.3) and quantiles(high)[1] == pytest.approx(1.0, rel=0.2)
    other = Observation(net="other", level="block", gain_pct=12.0, overhead_pct=10.0)
    everyone = Population([*seen(2.0), other])
    assert quantiles(everyone)[2] > 1.2 * quantiles(low)[2]
    assert quantiles(everyone, without=frozenset({"other"})) == pytest.approx(quantiles(low), rel=0.2)


def test_a_machine_that_was_measured_replaces_what_other_nets_recovered():
    population = Population(published_observations(), machine=(0.9, 0.2))
    assert quantiles(population) == pytest.approx([0.9 * np.exp(-0.256), 0.9, 0.9 * np.exp(0.256)], rel=0.05)
    assert OverheadModel(population).population is population


def test_the_recompile_noise_is_that_of_the_repeats():
    noise = published_population().draw(4001).recompile
    assert 1.5 < noise["block"].std() < noise["step"].std() < 7.7


def test_estimates_are_drawn_to_the_base_rate_only_where_they_do_not_beat_it():
    random = np.random.default_rng(5)
    overheads = np.geomspace(2, 40, 8)
    fits = [
        [Observation(net=f"{n}", level="block", gain_pct=0.45 * x, overhead_pct=x) for n, x in enumerate(overheads)],
        [
            Observation(net=f"{n}", level="block", gain_pct=random.normal(5.0, 0.5), overhead_pct=x)
            for n, x in enumerate(overheads)
        ],
    ]
    follows, stays = (fit_shrinkage(Population(seen), seen, "block") for seen in fits)
    assert follows.weight == 1.0 and stays.weight < 0.5
    assert stays.factor(1.0) > 1 > stays.factor(30.0) and follows.factor(1.0) == 1.0
    assert stays.factor(0.0) == stays.factor(-1.0) == 1.0 and Shrinkage("block", 0.0, 5.0, 3).factor(1e-6) == 3.0
    assert published_shrinkage("step").nets == 3 and published_shrinkage("block").nets == 5


def test_the_documentation_shows_the_table_as_it_is_printed(comparisons):
    page = (REPOSITORY / "docs" / "gain.md").read_text(encoding="utf-8")
    printed = render_markdown(describe_published(comparisons))
    assert page.endswith(printed[printed.index("| Net, pair") :]), "paste what calibrate --published -o x.md writes"


def test_the_base_rate_stands_beside_the_advice_in_the_records():
    advised = analyze(REPOSITORY / "profiles" / "moe-decode").result.recommendation
    assert advised.base_rate == base_rate() and advised.base_rate.source
    assert any(
        "6 public pairs of whole steps the median gained 1.0 %, and 1 more" in str(m) for m in advised.robustness
    )
