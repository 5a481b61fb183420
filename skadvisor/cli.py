"""The command line: each command opens, calls one library function, and prints. Errors become one or two lines here."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from skadvisor.errors import SkadvisorError
from skadvisor.version import SCHEMA_VERSION, __version__

# Commands are imported when they run, so that --help stays fast. Name -> (module, one-line help).
COMMANDS = {
    "analyze": ("skadvisor.commands.analyze", "Say where the step's time goes and where to put the scope."),
    "kernels": ("skadvisor.commands.kernels", "Write the labelled kernel table."),
    "explain": ("skadvisor.commands.explain", "Say why kernels got their label."),
    "rules": ("skadvisor.commands.rules", "Say what fuses, and learn it from your own compile log."),
    "plan": ("skadvisor.commands.plan", "Print the code and config for a template."),
    "compare": ("skadvisor.commands.compare", "Judge a run with SuperKernel against one without."),
    "verify": ("skadvisor.commands.verify", "Check compile log, outputs and performance of a run."),
    "screen": ("skadvisor.commands.screen", "List the runs worth doing, in order."),
    "report": ("skadvisor.commands.report", "Write any report from a saved answer."),
    "doctor": ("skadvisor.commands.doctor", "Say what a capture lacks and how to record a better one."),
    "capture": ("skadvisor.commands.capture", "Print the lines that record a good capture."),
    "config": ("skadvisor.commands.config", "Show the defaults in force and where each is set."),
    "calibrate": ("skadvisor.commands.calibrate", "Show forecasts with their outcomes and refit the gain model."),
}


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
                meant = f"Did you mean {near[0]!r}?" if near else "It is no path either; see skadvisor --help."
                raise click.UsageError(f"there is no command {name!r}. {meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


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
    ctx.obj = {"debug": debug, "quiet": quiet, "defaults": ()}
    _set_defaults(ctx, lang)


def _set_defaults(ctx: click.Context, lang: str | None) -> None:
    """Make the user's defaults those of every command; `lang`, typed before the command, wins over them."""
    import os

    from skadvisor.commands.defaults import any_set, read_defaults

    if not any_set() and lang is None:
        return
    loaded = {name: ctx.command.get_command(ctx, name) for name in COMMANDS}  # type: ignore[attr-defined]
    options = {name: _option_names(command) for name, command in loaded.items() if command is not None}
    known = {name: frozenset(found) for name, found in options.items()}
    ctx.obj["defaults"] = read_defaults(known, os.environ)
    chosen = [(default.option, default.value, default.command) for default in ctx.obj["defaults"]]
    if lang is not None:
        chosen.append(("lang", lang, ""))
    ctx.default_map = {
        name: {
            parameters[option]: value
            for option, value, command in chosen
            if command in ("", name) and option in parameters
        }
        for name, parameters in options.items()
    }


def _option_names(command: click.Command) -> dict[str, str]:
    """The long names of a command's options, with underscores, and the parameters they fill."""
    return {
        word[2:].replace("-", "_"): str(parameter.name)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for word in parameter.opts
        if word.startswith("--")
    }


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit; the one place where exceptions become messages and exit codes."""
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(args=arguments, prog_name="skadvisor", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("skadvisor: stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    """Write one or two lines about a failure and return its exit code."""
    if isinstance(error, SkadvisorError):
        click.echo(f"skadvisor: {error}", err=True)
        return error.exit_code
    kind = type(error).__name__
    click.echo(f"skadvisor: this is a bug: {kind}: {error}\nrun again with --debug and report what it prints", err=True)
    return 1


if __name__ == "__main__":
    main()
