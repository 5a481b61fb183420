"""The command line: each command opens, calls one library function, and prints. Errors become one or two lines here."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from skadvisor.errors import SkadvisorError
from skadvisor.version import __version__

# Commands are imported when they run, so that --help stays fast. Name -> (module, one-line help).
COMMANDS = {
    "analyze": ("skadvisor.commands.analyze", "Say where the step's time goes and where to put the scope."),
    "kernels": ("skadvisor.commands.kernels", "Write the labelled kernel table."),
    "explain": ("skadvisor.commands.explain", "Say why kernels got their label."),
    "plan": ("skadvisor.commands.plan", "Print the code and config for a template."),
    "compare": ("skadvisor.commands.compare", "Judge a run with SuperKernel against one without."),
    "verify": ("skadvisor.commands.verify", "Check compile log, outputs and performance of a run."),
    "screen": ("skadvisor.commands.screen", "List the runs worth doing, in order."),
    "doctor": ("skadvisor.commands.doctor", "Say what a capture lacks and how to record a better one."),
    "capture": ("skadvisor.commands.capture", "Print the lines that record a good capture."),
    "calibrate": ("skadvisor.commands.calibrate", "Show forecasts with their outcomes and refit the gain model."),
}


class Commands(click.Group):
    """A group whose commands are loaded on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names, in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command, None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="skadvisor")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool) -> None:
    """Say from one Ascend profiler capture where to put the SuperKernel scope and what it can win.

    Exit codes: 0 answered, 1 a bug of ours, 2 bad usage or unreadable input, 3 too little in it, 4 a gate failed.
    """
    ctx.obj = {"debug": debug, "quiet": quiet}


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
