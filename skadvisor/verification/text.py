"""A verification as short text: one line per check, then what the compile log left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from skadvisor.text.messages import Message, _
from skadvisor.text.plain_text import plain
from skadvisor.verification.checks import Verification
from skadvisor.verification.compile_log import CompileLog

_MARKS = {"pass": _("pass"), "warn": _("look"), "block": _("FAIL"), "unknown": _("unknown")}
_MOST = 20


def render_verification(result: Verification, translate: Callable[[str], str] = str) -> str:
    """One line per check and the details of the compile log."""
    lines = [
        f"{translate(_MARKS[check.status]):<8} {check.name}: {plain(check.message.render(translate), 500)}"
        for check in result.checks
    ]
    if result.compile_log is not None:
        lines += _log_lines(result.compile_log, translate)
    return "\n".join(lines) + "\n"


def _log_lines(log: CompileLog, translate: Callable[[str], str]) -> list[str]:
    lines = []
    for scope in log.scopes[:_MOST]:
        told = Message(
            _("scope {name}: {taken} operators taken in, {built} SuperKernels, {cuts} cuts"),
            name=plain(scope.name),
            taken=scope.taken,
            built=scope.built,
            cuts=scope.cuts,
        )
        lines.append(f"  {told.render(translate)}")
    if len(log.scopes) > _MOST:
        more = Message(_("and {count} more scopes"), count=len(log.scopes) - _MOST)
        lines.append(f"  {more.render(translate)}")
    reasons = Counter((item.op_type or item.name, item.reason) for item in log.left_out)
    for (name, reason), count in reasons.most_common(_MOST):
        told = Message(
            _("left out: {name} ({count} times): {reason}"), name=plain(name), count=count, reason=plain(reason)
        )
        lines.append(f"  {told.render(translate)}")
    lines += [f"  {problem.render(translate)}" for problem in log.problems]
    return lines
