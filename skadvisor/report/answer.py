"""The answer of a command: a record for programs and its document for people, written in the format of a suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from skadvisor.errors import InputError
from skadvisor.files.output import check_output, write_atomically
from skadvisor.records import to_json
from skadvisor.report.document import Document
from skadvisor.report.text import render_text
from skadvisor.text.languages import translator
from skadvisor.text.messages import _
from skadvisor.version import SCHEMA_VERSION, __version__

#: Suffix -> what is written of any answer.
SUFFIXES = {
    ".html": "report for a browser, one self-contained file",
    ".md": "report in Markdown",
    ".txt": "report as plain text",
    ".json": "result for programs",
    ".xlsx": "workbook with the tables",
}

TEXT_WIDTH = 120

#: answered; no_placement where no scope is worth placing; too_little and gate_failed as exit codes 3 and 4.
Status = Literal["answered", "no_placement", "too_little", "gate_failed"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a command answers.

    `record` is what JSON holds; `describe` makes the document of a language, `brief` that part of it which a terminal
    shows (the whole one by default). `own` are formats that only this answer has: suffix -> function of the language.
    `plain` are the lines that a terminal shows in place of the document unless it is asked for all.
    `command` is what gave it, `next` the commands that follow, `saved` what a JSON file holds besides, so that other
    commands can go on from it.
    """

    record: Any
    describe: Callable[[str], Document]
    own: Mapping[str, Callable[[str], bytes | str]] = field(default_factory=dict)
    brief: Callable[[str], Document] | None = None
    plain: Callable[[str], str] | None = None
    command: str = ""
    status: Status = "answered"
    next: tuple[str, ...] = ()
    saved: Callable[[], Mapping[str, Any]] = dict

    def headline(self, language: str) -> str:
        """The answer in one sentence."""
        return (self.brief or self.describe)(language).summary.headline


def render_json(answer: Answer, language: str = "en", *, whole: bool = False) -> bytes:
    """The answer as one JSON object: command, status, answer, next, then the record; `whole` with what it keeps."""
    envelope = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "skadvisor", "version": __version__},
        "command": answer.command,
        "language": language,
        "status": answer.status,
        "answer": answer.headline(language),
        "next": list(answer.next),
    }
    return to_json(answer.record, translator(language), envelope, answer.saved() if whole else {}) + b"\n"


def render_answer(answer: Answer, suffix: str, language: str = "en") -> bytes:
    """The bytes of a file with this suffix: one of SUFFIXES or of the answer's own."""
    if suffix in answer.own:
        content = answer.own[suffix](language)
        return content if isinstance(content, bytes) else content.encode()
    if suffix == ".json":
        return render_json(answer, language, whole=True)
    document = answer.describe(language)
    if suffix == ".html":
        from skadvisor.report.html import render_html

        return render_html(document).encode()
    if suffix == ".md":
        from skadvisor.report.markdown import render_markdown

        return render_markdown(document).encode()
    if suffix == ".xlsx":
        from skadvisor.report.workbook import render_workbook

        return render_workbook(document)
    return render_text(document, width=TEXT_WIDTH, detail=True).encode()


def suffix_of(path: str | os.PathLike[str], own: Iterable[str] = ()) -> str:
    """The suffix that decides the format, `own` ones among them. Raises InputError where nothing is written for it."""
    name = Path(path).name.lower()
    known = list(dict.fromkeys([*SUFFIXES, *own]))
    for suffix in sorted(known, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise InputError(
        _("cannot tell the format of {name}"),
        _("end the name in one of: {listed}"),
        name=Path(path).name or path,
        listed=", ".join(known),
    )


def check_target(
    path: str | os.PathLike[str], own: Iterable[str] = (), *, force: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """Say early whether `write_answer` would refuse this path. Raises InputError."""
    suffix_of(path, own)
    check_output(path, force=force, inputs=inputs)


def write_answer(
    answer: Answer,
    path: str | os.PathLike[str],
    language: str = "en",
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
) -> Path:
    """Write an answer in the format that the suffix asks for and return the path.

    An existing file is replaced only with `force`, and only once the new one is complete; `inputs` never.
    Raises InputError for an unknown suffix, an existing file, or a missing folder.
    """
    suffix = suffix_of(path, answer.own)
    check_output(path, force=force, inputs=inputs)
    return write_atomically(path, render_answer(answer, suffix, language), force=force, inputs=inputs)
