"""The command line: each command opens, calls one library function, and prints. Errors become one or two lines here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from skadvisor.errors import InputError, SkadvisorError
from skadvisor.text.languages import LANGUAGES, default_language, translator
from skadvisor.text.messages import Message, _
from skadvisor.version import SCHEMA_VERSION, __version__

# Commands are imported when they run, so that --help stays fast. Name -> (module, one-line help).
COMMANDS = {
    "analyze": ("skadvisor.commands.analyze", _("Say where the step's time goes and where to put the scope.")),
    "kernels": ("skadvisor.commands.kernels", _("Write the labelled kernel table.")),
    "explain": ("skadvisor.commands.explain", _("Say why kernels got their label.")),
    "rules": ("skadvisor.commands.rules", _("Say what fuses, and learn it from your own compile log.")),
    "plan": ("skadvisor.commands.plan", _("Print the code and config for a template.")),
    "compare": ("skadvisor.commands.compare", _("Judge a run with SuperKernel against one without.")),
    "verify": ("skadvisor.commands.verify", _("Check compile log, outputs and performance of a run.")),
    "screen": ("skadvisor.commands.screen", _("List the runs worth doing, in order.")),
    "report": ("skadvisor.commands.report", _("Write any report from a saved answer.")),
    "doctor": ("skadvisor.commands.doctor", _("Say what a capture lacks and how to record a better one.")),
    "capture": ("skadvisor.commands.capture", _("Print the lines that record a good capture.")),
    "config": ("skadvisor.commands.config", _("Show the defaults in force and where each is set.")),
    "completion": ("skadvisor.commands.completion", _("Print what completes commands in your shell.")),
    "calibrate": ("skadvisor.commands.calibrate", _("Show forecasts with their outcomes and refit the gain model.")),
}


#: What newer versions of click raise where nothing was typed.
NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
#: The columns that click takes at most for help.
WIDEST_HELP = 80
#: Options that stand before or behind the command.
EVERYWHERE = ("--quiet", "--debug")


class Commands(click.Group):
    """A group whose commands are loaded on demand. A path in place of a command means `analyze`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take --quiet and --debug wherever they stand."""
        end = args.index("--") if "--" in args else len(args)
        moved = [word for word in args[:end] if word in EVERYWHERE]
        return super().parse_args(ctx, moved + [word for word in args[:end] if word not in EVERYWHERE] + args[end:])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names, in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command, None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), f"{cmd_name}_command")
        language = _language_of(ctx)
        if language != "en":
            from skadvisor.commands.help_text import translate_help

            return translate_help(command, translator(language))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant: `analyze` for a path; for a misspelt one the error says the nearest."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches
            from pathlib import Path

            if Path(name).exists():
                args = ["analyze", *args]
            else:
                near = get_close_matches(name, COMMANDS, n=1, cutoff=0.6)
                if near:
                    hint = Message(_("Did you mean {near}?"), near=f"skadvisor {near[0]}")
                    raise InputError(_("there is no command {name!r}"), hint, name=name)
                raise InputError(_("{name!r} is neither a command nor a path"), _("See skadvisor --help."), name=name)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading any."""
        translate = translator(_language_of(ctx))
        with formatter.section(translate(_("Commands"))):
            formatter.write_dl([(name, translate(text)) for name, (_module, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    __version__, prog_name="skadvisor", message=f"%(prog)s %(version)s (JSON schema {SCHEMA_VERSION})"
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error. Before or behind the command.")
@click.option("--quiet", is_flag=True, help="No progress bars. Before or behind the command.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of every command that has one.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool, lang: str | None) -> None:
    """Say from one Ascend profiler capture where to put the SuperKernel scope and what it can win.

    skadvisor PATH is short for skadvisor analyze PATH.

    Exit codes: 0 answered, 1 a bug of ours, 2 bad usage or unreadable input, 3 too little in it, 4 a gate failed.
    """
    ctx.ensure_object(dict).update(debug=debug, quiet=quiet, defaults=())
    _set_defaults(ctx, lang)


def _set_defaults(ctx: click.Context, lang: str | None) -> None:
    """Make the user's defaults those of every command; `lang`, typed before the command, wins over them."""
    from skadvisor.commands.defaults import any_set, read_defaults

    if not any_set() and lang is None:
        return
    loaded = {name: ctx.command.get_command(ctx, name) for name in COMMANDS}  # type: ignore[attr-defined]
    options = {name: _options(command) for name, command in loaded.items() if command is not None}
    known = {name: frozenset(found) for name, found in options.items()}
    ctx.obj["defaults"] = read_defaults(known, os.environ)
    chosen = [(default.option, default.value, default.command) for default in ctx.obj["defaults"]]
    if lang is not None:
        chosen.append(("lang", lang, ""))
    ctx.default_map = {
        name: {
            str(parameters[option].name): [value] if parameters[option].multiple and isinstance(value, str) else value
            for option, value, command in chosen
            if command in ("", name) and option in parameters
        }
        for name, parameters in options.items()
    }


def _options(command: click.Command) -> dict[str, click.Option]:
    """A command's options by their long names, with underscores."""
    return {
        word[2:].replace("-", "_"): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for word in parameter.opts
        if word.startswith("--")
    }


def _language_of(ctx: click.Context) -> str:
    return str((ctx.find_root().obj or {}).get("language", "en"))


def spoken_language(words: Sequence[str]) -> str:
    """The language of help and errors: what --lang or SKADVISOR_LANG says, else the locale's."""
    typed = next((word.partition("=")[2] for word in words if word.startswith("--lang=")), "")
    if "--lang" in words[:-1]:
        typed = words[list(words).index("--lang") + 1]
    wished = typed or os.environ.get("SKADVISOR_LANG", "")
    return wished if wished in LANGUAGES else default_language()


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit; the one place where exceptions become messages and exit codes."""
    words = sys.argv[1:] if arguments is None else arguments
    language = spoken_language(words)
    translate = translator(language)
    shared: dict[str, Any] = {"language": language}
    try:
        code = _run(arguments, shared)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except NO_ARGUMENTS as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        from skadvisor.commands.usage import explain_usage

        sys.exit(_report(explain_usage(error), translate, as_json="--json" in words))
    except (click.Abort, KeyboardInterrupt):
        click.echo(translate(_("skadvisor: stopped")), err=True)
        sys.exit(130)
    except BrokenPipeError:
        # What is left in the buffer would fail again when Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except Exception as error:
        if "--debug" in words:
            raise
        sys.exit(_report(error, translate, as_json="--json" in words and "answered" not in shared))


def _run(arguments: list[str] | None, shared: dict[str, Any]) -> Any:
    """What click returns, in the language that is asked for."""

    def run(root: click.Command) -> Any:
        return root.main(
            args=arguments, prog_name="skadvisor", standalone_mode=False, obj=shared, terminal_width=_help_width()
        )

    if shared["language"] == "en":
        return run(cli)
    from skadvisor.commands.help_text import speaking, translate_help

    with speaking(shared["language"]):
        return run(translate_help(cli, translator(shared["language"])))


def _help_width() -> int:
    """The width of help as click chooses it, without `shutil`, which loads three compressions."""
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else 0
    if width == 0:
        try:
            width = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
        except (AttributeError, ValueError, OSError):
            width = 0
    return max(min(width or WIDEST_HELP, WIDEST_HELP) - 2, 50)


def _report(error: Exception, translate: Callable[[str], str], *, as_json: bool) -> int:
    """Write one or two lines about a failure, `as_json` also an object, and return its exit code."""
    if not isinstance(error, SkadvisorError):
        found = Message(_("this is a bug: {kind}: {error}"), kind=type(error).__name__, error=str(error))
        error = SkadvisorError("{found}", _("run again with --debug and report what it prints"), found=found)
    said = error.render(translate)
    click.echo(f"skadvisor: {said}", err=True)
    if as_json:
        import json

        answer, _line, hint = said.partition("\n")
        status = {1: "bug", 2: "bad_input", 3: "too_little", 4: "gate_failed"}[error.exit_code]
        click.echo(json.dumps({"status": status, "answer": answer, "next": [hint] if hint else []}, ensure_ascii=False))
    return error.exit_code


if __name__ == "__main__":
    main()
