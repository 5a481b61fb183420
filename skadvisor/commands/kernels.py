"""`skadvisor kernels`: the labelled kernel table."""

from __future__ import annotations

from pathlib import Path

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.options import Options


@click.command("kernels")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write: .csv or .parquet."
)
@analysis_options
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def kernels_command(path: Path, output: Path, options: Options, force: bool) -> None:
    """Write one row per kernel with its step, phase, layer, region, role, confidence and evidence."""
    from skadvisor.labelling.labels import label_path
    from skadvisor.report.kernel_table import write_kernel_table

    labelled = label_path(path, options)
    rows = write_kernel_table(labelled.kernels, output, rank=labelled.rank, inputs=[path], force=force)
    click.echo(f"wrote {rows} kernels to {output}", err=True)
