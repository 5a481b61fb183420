"""Bars go to a terminal's stderr and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from skadvisor.files.progress import bar

SCRIPT = """
import sys
from skadvisor.files.progress import bar
with bar("Analysing ranks", 3, quiet={quiet}) as advance:
    for _ in range(3):
        advance(1)
print("result")
print("rich" in sys.modules)
"""


def run(quiet: bool, terminal: bool) -> tuple[str, bytes]:
    """Standard output and standard error of a program with a bar; stderr is a terminal on request."""
    command = [sys.executable, "-c", SCRIPT.format(quiet=quiet)]
    if not terminal:
        done = subprocess.run(command, capture_output=True, check=True)
        return done.stdout.decode(), done.stderr
    pty = pytest.importorskip("pty", reason="this system has no terminals to make")
    ours, theirs = pty.openpty()
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    out, _ = program.communicate(timeout=30)
    return out.decode(), seen


def test_a_terminal_shows_the_bar_and_the_result_stays_clean():
    out, err = run(quiet=False, terminal=True)
    assert out == "result\nTrue\n"
    assert b"Analysing ranks" in err
    assert b"3/3" in err


@pytest.mark.parametrize(("quiet", "terminal"), [(True, True), (False, False), (True, False)])
def test_quiet_or_no_terminal_shows_nothing_and_loads_no_rich(quiet, terminal):
    assert run(quiet, terminal) == ("result\nFalse\n", b"")


def test_the_bar_is_gone_when_the_work_fails(capsys):
    with pytest.raises(ZeroDivisionError), bar("x", 1):
        1 / 0  # noqa: B018
    assert capsys.readouterr() == ("", "")
