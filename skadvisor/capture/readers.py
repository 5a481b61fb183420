"""The readers of captures. A new one is a module that follows `interface.Reader`, and its name here."""

from __future__ import annotations

from skadvisor.capture.csv import reader as csv_reader
from skadvisor.capture.database import reader as database_reader
from skadvisor.capture.interface import Reader
from skadvisor.capture.trace import reader as trace_reader

#: Those whose files lead, where several files of a rank tell of the same kernels, come first.
READERS: tuple[Reader, ...] = (csv_reader, database_reader, trace_reader)
