"""Write a capture in the file formats of the profilers, in the style of real files.

Each writer takes a `skadvisor.events.Capture`. What a format cannot hold is left out: reading the file back
gives the same kernel table on the columns that the format has.
"""

from __future__ import annotations

from sample_builder.formats.databases import write_database
from sample_builder.formats.folders import write_ascend_pt_folder
from sample_builder.formats.operator_tables import write_kernel_details, write_op_summary
from sample_builder.formats.trace_files import write_trace_view

__all__ = [
    "write_ascend_pt_folder",
    "write_database",
    "write_kernel_details",
    "write_op_summary",
    "write_trace_view",
]
