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
    from skadvisor.report.cells import text
    from skadvisor.report.document import Column, Document, Section, Summary, Table
    from skadvisor.report.wording import Wording

    wish.check()
    defaults: tuple[Default, ...] = (context.obj or {}).get("defaults", ())

    def describe(language: str) -> Document:
        wording = Wording(language)
        title = wording.say(_("Defaults in force: {count}"), count=len(defaults))
        columns = tuple(
            Column(wording.say(name)) for name in (_("Command"), _("Option"), _("Value"), _("Where it is set"))
        )
        rows = tuple(
            (text(one.command or "*"), text(one.option), text(str(one.value)), text(one.source)) for one in defaults
        )
        facts = ((wording.say(_("Yours stand in")), str(user_file())), (wording.say(_("or here in")), FILE))
        section = Section("defaults", title, tables=(Table("defaults", title, columns, rows),))
        return Document(title, language, Summary(title, facts=facts), (section,) if rows else ())

    record = {"user_file": str(user_file()), "defaults": [asdict(default) for default in defaults]}
    give(Answer(record, describe), wish)
