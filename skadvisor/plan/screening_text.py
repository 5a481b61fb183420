"""The screening sheet as YAML and as a table."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from skadvisor.plan.screening import Power, Run, Sheet
from skadvisor.text.messages import Message, _

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


def sheet_table(sheet: Sheet, translate: Translate = str) -> str:
    """The sheet as a Markdown table, with the power analysis and what was left out below."""
    lines = ["# " + translate(_("Screening sheet")), ""]
    if sheet.runs:
        titles = [_("order"), _("run"), _("options"), _("repeats"), _("expected %"), _("go on if"), _("stop if")]
        rows = [
            [
                str(run.order),
                run.name,
                run.options or "-",
                str(run.repeats),
                "-"
                if run.expected_mid_pct is None
                else f"{run.expected_low_pct:.1f} {run.expected_mid_pct:.1f} {run.expected_high_pct:.1f}",
                run.go_on_if.render(translate),
                run.stop_if.render(translate),
            ]
            for run in sheet.runs
        ]
        cells = [[translate(title) for title in titles], *rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
        shown = [
            f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in cells
        ]
        lines += [shown[0], f"| {' | '.join('-' * width for width in widths)} |", *shown[1:], ""]
        lines += [Message(_("{count} runs in all."), count=sheet.total_runs).render(translate), ""]
    else:
        lines += [translate(_("No scope is worth a run on this capture.")), ""]
    lines += [f"- {_power_line(power).render(translate)}" for power in sheet.power]
    if sheet.left_out:
        lines += ["", "## " + translate(_("Left out")), ""]
        lines += [f"- {message.render(translate)}" for message in sheet.left_out]
    return "\n".join(lines) + "\n"


def _power_line(power: Power) -> Message:
    spread = Message(_("unknown")) if power.step_cv_pct is None else Message(_("{cv:.1f} %"), cv=power.step_cv_pct)
    basis = Message(_("assumed")) if power.between_assumed else Message(_("measured"))
    if power.runs is None:
        template = _(
            "a gain of {gain:.1f} %: step spread {spread}, between runs {between:.1f} % ({basis}): cannot be seen "
            "with a reasonable number of runs"
        )
        return Message(template, gain=power.gain_pct, spread=spread, between=power.between_pct, basis=basis)
    template = _(
        "a gain of {gain:.1f} %: step spread {spread}, between runs {between:.1f} % ({basis}): {runs} runs per side "
        "see it with a chance of 80 %; they see nothing below {visible:.1f} %"
    )
    return Message(
        template,
        gain=power.gain_pct,
        spread=spread,
        between=power.between_pct,
        basis=basis,
        runs=power.runs,
        visible=power.smallest_visible_pct,
    )
