"""The screening sheet put into words, and as the YAML that comes back filled in."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from skadvisor.plan.screening import Power, Run, Sheet
from skadvisor.report.cells import Grid
from skadvisor.report.document import Document, Item, Section, Summary
from skadvisor.report.glossary import explain_words
from skadvisor.report.wording import BASIS_NAMES, LONGEST_VALUE, Wording
from skadvisor.text.messages import _

Translate = Callable[[str], str]


def sheet_yaml(sheet: Sheet, translate: Translate = str) -> str:
    """The sheet as YAML, with empty fields for the results."""
    from ruamel.yaml import YAML

    data = {
        "runs": [_run(run, translate) for run in sheet.runs],
        "power": [_power(power) for power in sheet.power],
        "left_out": [message.render(translate) for message in sheet.left_out],
        "total_runs": sheet.total_runs,
    }
    stream = io.StringIO()
    writer = YAML()
    writer.width = 120
    writer.dump(data, stream)
    return stream.getvalue()


def _run(run: Run, translate: Translate) -> dict[str, Any]:
    return {
        "order": run.order,
        "name": run.name,
        "kind": run.kind,
        "superkernel": run.kind != "baseline",
        "template": run.template,
        "variant": run.variant or None,
        "options": run.options,
        "repeats": run.repeats,
        "expected_pct": None
        if run.expected_mid_pct is None
        else {"low": run.expected_low_pct, "mid": run.expected_mid_pct, "high": run.expected_high_pct},
        "go_on_if": run.go_on_if.render(translate),
        "stop_if": run.stop_if.render(translate),
        "decode_latency_ms": [],
    }


def _power(power: Power) -> dict[str, Any]:
    return {
        "gain_pct": power.gain_pct,
        "step_cv_pct": None if power.step_cv_pct is None else round(power.step_cv_pct, 3),
        "steps_per_run": power.steps_per_run,
        "between_runs_pct": power.between_pct,
        "between_runs_basis": "assumed" if power.between_assumed else "measured",
        "run_cv_pct": round(power.run_cv_pct, 3),
        "runs_per_side": power.runs,
        "smallest_visible_pct": round(power.smallest_visible_pct, 3),
    }


def describe_sheet(sheet: Sheet, language: str = "en") -> Document:
    """The document of a sheet: the runs in order, the power analysis, and what was left out."""
    wording = Wording(language)
    headline = wording.say(_("No scope is worth a run on this capture."))
    if sheet.runs:
        headline = wording.say(_("{count} runs in all."), count=sheet.total_runs)
    made = (_runs(sheet, wording), _power_section(sheet, wording), _left_out(sheet, wording))
    sections = tuple(section for section in made if section is not None)
    title = wording.say(_("Screening sheet"))
    return explain_words(Document(title, language, Summary(headline), sections), wording)


def _runs(sheet: Sheet, wording: Wording) -> Section | None:
    grid = Grid(sheet.runs, wording)
    grid.numbers("#", lambda run: run.order, "", 0)
    grid.words(_("Run"), lambda run: run.name)
    grid.words(_("Options"), lambda run: run.options or "-", 1)
    grid.numbers(_("Repeats"), lambda run: run.repeats, "", 0)
    grid.numbers(_("Estimate"), lambda run: run.expected_mid_pct, "%", missing="")
    grid.intervals(_("Interval"), lambda run: (run.expected_low_pct, run.expected_high_pct), 1, "")
    grid.words(_("Go on if"), lambda run: wording.sentence(run.go_on_if), 2, LONGEST_VALUE)
    grid.words(_("Stop if"), lambda run: wording.sentence(run.stop_if), 2, LONGEST_VALUE)
    return grid.section("runs", wording.say(_("Runs in order")))


def _power_section(sheet: Sheet, wording: Wording) -> Section | None:
    items = tuple(Item(_power_line(power, wording)) for power in sheet.power)
    return Section("power", wording.say(_("What so many runs can show")), items=items) if items else None


def _left_out(sheet: Sheet, wording: Wording) -> Section | None:
    items = tuple(Item(wording.sentence(message)) for message in sheet.left_out)
    return Section("left_out", wording.say(_("Left out")), items=items) if items else None


def _power_line(power: Power, wording: Wording) -> str:
    figures = {
        "gain": wording.percent(power.gain_pct),
        "spread": wording.percent(power.step_cv_pct),
        "between": wording.percent(power.between_pct),
        "basis": wording.name(BASIS_NAMES, "assumed" if power.between_assumed else "measured"),
    }
    if power.runs is None:
        return wording.say(
            _(
                "a gain of {gain}: step spread {spread}, between runs {between} ({basis}): cannot be seen with a "
                "reasonable number of runs"
            ),
            **figures,
        )
    return wording.say(
        _(
            "a gain of {gain}: step spread {spread}, between runs {between} ({basis}): {runs} runs per side see it "
            "with a chance of 80 %; they see nothing below {visible}"
        ),
        **figures,
        runs=power.runs,
        visible=wording.percent(power.smallest_visible_pct),
    )
