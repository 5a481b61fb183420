"""The texts of --help in the user's language: what a command and its options say of themselves, through gettext."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

import click

from skadvisor.text.messages import _

#: What click itself says in --help.
OF_CLICK = (_("Usage:"), _("Options"), _("Show this message and exit."), _("Show the version and exit."))

#: Where a list of suffixes begins, which is alike in every language.
SUFFIXES = " .html,"


def help_texts(command: click.Command) -> Iterator[str]:
    """Every text of a command's --help that is ours: paragraphs, and one per option."""
    yield from _paragraphs(command.help)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            yield parameter.help.partition(SUFFIXES)[0]


def translate_help(command: click.Command, translate: Callable[[str], str]) -> click.Command:
    """A copy of the command whose help is in another language."""
    translated = copy(command)
    translated.help = "\n\n".join(translate(paragraph) for paragraph in _paragraphs(command.help))
    translated.params = [copy(parameter) for parameter in command.params]
    for parameter in translated.params:
        if isinstance(parameter, click.Option) and parameter.help:
            said, suffixes, others = parameter.help.partition(SUFFIXES)
            parameter.help = translate(said) + suffixes + others
    return translated


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Let click speak a language within the block, as far as the catalogue knows its words."""
    import gettext
    import os

    from skadvisor.text.languages import DOMAIN, FOLDER

    before, domain = os.environ.get("LANGUAGE"), gettext.textdomain()
    os.environ["LANGUAGE"] = language
    gettext.bindtextdomain(DOMAIN, str(FOLDER))
    gettext.textdomain(DOMAIN)
    try:
        yield
    finally:
        gettext.textdomain(domain)
        os.environ.pop("LANGUAGE")
        if before is not None:
            os.environ["LANGUAGE"] = before


def _paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a docstring, a line each."""
    return [" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n") if part.strip()]
