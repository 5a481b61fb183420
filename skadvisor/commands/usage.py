"""What was typed wrongly, in one or two lines: the cause, and what to type."""

from __future__ import annotations

import re
from difflib import get_close_matches

import click

from skadvisor.errors import InputError
from skadvisor.text.messages import Message, _

_NOT_ONE_OF = re.compile(r"'?(?P<value>.*?)'? is not one of (?P<choices>.*?)\.?$", re.DOTALL)
#: What else click says, the problem in our words, and what to do where that is not to see --help.
_SAYINGS = (
    (r"'(?P<value>.*)' is not a valid (integer|float)( range)?\.?$", _("{name} takes a number, not {value}"), ""),
    (
        r"(?P<value>\S+) is not in the range (?P<range>.*?)\.?$",
        _("{name} cannot be {value}"),
        _("It has to be {range}."),
    ),
    (r"Got unexpected extra arguments? \((?P<words>.*)\)$", _("{words} is more than {command} takes"), ""),
    (r"Option '(?P<name>.*)' requires (an|\d+) arguments?\.?$", _("{name} needs a value"), ""),
)


def explain_usage(error: click.ClickException) -> InputError:
    """The error of click as one of ours, which can be said in every language."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "skadvisor"
    help_line = Message(_("See {command} --help."), command=command)
    text = error.message
    if isinstance(error, click.NoSuchOption):
        known = [word for parameter in context.command.params for word in parameter.opts] if context else []
        near = [*(error.possibilities or ()), *get_close_matches(error.option_name, known, n=1)]
        hint = Message(_("Did you mean {near}?"), near=near[0]) if near else help_line
        return InputError(_("{command} has no option {name}"), hint, command=command, name=error.option_name)
    if isinstance(error, click.MissingParameter):
        usage = context.command.collect_usage_pieces(context) if context else []
        typed = Message(_("Type: {command} {pieces}"), command=command, pieces=" ".join(usage))
        return InputError(_("{name} is missing"), typed, name=_name(error))
    name = _name(error)
    if found := _NOT_ONE_OF.match(text):
        choices = re.findall(r"'([^']*)'", found["choices"])
        near = get_close_matches(found["value"], choices, n=1)
        offered = Message(_("Choose one of: {listed}"), listed=", ".join(choices))
        hint = Message(_("Did you mean {near}?"), near=near[0]) if near else offered
        return InputError(_("{name} cannot be {value}"), hint, name=name, value=found["value"] or "''")
    for pattern, problem, advice in _SAYINGS:
        if found := re.match(pattern, text, re.DOTALL):
            said = {"name": name, "command": command, **{key: word or "''" for key, word in found.groupdict().items()}}
            return InputError(problem, Message(advice, **said) if advice else help_line, **said)
    return InputError(error.format_message(), help_line)


def _name(error: click.ClickException) -> str:
    parameter = getattr(error, "param", None)
    if parameter is None:
        return str(getattr(error, "param_hint", None) or "")
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    if isinstance(parameter.type, click.Choice):
        return str(parameter.name).upper()
    context = getattr(error, "ctx", None)
    return str(parameter.make_metavar(context) if _takes_context(parameter) else parameter.make_metavar())


def _takes_context(parameter: click.Parameter) -> bool:
    """click 8.2 gives the context to `make_metavar`, 8.1 does not."""
    return parameter.make_metavar.__code__.co_argcount > 1
