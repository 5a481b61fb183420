"""Files that are no capture: what they are, by their content, and what to give instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from skadvisor.capture.csv.rows import read_header
from skadvisor.capture.lines import GZIP_MAGIC, UTF8_BOM, first_bytes
from skadvisor.text.messages import Message, _

UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"Rar!")
#: Headings that only one of the profiler's summaries has -> what it sums up.
SUMMARIES = (
    (b"Total Time(us),Min Time(us)", _("operators by type")),
    (b"Host Self Duration(us)", _("operators by their launch on the host")),
    (b"API Name,Time(us)", _("calls of the host")),
    (b"Communication(Not Overlapped", _("steps")),
    (b"Hit Rate,Victim Rate", _("cache hits")),
    (b"Total Allocated(MB)", _("memory")),
    (b"Allocation Time(us)", _("memory")),
    (b'"collective"', _("collectives")),
    (b'"Communication Time Info"', _("collectives")),
)
#: Of a table with so many headings of a kernel table the rest was renamed or left out.
ENOUGH_KNOWN = 6
OWN_TRACE = re.compile(rb'"process_name"\s*,\s*"args"\s*:\s*\{\s*"name"\s*:\s*"skadvisor"')
OWN_RESULT = re.compile(rb'"tool"\s*:\s*\{\s*"name"\s*:\s*"skadvisor"')
OWN_TABLE = (b"rank,step,phase,layer,layer_kind,region,role", b"step,phase,layer,layer_kind,region,role")


class Foreign(NamedTuple):
    """What a file is instead of a capture, to be read after its name, and what to do."""

    is_what: Message
    hint: Message


def _foreign(is_what: str, hint: str, **values: Any) -> Foreign:
    return Foreign(Message(is_what, **values), Message(hint, **values))


def identify(file: Path) -> Foreign | None:
    """What a file is that no reader takes for a capture; None where nothing is known of it. Raises OSError."""
    with file.open("rb") as opened:
        raw = opened.read(512)
    if not raw:
        return _foreign(_("is empty"), _("Parse the capture again, or copy the file again."))
    archive = _foreign(_("is an archive"), _("Unpack it and give the folder."))
    if _is_archive(raw):
        return archive
    if file.suffix == ".gz" and not raw.startswith(GZIP_MAGIC) and read_header(raw) is None:
        return _foreign(_("is no gzip file, though it is called so"), _("Download or pack it again."))
    head = first_bytes(file)
    if _is_archive(head):
        return archive
    if not head.strip():
        return _foreign(_("is empty once unpacked"), _("Pack it again."))
    if head.startswith(UTF16_BOMS) or _alternate(head):
        hint = _("Convert it: iconv -f UTF-16 -t UTF-8 {file} > utf8.csv")
        return _foreign(_("is text in UTF-16"), hint, file=file.name)
    return _own(file, head) or _table(head) or _summary(head)


def _is_archive(head: bytes) -> bool:
    return head.startswith(ARCHIVES) or head[257:262] == b"ustar"


def _alternate(head: bytes) -> bool:
    """Whether every second byte of the first line is zero: UTF-16 without its mark."""
    line = head[:200]
    return len(line) > 20 and (not any(line[1::2]) or not any(line[::2]))


def _own(file: Path, head: bytes) -> Foreign | None:
    give = _("Give the profiler's output that it was made from.")
    if OWN_TRACE.search(head):
        return _foreign(_("is a trace that skadvisor wrote"), give)
    if OWN_RESULT.search(head) or (head.lstrip().startswith(b"{") and b'"schema_version"' in head):
        return _foreign(_("is a result of skadvisor"), _("Show it: skadvisor report {file}"), file=file.name)
    if head.removeprefix(UTF8_BOM).startswith(OWN_TABLE):
        return _foreign(_("is a labelled kernel table that skadvisor wrote"), give)
    return None


def _table(head: bytes) -> Foreign | None:
    """A table of kernels without a column that it needs, or with other separators, as spreadsheets save it."""
    line = head.removeprefix(UTF8_BOM).split(b"\n", 1)[0]
    header = read_header(line)
    if header is not None and header.missing and len(header.known) >= ENOUGH_KNOWN:
        is_what = _("is a table of kernels without {listed}")
        return _foreign(is_what, _("Give the table as the profiler wrote it."), listed=", ".join(header.missing))
    for separator, name in ((b";", _("semicolons")), (b"\t", _("tabs"))):
        header = read_header(line.replace(separator, b",")) if line.count(separator) > 3 else None
        if header is not None and header.of_operators:
            is_what = _("has its columns separated by {name}, as a spreadsheet saves them")
            hint = _("Give the table as the profiler wrote it: a spreadsheet rounds its times.")
            return _foreign(is_what, hint, name=Message(name))
    return None


def _summary(head: bytes) -> Foreign | None:
    for marker, what in SUMMARIES:
        if marker in head[: 1 << 12]:
            is_what = _("is the profiler's summary of {what}, without the kernels and their times")
            hint = _("Give its folder, or the kernel_details.csv, trace_view.json or .db beside it.")
            return _foreign(is_what, hint, what=Message(what))
    return None
