"""A diagnosis put into words: what the capture is, what it lacks for which answer, and how to record a better one."""

from __future__ import annotations

from skadvisor.doctor.diagnosis import Diagnosis
from skadvisor.report.cells import Grid
from skadvisor.report.document import Code, Document, Item, Section, Summary
from skadvisor.report.glossary import explain_words
from skadvisor.report.wording import MODE_NAMES, PHASE_NAMES, Wording, clip
from skadvisor.text.messages import _

GRADE_NAMES = {"good": _("good"), "weaker": _("limited"), "none": _("impossible")}
ANSWER_NAMES = {
    "steps": _("steps"),
    "labels": _("labels"),
    "shares": _("shares of time"),
    "overhead": _("launch overhead"),
    "placement": _("placement of the scope"),
    "ranks": _("ranks compared"),
}
CHECK_NAMES = {
    "parsed": _("parsed"),
    "complete": _("complete"),
    "level": _("profiler level"),
    "shapes": _("shapes"),
    "pmu": _("core times"),
    "mode": _("mode"),
    "phase": _("phase"),
    "host_bound": _("host-bound"),
    "step_count": _("number of steps"),
    "step_marks": _("step marks"),
    "warm_up": _("warm-up"),
    "graph_replay": _("graph replay"),
    "super_kernels": _("SuperKernels"),
    "ranks": _("ranks"),
}
#: The order in which findings are shown.
ORDER = ("block", "warn", "unknown", "pass")


def describe_diagnosis(diagnosis: Diagnosis, language: str = "en") -> Document:
    """The document of a diagnosis."""
    wording = Wording(language)
    headline = (
        wording.say(_("This capture can say where a scope belongs."))
        if diagnosis.usable
        else wording.say(_("This capture holds too little to say where a scope belongs."))
    )
    title = wording.say(_("Diagnosis of {capture}"), capture=clip(diagnosis.path.rstrip("/").rpartition("/")[2], 80))
    made = (_grades(diagnosis, wording), _findings(diagnosis, wording), _recording(diagnosis, wording))
    sections = tuple(section for section in made if section is not None)
    return explain_words(
        Document(title, language, Summary(headline, facts=_facts(diagnosis, wording)), sections), wording
    )


def _facts(diagnosis: Diagnosis, wording: Wording) -> tuple[tuple[str, str], ...]:
    separator = wording.say(_(", "))
    steps = separator.join(f"{count} {wording.name(PHASE_NAMES, phase)}" for phase, count in diagnosis.phases.items())
    rank = "-" if diagnosis.rank is None else str(diagnosis.rank)
    if len(diagnosis.ranks) > 1:
        rank = wording.say(_("{count}, examined {rank}"), count=len(diagnosis.ranks), rank=rank)
    return (
        (wording.say(_("Capture")), clip(diagnosis.path, 300)),
        (wording.say(_("Producer")), f"{clip(diagnosis.producer)}{separator}{clip(diagnosis.level)}"),
        (wording.say(_("Mode")), wording.name(MODE_NAMES, diagnosis.mode)),
        (wording.say(_("Kernels")), f"{diagnosis.kernels:,}"),
        (wording.say(_("Steps")), steps or "-"),
        (wording.say(_("Ranks")), rank),
    )


def _grades(diagnosis: Diagnosis, wording: Wording) -> Section | None:
    grid = Grid([*diagnosis.grades.items()], wording)
    grid.words(_("Answer"), lambda row: wording.name(ANSWER_NAMES, row[0]))
    grid.words(_("With this capture"), lambda row: wording.name(GRADE_NAMES, row[1]))
    return grid.section("answers", wording.say(_("What it can answer")))


def _findings(diagnosis: Diagnosis, wording: Wording) -> Section:
    items = tuple(
        Item(
            wording.sentence(finding.message),
            finding.status,
            wording.name(CHECK_NAMES, finding.check),
            wording.sentence(finding.remedy) if finding.status != "pass" else "",
        )
        for finding in sorted(diagnosis.findings, key=lambda finding: ORDER.index(finding.status))
    )
    return Section("findings", wording.say(_("What was looked at")), items=items)


def _recording(diagnosis: Diagnosis, wording: Wording) -> Section | None:
    if not diagnosis.snippet:
        return None
    language = "bash" if diagnosis.snippet.lstrip().startswith("export") else "python"
    code = Code("", language, wording.comments(diagnosis.snippet.rstrip()))
    return Section("recording", wording.say(_("How to record a better one")), codes=(code,))
