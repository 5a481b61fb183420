"""The cheapest next experiment: what settles most of the doubt for the effort, of what can be found out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from skadvisor.files.data_files import read_toml
from skadvisor.records import Dependence, Experiment
from skadvisor.text.messages import Message, _

_KINDS = ("operator", "fact", "prior")


def choose_experiment(hangs_on: Sequence[Dependence], *, has_pmu: bool, has_probe: bool) -> Experiment | None:
    """The experiment of greatest settled doubt for its effort; None where nothing flips the choice.

    The doubt is the sum of the chances of all that would flip it. `has_pmu` and `has_probe` say what is known already.
    """
    doubt = sum(one.chance for one in hangs_on)
    if doubt <= 0:
        return None
    known = {"no_pmu": not has_pmu, "no_probe": not has_probe}
    settles = {
        entry["name"]: sum(one.chance * entry.get(one.kind, 0.0) for one in hangs_on) / doubt
        for entry in _experiments()
        if known.get(entry.get("needs", ""), True)
    }
    efforts = {entry["name"]: entry["effort_hours"] for entry in _experiments()}
    best = max(settles, key=lambda name: settles[name] / efforts[name], default=None)
    if best is None or settles[best] <= 0:
        return None
    return Experiment(
        name=best, settles=round(settles[best], 3), effort_hours=efforts[best], message=_say(best, hangs_on)
    )


def _say(name: str, hangs_on: Sequence[Dependence]) -> Message:
    first = {kind: next((one.name for one in hangs_on if one.kind == kind), "") for kind in _KINDS}
    if name == "option" and first["fact"] == "hardware":
        return Message(_("say which chip it is (--hardware)"))
    sentences = {
        "option": _("say whether {fact} holds (--{option} or --no-{option})"),
        "compile_log": _("compile attention-only once and look for {operator} in its log: taken in, or refused"),
        "probe": _("run the probe once on this machine (skadvisor capture --probe), and give it to calibrate"),
        "pmu_capture": _("record once more with PMU columns (PipeUtilization): they show the heads of kernels"),
        "timed_runs": _("five timed runs with the scope off and on"),
    }
    return Message(
        sentences[name],
        fact=first["fact"],
        option=first["fact"].replace("_", "-"),
        operator=first["operator"],
    )


@cache
def _experiments() -> tuple[dict[str, Any], ...]:
    return tuple(read_toml(Path(__file__).with_name("experiments.toml"))["experiment"])
