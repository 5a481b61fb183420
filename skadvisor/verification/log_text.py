"""Lines of the logs that runs leave: plain or gzip, with the colours and prefixes taken off."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, cast

from skadvisor.errors import InputError
from skadvisor.text.messages import _
from skadvisor.text.plain_text import decoded

#: Longer lines are cut: nothing that is looked for stands behind this.
LONGEST_LINE = 20_000
#: Files in a folder that may be logs.
_SUFFIXES = (".log", ".txt", ".out", ".err", "")

#: The first bytes of a character of UTF-8 that the end of a piece cuts.
_CUT_CHARACTER = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")
_COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07)")
_DATE = r"\d{2,4}[-/]\d{2}(?:[-/]\d{2,4})?"
_CLOCK = r"\d{2}:\d{2}:\d{2}(?:[.,]\d{1,6})*"
_LEVEL = r"(?:DEBUG|INFO|EVENT|NOTICE|WARNING|WARN|ERROR|CRITICAL|FATAL)"
#: What launchers put before every line, also before those that are no log: torchrun, MPI, Ray and vLLM's processes.
_LAUNCHER = re.compile(
    r"(?:\[(?:(?:rank|default|node)\s?\d+\]:?|\d+(?:,\d+)?\]:|\d+,\d+\]<std\w+>:)|\((?:\w+\s+)?(?:pid|ip|rank)=[^)]*\))\s?"
)
#: One part of what logging puts before a message. Sources: logging of cann-recipes-infer, CANN's plog, vLLM (with
#: Ray), SGLang, torchrun and Python's defaults.
_PREFIX = re.compile(
    "|".join(
        (
            rf"\[{_LEVEL}\]\s*(?:[\w.-]+\(\d+,[^)]*\):{_DATE}-{_CLOCK}\s*(?:\[[^\]]*\](?:\[tid:\d+\]|\d+)?)?)?",
            rf"\[?{_DATE}[ T-]{_CLOCK}(?:\s+[A-Z]{{2}}\d+)*\]?(?:\s*-\s)?",
            r"\[[\w./-]+\.(?:py|cc|cpp|h|c):\d+\]\d*:?",
            rf"{_LEVEL}(?::\w[\w.]*:|\s*-\s|:\s|\s+(?={_DATE}\s))",
            rf"{_DATE}\s+{_CLOCK}",
            r"\[[WIEF]\s?(?:\d{4}\s|\w+\.\w+:)[^\]]*\]",
        )
    )
)


def log_files(path: Path, advice: str, *, suffixes: tuple[str, ...] = ()) -> list[Path]:
    """The file, or the logs (and files with `suffixes`) under a folder, in order.

    Raises InputError with `advice` where there is none.
    """
    if not path.exists():
        raise InputError(_("there is no {path}"), advice, path=path)
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and named_like_log(file, suffixes))
    if not files:
        raise InputError(_("{path} holds no log"), advice, path=path)
    return files


def named_like_log(file: Path, suffixes: tuple[str, ...] = ()) -> bool:
    """Whether the suffix, before .gz, is one that logs have, or one of `suffixes`."""
    suffix = Path(file.stem).suffix if file.suffix.lower() == ".gz" else file.suffix
    return suffix.lower() in _SUFFIXES + suffixes


def read_lines_of(file: Path) -> Iterator[str]:
    """The lines without colours and line ends, each at most LONGEST_LINE bytes. Raises InputError."""
    with _opened(file) as stream:
        for line in _whole_characters(stream):
            text = decoded(line).rstrip("\r\n")
            text = _COLOUR.sub("", text) if "\x1b" in text else text
            # What a progress bar wrote over is not shown.
            yield text.rpartition("\r")[2]


def _whole_characters(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines; of a longer one its pieces, none of which ends within a character of UTF-8."""
    begun = b""
    while piece := begun + stream.readline(LONGEST_LINE - len(begun)):
        cut = _CUT_CHARACTER.search(piece) if len(piece) == LONGEST_LINE else None
        begun = cut[0] if cut else b""
        yield piece[: len(piece) - len(begun)]


def read_text_of(file: Path) -> str:
    """All of a file whose lines may be long, such as JSON. Raises InputError."""
    with _opened(file) as stream:
        return "".join(map(decoded, stream))


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    try:
        with file.open("rb") as plain:
            compressed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.open(plain) if compressed else nullcontext(plain) as stream:
                yield cast("IO[bytes]", stream)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            _("cannot read {file}: {why}"), file=file, why=getattr(error, "strerror", None) or error
        ) from error


def strip_prefix(line: str) -> tuple[str, bool]:
    """The message of a log line, and whether there was a prefix of logging (that of a launcher alone is none).

    >>> strip_prefix("[INFO][2026-01-01 10:00:00.123][infer.py:74] Request 0: outputs: yes")
    ('Request 0: outputs: yes', True)
    >>> strip_prefix("[0.5, 0.25]")
    ('[0.5, 0.25]', False)
    """
    launched = _LAUNCHER.match(line)
    line = line[launched.end() :] if launched else line
    rest, found = line, False
    while (match := _PREFIX.match(rest.lstrip())) and match.end():
        rest, found = rest.lstrip()[match.end() :], True
    return (rest.lstrip(), True) if found else (line, False)
