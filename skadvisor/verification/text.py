"""A verification as short text: the answer of each check, how to prove what is not proven, then the compile log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from skadvisor.text.messages import Message, _
from skadvisor.text.plain_text import plain
from skadvisor.verification.checks import Verification
from skadvisor.verification.compile_log import CompileLog

_ANSWERS = {"proven": _("proven"), "refuted": _("refuted"), "not_proven": _("not proven")}
_CHECKS = {"compile": _("compiled in"), "output": _("same output"), "performance": _("faster")}
_MOST = 20
_LONGEST = 1_000


def render_verification(result: Verification, translate: Callable[[str], str] = str) -> str:
    """The answer of each check with what proves or would prove it, and the details of the compile log."""
    lines = []
    for check in result.checks:
        said = plain(check.message.render(translate), _LONGEST)
        lines.append(f"{translate(_ANSWERS[check.answer])}: {translate(_CHECKS[check.name])}: {said}")
        if check.prove:
            proof = Message(_("to prove it: {command}"), command=check.prove)
            lines.append(f"  {proof.render(translate)}")
    if result.compile_log is not None:
        lines += _log_lines(result.compile_log, translate)
    return "\n".join(lines) + "\n"


def _log_lines(log: CompileLog, translate: Callable[[str], str]) -> list[str]:
    lines = []
    for scope in log.scopes[:_MOST]:
        told = Message(
            _("scope {name}: {cuts} cuts")
            if log.built is None
            else _("scope {name}: {taken} operators taken in, {built} SuperKernels, {cuts} cuts"),
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
    return lines
