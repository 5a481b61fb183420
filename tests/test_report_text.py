"""The terminal view and Markdown: they fit the width, colour only when told, and keep hostile names as text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from example_results import ALL, dense_decode, eager_refusal, hostile, moe_decode, toy_decode
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from skadvisor.records import Result
from skadvisor.report import verdict
from skadvisor.report.build import describe_result
from skadvisor.report.markdown import render_markdown
from skadvisor.report.text import render_text as render


def render_text(result: Result, language: str = "en", **options: int) -> str:
    return render(describe_result(result, language), **options)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_text_keeps_to_the_width(name: str, width: int) -> None:
    text = render_text(ALL[name](), width=width, detail=True)
    assert max(cell_len(line) for line in text.splitlines()) <= width


@settings(max_examples=12, deadline=None)
@given(width=st.integers(40, 200))
def test_no_width_loses_the_figures_of_the_templates(width: int) -> None:
    squeezed = re.sub(r"\s", "", render_text(moe_decode(), width=width))
    assert "53.0" in squeezed
    assert "3.3" in squeezed


@pytest.mark.parametrize("name", ALL)
def test_text_has_escape_codes_only_when_told(name: str) -> None:
    result = ALL[name]()
    plain, coloured = render_text(result), render_text(result, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    visible = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert "\x1b" not in visible
    assert [line.rstrip() for line in visible.splitlines()] == plain.splitlines()


def test_text_ignores_the_environment_it_runs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = render_text(dense_decode())
    for name, value in {"NO_COLOR": "1", "FORCE_COLOR": "1", "COLUMNS": "20", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    assert render_text(dense_decode()) == usual


def test_text_starts_with_the_verdict_and_the_first_screen_is_short() -> None:
    text = render_text(moe_decode(), width=120)
    assert text.splitlines()[0] == verdict(moe_decode())
    assert text.index("Templates compared") < len("\n".join(text.splitlines()[:22]))


def test_verdict_says_estimate_and_claim() -> None:
    sentence = verdict(dense_decode())
    assert "attention-only" in sentence
    assert "2.6 % shorter" in sentence and "0.9 to 4.4 %" in sentence
    assert re.search(r"Claim by share +11\.0 to 16\.3 %", render_text(dense_decode()))


def test_refusal_names_its_reason_and_its_figures() -> None:
    text = render_text(eager_refusal())
    assert text.startswith("Host-bound: the device waits for the host during 87.8 % of the decode step.")
    assert "24,060.0 µs = kernels 2,810.0 µs + gaps 21,250.0 µs" in text
    assert "Templates compared" not in text


def test_a_refusal_shows_the_template_that_it_refuses_once() -> None:
    text = render_text(toy_decode())
    assert "the best one, full-model, is expected" in " ".join(text.split())
    assert "Runner-up" not in text


@pytest.mark.parametrize(
    ("choice", "margin", "words"),
    [
        ("attention-only", 4.0, "full-model, 4.0 µs behind"),
        ("attention-only", -4.0, "full-model, 4.0 µs better, but riskier"),
        ("attention-only", 0.02, "full-model, which wins as much"),
    ],
)
def test_a_better_runner_up_is_not_said_to_be_behind(choice: str, margin: float, words: str) -> None:
    base = dense_decode()
    advised = replace(base.recommendation, choice=choice, runner_up="full-model", margin_us=margin)
    assert words in render_text(replace(base, recommendation=advised))


def test_a_choice_within_the_noise_is_not_sold_as_a_gain() -> None:
    base = dense_decode()
    advised = replace(base.recommendation, choice="full-model")
    assert "only if a trial is cheap" in verdict(replace(base, recommendation=advised))
    assert "within the noise" in verdict(replace(base, recommendation=advised))


@pytest.mark.parametrize("name", ALL)
def test_the_first_screen_says_nothing_twice(name: str) -> None:
    summary = describe_result(ALL[name]()).summary
    lines = [
        summary.headline,
        summary.reason,
        *(line for points in summary.lists if points.title != "Warnings" for line in points.lines),
    ]
    plain = [re.sub(r"\W+", " ", line).strip().lower() for line in lines if line]
    assert len(set(plain)) == len(plain)
    assert not any(one != other and one in other for one in plain for other in plain)


def test_breakers_that_cost_nothing_block_nothing() -> None:
    base = dense_decode()
    cheap = tuple(
        replace(template, breakers=tuple(replace(breaker, cost_us=0.0) for breaker in template.breakers))
        for template in base.templates
    )
    assert "What costs gain" not in render_text(replace(base, templates=cheap))


def test_terminal_view_leaves_details_to_files() -> None:
    result = moe_decode()
    assert "One typical layer" not in render_text(result)
    assert "MlaProlog" in render_text(result, detail=True)


def test_control_characters_of_names_become_visible() -> None:
    for text in (render_text(hostile(), detail=True), render_markdown(describe_result(hostile()))):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert "u202e" in text


def test_long_names_are_cut_with_their_length() -> None:
    text = render_text(hostile(), width=200, detail=True)
    assert "[10000]" in text
    assert "x" * 400 not in re.sub(r"\s", "", text)


def test_markdown_holds_no_markup_from_names() -> None:
    text = render_markdown(describe_result(hostile()))
    tags = set(re.findall(r"<(/?\w+)", text))
    assert tags == {"sub", "/sub"}
    assert not re.search(r"(?<!\\)\[link(?<!\\)\]", text)
    assert "http://" not in text


@pytest.mark.parametrize("name", ALL)
def test_markdown_tables_are_rectangular(name: str) -> None:
    block: list[int] = []
    for line in [*render_markdown(describe_result(ALL[name]())).splitlines(), ""]:
        if line.startswith("|"):
            block.append(len(re.findall(r"(?<!\\)\|", line)))
        else:
            assert len(set(block)) <= 1, line
            block = []


@pytest.mark.parametrize("name", ["dense", "moe", "toy", "eager"])
def test_every_number_column_of_time_says_its_unit(name: str) -> None:
    for section in describe_result(ALL[name]()).sections:
        for table in section.tables:
            for column in table.columns:
                if re.search(r"(?i)\b(wall|exposed|busy|gap|gaps|duration|start|span)\b|Share of", column.title):
                    assert column.unit in ("µs", "ms", "%") or not column.numeric, (table.name, column.title)


def test_abbreviations_are_explained_where_they_first_appear() -> None:
    text = render_markdown(describe_result(moe_decode()))
    for short in ("MoE", "MLA", "P90", "µs"):
        meaning = re.search(rf"{short}(?: =| \()", text)
        assert meaning, short
    assert text.count("mixture of experts") == 1
