"""A comparison as Markdown that also reads well in a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from skadvisor.advice.summary import ranges
from skadvisor.comparison.records import Comparison, SuperKernelChange
from skadvisor.text.messages import Message, _
from skadvisor.text.plain_text import plain, table_cell
from skadvisor.vocabulary import superkernel_names

Translate = Callable[[str], str]

VERDICTS = {
    "beneficial": _("beneficial"),
    "promising": _("promising, one run a side"),
    "neutral": _("neutral"),
    "regressed": _("regressed"),
    "insufficient_evidence": _("insufficient evidence"),
    "not_comparable": _("not comparable"),
}
UNITS = {
    "steps": _("decode steps"),
    "executions": _("executions"),
    "blocks": _("repeated blocks"),
    "runs": _("runs"),
}
#: What the headline's times are of.
_SUBJECTS = {
    "steps": _("**Decode step**: {before:.1f} -> {after:.1f} us, gain {pct:+.2f} % ({low:+.2f} to {high:+.2f} %)"),
    "executions": _(
        "**Execution of the graph**: {before:.1f} -> {after:.1f} us, gain {pct:+.2f} % ({low:+.2f} to {high:+.2f} %)"
    ),
    "blocks": _("**Repeated block**: {before:.1f} -> {after:.1f} us, gain {pct:+.2f} % ({low:+.2f} to {high:+.2f} %)"),
}
#: Marks a row whose time was shared out.
_DERIVED = " *"
#: More SuperKernels than this are shown by group only.
_MOST_ROWS = 12


def render_comparison(comparison: Comparison, translate: Translate = str) -> str:
    """The verdict first, then what it rests on."""

    def say(template: str, **values: object) -> str:
        return Message(template, **values).render(translate)

    verdict = translate(VERDICTS[comparison.verdict])
    lines = ["# " + say(_("Verdict: {verdict}"), verdict=verdict), ""]
    if comparison.before is None or comparison.after is None:
        lines += [f"- {reason.code}: {reason.message.render(translate)}" for reason in comparison.reasons]
        lines += ["", say(_("**Do**: {action}"), action=comparison.action)]
        return "\n".join(lines) + "\n"
    lines += [
        say(
            _SUBJECTS.get(comparison.unit, _SUBJECTS["steps"]),
            before=comparison.before.median_us,
            after=comparison.after.median_us,
            pct=comparison.improvement_pct,
            low=comparison.improvement_low_pct,
            high=comparison.improvement_high_pct,
        ),
        "",
        say(_("**Do**: {action}"), action=comparison.action),
        "",
    ]
    lines += [f"> {note.render(translate)}" for note in comparison.notes]
    lines += ["", *_forecast_lines(comparison, say), *_change_tables(comparison, translate)]
    lines += _rank_lines(comparison, translate)
    lines += _superkernel_lines(comparison.superkernels, translate)
    lines += [f"- {plain(item.name)}: {plain(item.reason.render(translate), 400)}" for item in comparison.unmapped]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n") + "\n"


def _forecast_lines(comparison: Comparison, say: Callable[..., str]) -> list[str]:
    forecast = comparison.forecast
    if forecast is None and comparison.template is None:
        return []
    if forecast is None:
        return [say(_("**Forecast for {name}**: the analysis of BEFORE makes none"), name=comparison.template), ""]
    inside = _("**Forecast for {name}**: {low:.1f} to {high:.1f} %, middle {mid:.1f} %; {outcome:.1f} % came, inside")
    outside = _("**Forecast for {name}**: {low:.1f} to {high:.1f} %, middle {mid:.1f} %; {outcome:.1f} % came, outside")
    return [
        say(
            inside if forecast.inside else outside,
            name=forecast.template,
            low=forecast.low_pct,
            high=forecast.high_pct,
            mid=forecast.mid_pct,
            outcome=forecast.outcome_pct,
        ),
        "",
    ]


def _change_tables(comparison: Comparison, translate: Translate) -> list[str]:
    assert comparison.before is not None and comparison.after is not None
    columns = [translate(title) for title in (_("before us"), _("after us"), _("change us"), _("kernels"))]
    rows: list[tuple[object, ...]] = [
        (
            row.region + (_DERIVED if row.basis == "derived" else ""),
            row.before_us,
            row.after_us,
            row.change_us,
            f"{row.kernels_before:g} -> {row.kernels_after:g}",
        )
        for row in comparison.regions
    ]
    gap = translate(_("gap"))
    rows += [(f"{gap}: {row.kind}", row.before_us, row.after_us, row.change_us, "") for row in comparison.gaps]
    lines = ["## " + translate(_("Where the time changed")), ""]
    lines += _table([translate(_("region")), *columns], rows)
    changed = [row for row in comparison.layers if abs(row.change_us) > 0]
    if changed:
        worst = sorted(changed, key=lambda row: row.change_us)
        shown = worst if len(worst) <= _MOST_ROWS else [*worst[:3], *worst[-3:]]
        lines += ["", "## " + translate(_("Layers")), ""]
        lines += _table(
            [translate(_("layer")), *columns[:3]],
            [
                (
                    f"{row.layer} ({row.kind})" + (_DERIVED if row.basis == "derived" else ""),
                    row.before_us,
                    row.after_us,
                    row.change_us,
                )
                for row in shown
            ],
        )
    if "derived" in [*(row.basis for row in comparison.regions), *(row.basis for row in comparison.layers)]:
        lines += ["", translate(_("\\* joined by a SuperKernel: its time is shared out by the shares before"))]
    spread = Message(
        _("{unit}: {before} before (CV {cv_before} %), {after} after (CV {cv_after} %)"),
        unit=Message(UNITS[comparison.unit]),
        before=comparison.before.count,
        cv_before="?" if comparison.before.cv_pct is None else f"{comparison.before.cv_pct:.1f}",
        after=comparison.after.count,
        cv_after="?" if comparison.after.cv_pct is None else f"{comparison.after.cv_pct:.1f}",
    )
    return [*lines, "", spread.render(translate), ""]


def _rank_lines(comparison: Comparison, translate: Translate) -> list[str]:
    if not comparison.ranks:
        return []
    titles = [translate(title) for title in (_("rank"), _("before us"), _("after us"), _("change us"))]
    rows = [
        (
            f"{row.rank}" + (f" ({translate(_('compared here'))})" if row.compared else ""),
            "?" if row.before_us is None else row.before_us,
            "?" if row.after_us is None else row.after_us,
            "?" if row.before_us is None or row.after_us is None else row.after_us - row.before_us,
        )
        for row in comparison.ranks
    ]
    return ["## " + translate(_("Ranks")), "", *_table(titles, rows), ""]


def _superkernel_lines(changes: Sequence[SuperKernelChange], translate: Translate) -> list[str]:
    if not changes:
        return []
    groups: dict[tuple[object, ...], list[SuperKernelChange]] = {}
    for change in changes:
        ends = _ends(change.name)
        alike = (re.sub(r"\d+", "*", change.scope), ends, change.children, change.verdict)
        groups.setdefault((change.name,) if len(changes) <= _MOST_ROWS else alike, []).append(change)
    titles = (
        _("scope"),
        _("layers"),
        _("from ... to"),
        _("count"),
        _("kernels in it"),
        _("before us"),
        _("after us"),
        _("saved us"),
        _("verdict"),
        _("do"),
    )
    rows = [_superkernel_row(members, translate) for members in groups.values()]
    held = dict.fromkeys((_ends(change.name), " + ".join(change.operators)) for change in changes)
    lines = ["## " + translate(_("SuperKernels")), "", *_table([translate(title) for title in titles], rows), ""]
    return [*lines, *(f"- {ends}: {plain(operators, 400)}" for ends, operators in list(held)[:_MOST_ROWS]), ""]


def _superkernel_row(members: Sequence[SuperKernelChange], translate: Translate) -> tuple[object, ...]:
    """The row of a group: the times of the member that saved the middle, so that they belong together."""
    middle = sorted(members, key=lambda item: item.saved_us)[len(members) // 2]
    layers = sorted({layer for member in members for layer in member.layers})
    scopes = list(dict.fromkeys(member.scope for member in members))
    return (
        scopes[0] if len(scopes) == 1 else f"{scopes[0]} ... {scopes[-1]}",
        ranges(layers) if layers else "-",
        _ends(middle.name),
        len(members),
        middle.children,
        middle.before_us,
        middle.after_us,
        middle.saved_us,
        translate(VERDICTS[middle.verdict]),
        middle.action.render(translate),
    )


def _ends(name: str) -> str:
    parts = superkernel_names.parse(name)
    return f"{parts.first} ... {parts.last}" if parts else "?"


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    cells = [[f"{cell:.1f}" if isinstance(cell, float) else table_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(titles), *cells]) for i in range(len(titles))]
    shown = [" | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in [titles, *cells]]
    rule = " | ".join("-" * width for width in widths)
    return [f"| {line} |" for line in (shown[0], rule, *shown[1:])]
