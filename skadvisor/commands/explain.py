"""`skadvisor explain`: why kernels got their label."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.options import Options


@click.command("explain")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--kernel", "pattern", required=True, help="A regular expression, searched in kernel names and types.")
@analysis_options
def explain_command(path: Path, pattern: str, options: Options) -> None:
    """Say why these kernels got their label, and what else they could have been.

    Weights are natural-log odds between the label and the runner-up: +2.3 is ten to one.
    """
    from skadvisor.labelling.explanation import explain
    from skadvisor.labelling.labels import label_path

    table = explain(label_path(path, options), pattern)
    for row in table.to_dict("records"):
        kind = f" [{row['op_type']}]" if isinstance(row["op_type"], str) and row["op_type"] != row["name"] else ""
        shapes = f" ({row['input_shapes']})" if row["input_shapes"] else ""
        click.echo(f"{row['name']}{kind}{shapes}: {row['kernels']} kernels in {row['layers']} layers")
        click.echo(f"  label      {row['region']} / {row['role']}, confidence {row['confidence']:.2f}")
        click.echo(f"  evidence   {row['evidence']}")
        if row["runner_up"]:
            click.echo(f"  runner-up  {row['runner_up']}, probability {row['runner_up_probability']:.3f}")
