"""`skadvisor kernels`: the labelled kernel table."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("kernels")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write: .csv or .parquet."
)
@click.option("--rank", type=int, help="Which rank, where the folder holds several.")
@click.option("--operators", type=click.Path(path_type=Path), help="A TOML file with operators of your own.")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def kernels_command(path: Path, output: Path, rank: int | None, operators: Path | None, force: bool) -> None:
    """Write one row per kernel with its step, phase, layer, region, role, confidence and evidence."""
    from skadvisor.labelling.labels import label_path
    from skadvisor.report.kernel_table import write_kernel_table

    labelled = label_path(path, rank=rank, operators=operators)
    rows = write_kernel_table(labelled.kernels, output, rank=labelled.rank, inputs=[path], force=force)
    click.echo(f"wrote {rows} kernels to {output}", err=True)
