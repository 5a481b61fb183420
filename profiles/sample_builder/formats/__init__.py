"""Write a capture in the file formats of the profilers, in the style of real files.

Each writer takes a `skadvisor.events.Capture`. What a format cannot hold is left out: reading the file back
gives the same kernel table on the columns that the format has.
"""

from __future__ import annotations

from sample_builder.formats.operator_tables import write_kernel_details, write_op_summary

__all__ = ["write_kernel_details", "write_op_summary"]
