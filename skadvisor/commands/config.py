"""`skadvisor config`: the defaults in force, and where each is set."""

from __future__ import annotations

import json

import click

from skadvisor.commands.defaults import FILE, Default, user_file


@click.command("config")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_context
def config_command(context: click.Context, as_json: bool) -> None:
    """Show the defaults in force and where each is set.

    Defaults come from skadvisor.toml in your folder of settings, skadvisor.toml here, and SKADVISOR_* variables, each
    winning over the one before. Keys are long option names with underscores: lang = "zh"; a table [plan]
    is for plan alone.
    """
    defaults: tuple[Default, ...] = (context.obj or {}).get("defaults", ())
    if as_json:
        entries = [vars(default) for default in defaults]
        click.echo(json.dumps({"status": "ok", "user_file": str(user_file()), "defaults": entries}, indent=2))
        return
    for default in defaults:
        scope = f"{default.command}: " if default.command else ""
        click.echo(f"{scope}{default.option} = {default.value!r}  ({default.source})")
    if not defaults:
        click.echo(f"no defaults are set; write them to {user_file()}, or to {FILE} here")
