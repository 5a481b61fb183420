"""A verification put into words: one line per check, then what the compile log took in and left out."""

from __future__ import annotations

from collections import Counter

from skadvisor.records import Status
from skadvisor.report.cells import Grid
from skadvisor.report.document import Code, Document, Item, Section, Summary, Table
from skadvisor.report.glossary import explain_words
from skadvisor.report.wording import LONGEST_VALUE, Wording
from skadvisor.text.messages import _
from skadvisor.verification.checks import Verification
from skadvisor.verification.compile_log import CompileLog

ANSWER_NAMES = {"proven": _("proven"), "refuted": _("refuted"), "not_proven": _("not proven")}
STATUSES: dict[str, Status] = {"proven": "pass", "refuted": "block", "not_proven": "unknown"}
CHECK_NAMES = {"compile": _("compiled in"), "output": _("same output"), "performance": _("faster")}
#: Scopes and left-out operators in a table.
MOST_ROWS = 60


def describe_verification(result: Verification, language: str = "en") -> Document:
    """The document of a verification."""
    wording = Wording(language)
    answers = {check.answer for check in result.checks}
    headline = wording.say(
        _("Refuted: a check failed.")
        if "refuted" in answers
        else _("Proven: every check that was asked for passed.")
        if answers == {"proven"}
        else _("Not proven yet; the commands that would prove it are below.")
    )
    items = tuple(
        Item(
            wording.sentence(check.message),
            STATUSES[check.answer],
            wording.say(
                _("{check} ({answer})"),
                check=wording.name(CHECK_NAMES, check.name),
                answer=wording.name(ANSWER_NAMES, check.answer),
            ),
        )
        for check in result.checks
    )
    proofs = tuple(
        Code(
            wording.say(_("To prove: {check}"), check=wording.name(CHECK_NAMES, check.name)),
            "bash",
            wording.comments(check.prove),
        )
        for check in result.checks
        if check.prove
    )
    sections = [Section("checks", wording.say(_("Checks")), items=items, codes=proofs)]
    if result.compile_log is not None:
        tables = (_scopes(result.compile_log, wording), _left_out(result.compile_log, wording))
        shown = tuple(table for table in tables if table.rows)
        sections.append(Section("log", wording.say(_("In the compile log")), tables=shown))
    title = wording.say(_("Verification of a run with SuperKernel"))
    return explain_words(Document(title, language, Summary(headline), tuple(sections)), wording)


def _scopes(log: CompileLog, wording: Wording) -> Table:
    # Without a word that anything was built, the log does not tell what was taken in and built.
    told = log.built is not None
    grid = Grid(log.scopes[:MOST_ROWS], wording)
    grid.words(_("Scope"), lambda scope: scope.name)
    grid.numbers(_("Operators taken in"), lambda scope: scope.taken if told else None, "", 0)
    grid.numbers(_("SuperKernels built"), lambda scope: scope.built if told else None, "", 0)
    grid.numbers(_("Cuts"), lambda scope: scope.cuts, "", 0)
    return grid.table("scopes", wording.say(_("Scopes")), _cut_note(len(log.scopes), wording))


def _left_out(log: CompileLog, wording: Wording) -> Table:
    reasons = Counter((item.op_type or item.name, item.reason) for item in log.left_out)
    grid = Grid([(*what, count) for what, count in reasons.most_common(MOST_ROWS)], wording)
    grid.words(_("Operator"), lambda row: row[0])
    grid.numbers(_("Kernels"), lambda row: row[2], "", 0)
    grid.words(_("Compiler's reason"), lambda row: row[1], longest=LONGEST_VALUE)
    return grid.table("left_out", wording.say(_("Left out")), _cut_note(len(reasons), wording))


def _cut_note(count: int, wording: Wording) -> str:
    sentence = _("The first {shown} of {all} rows; all are in the JSON file.")
    return wording.cut_note(sentence, min(count, MOST_ROWS), count)
