"""`skadvisor config`: the defaults in force, and where each is set."""

from __future__ import annotations

from dataclasses import asdict

import click

from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.commands.defaults import FILE, Default, user_file
from skadvisor.text.messages import _


@click.command("config")
@answer_options()
@click.pass_context
def config_command(context: click.Context, /, wish: Wish) -> None:
    """Show the defaults in force and where each is set.

    Defaults come from skadvisor.toml in your folder of settings, skadvisor.toml here, and SKADVISOR_* variables, each
    winning over the one before. Keys are long option names with underscores: lang = "zh"; a table [plan]
    is for plan alone.
    """
    from skadvisor.report.answer import Answer
    from skadvisor.report.cells import Grid
    from skadvisor.report.document import Document, Summary
    from skadvisor.report.wording import Wording

    wish.check()
    defaults: tuple[Default, ...] = (context.obj or {}).get("defaults", ())

    def describe(language: str) -> Document:
        wording = Wording(language)
        title = wording.say(_("Defaults in force: {count}"), count=len(defaults))
        grid = Grid(defaults, wording)
        grid.words(_("Command"), lambda one: one.command or "*")
        grid.words(_("Option"), lambda one: one.option)
        grid.words(_("Value"), lambda one: str(one.value))
        grid.words(_("Where it is set"), lambda one: one.source)
        section = grid.section("defaults", title)
        facts = ((wording.say(_("Yours stand in")), str(user_file())), (wording.say(_("or here in")), FILE))
        return Document(title, language, Summary(title, facts=facts), (section,) if section else ())

    record = {"user_file": str(user_file()), "defaults": [asdict(default) for default in defaults]}
    give(Answer(record, describe), wish)
