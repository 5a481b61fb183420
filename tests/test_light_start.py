"""What each command loads: heavy libraries only where they are used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[1] / "profiles" / "dense-ge-decode"
#: Libraries that take longer to load than most answers take.
HEAVY = {
    "adbc_driver_sqlite", "distributed", "jinja2", "libcst", "matplotlib", "openpyxl", "pandas", "ruamel", "scipy",
    "sklearn", "torch",
}  # fmt: skip
#: The command line and the heavy libraries that it may load.
COMMANDS = {
    "--help": (["--help"], set()),
    "analyze --help": (["analyze", "--help"], set()),
    "analyze": (["analyze", str(SAMPLE), "--no-ledger"], {"pandas"}),
    "analyze --json": (["analyze", str(SAMPLE), "--no-ledger", "--json"], {"pandas"}),
    "kernels": (["kernels", str(SAMPLE)], {"pandas"}),
    "explain": (["explain", str(SAMPLE), "MatMul"], {"pandas"}),
    "plan": (["plan", str(SAMPLE)], {"pandas", "libcst"}),
    "screen": (["screen", str(SAMPLE)], {"pandas"}),
    "compare": (["compare", str(SAMPLE), str(SAMPLE)], {"pandas"}),
    "doctor": (["doctor", str(SAMPLE)], {"pandas"}),
    "capture": (["capture"], set()),
}
PROGRAM = """
import json, sys
sys.argv = ["skadvisor", *json.loads(sys.argv[1])]
from skadvisor.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_loads_only_the_heavy_libraries_that_it_uses(name):
    arguments, allowed = COMMANDS[name]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert loaded & HEAVY <= allowed


def test_the_second_reader_of_a_large_trace_starts_without_any():
    """It reads half of a file in less time than NumPy takes to load."""
    code = (
        "import sys; from skadvisor.capture.trace.halves import send\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & (HEAVY | {"numpy", "pyarrow"})
