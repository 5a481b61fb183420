"""How every command gives its answer: the options for it as one decorator, and the one place that writes and prints."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.errors import InputError
from skadvisor.text.languages import LANGUAGES, default_language
from skadvisor.text.messages import _

if TYPE_CHECKING:
    from skadvisor.report.answer import Answer

#: The name that stands for the standard output.
STDOUT = "-"
COMMON = ".html, .md, .txt, .json, .xlsx"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How the answer is wished for. `own` are the suffixes that only this command writes."""

    outputs: tuple[str, ...]
    as_json: bool
    verbose: bool
    language: str
    force: bool
    own: tuple[str, ...] = ()
    asked_language: str | None = None
    open_html: bool = False

    def check(self, inputs: Iterable[Path] = ()) -> None:
        """Refuse before the work what could not be written after it. Raises InputError and UsageError."""
        from skadvisor.report.answer import check_target

        if self.as_json and STDOUT in self.outputs:
            raise InputError(_("--json and -o - would both write to the standard output: choose one"))
        if self.open_html and not any(output.lower().endswith(".html") for output in self.outputs):
            raise InputError(_("--open shows a report in the browser: name one with -o report.html"))
        for output in self.outputs:
            if output != STDOUT:
                check_target(output, self.own, force=self.force, inputs=inputs)


def answer_options(*own: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options about its answer; it receives them as `wish`. `own` are suffixes of its own."""
    suffixes = ", ".join([COMMON, *own])
    declared = (
        click.option(
            "-o",
            "--output",
            "answer_files",
            multiple=True,
            metavar="FILE",
            help=f"Write the answer by suffix (- is the standard output). Repeatable. {suffixes}",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
        click.option("-v", "--verbose", is_flag=True, help="Print all sections and tables."),
        click.option(
            "--lang", "language", type=click.Choice(list(LANGUAGES)), help="Language.  [default: from the locale]"
        ),
        click.option("--force", is_flag=True, help="Replace output files that exist."),
        click.option("--open", "open_html", is_flag=True, help="Open the .html file in the browser."),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def packed(*args: Any, language: str | None, **values: Any) -> Any:
            taken = {name: values.pop(name) for name in ("as_json", "verbose", "force", "open_html")}
            outputs = values.pop("answer_files")
            spoken = language or default_language()
            wish = Wish(outputs=outputs, language=spoken, asked_language=language, own=own, **taken)
            return command(*args, wish=wish, **values)

        for option in reversed(declared):
            packed = option(packed)
        return packed

    return decorate


def give(answer: Answer, wish: Wish, inputs: Iterable[Path] = ()) -> None:
    """Write the answer where it is wished, and print it: whole, as JSON, as one sentence beside files, or as text."""
    from skadvisor.report.answer import render_answer, render_json, write_answer

    shared = click.get_current_context().find_root().obj
    if shared is not None:
        shared["answered"] = True
    answer = replace(answer, command=answer.command or str(click.get_current_context().info_name))
    files = [output for output in wish.outputs if output != STDOUT]
    for output in files:
        write_answer(answer, output, wish.language, force=wish.force, inputs=inputs)
        click.echo(f"wrote {output}", err=True)
    if wish.as_json:
        click.echo(render_json(answer, wish.language), nl=False)
    elif STDOUT in wish.outputs:
        click.echo(render_answer(answer, ".txt", wish.language), nl=False)
    elif files:
        click.echo(answer.headline(wish.language))
    else:
        click.echo(_terminal_text(answer, wish), nl=False)
    if wish.open_html:
        page = next(output for output in files if output.lower().endswith(".html"))
        if click.launch(str(Path(page).resolve())):
            click.echo(f"note: no browser could be started; open {page} yourself", err=True)


def _terminal_text(answer: Answer, wish: Wish) -> str:
    from skadvisor.report.answer import TEXT_WIDTH
    from skadvisor.report.text import render_text

    if answer.plain is not None and not wish.verbose:
        return answer.plain(wish.language)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if terminal else TEXT_WIDTH
    colour = terminal and not os.environ.get("NO_COLOR")
    describe = answer.describe if wish.verbose else answer.brief or answer.describe
    return render_text(describe(wish.language), width=width, colour=colour, detail=wish.verbose)
