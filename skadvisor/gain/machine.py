"""What a probe measured on the user's own machine: it replaces what published pairs say of a boundary's saving.

The probe's program (`skadvisor capture --probe`) times chains of kernels with SuperKernel off and on. One more kernel
in a chain takes the difference between a long and a short chain over the kernels between them; the difference of that,
off and on, is what a boundary saves there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from skadvisor.errors import InputError, NotEnoughError
from skadvisor.files.data_files import read_toml
from skadvisor.files.output import write_atomically
from skadvisor.gain.stated_priors import priors
from skadvisor.text.messages import _

#: A probe's file is never larger than this, bytes.
LARGEST = 4_000_000
#: A boundary that saves less than this, us, counts as this: the population is of positive fractions.
LEAST_US = 0.05
NAME = "machine.toml"
AGAIN = _("write the program with: skadvisor capture --probe -o probe.py, and run it on the NPU")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a boundary saves on a machine, us: the median over the probe's cases, and their spread in logarithm.

    `left_us` is what a boundary still costs with SuperKernel on, None where the widths do not tell it.
    """

    device: str
    torch_npu: str
    saved_us: float
    log_sd: float
    cases: int
    left_us: float | None = None

    @property
    def recovered(self) -> tuple[float, float]:
        """Median and log deviation of the fraction of a boundary's assumed heads and gaps that is won here."""
        known = priors()
        # Kernels of a net differ from those of the probe as configurations of one net differ from each other.
        spread = math.hypot(self.log_sd, known["recovered"]["within_log_sd"])
        return self.saved_us / (known["overhead"]["head_us"] + known["overhead"]["gap_us"]), spread


def read_probe(path: Path) -> Machine:
    """What the JSON of the probe's program says. Raises InputError for another file, NotEnoughError without a pair."""
    import json

    try:
        if path.stat().st_size > LARGEST:
            raise InputError(_("{path} is too large for a probe's result"), AGAIN, path=path)
        content = json.loads(path.read_text(encoding="utf-8"))
        cases = [_case(entry) for entry in content["cases"]] if content["probe"] == 1 else []
        device, version = str(content["device"])[:80], str(content["torch_npu"])[:40]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(_("{path} is no result of the probe: {error}"), AGAIN, path=path, error=error) from error
    times = {key: value for key, value in cases if value is not None}
    slopes = _slopes(times)
    on = {place[:-1]: value for place, value in slopes.items() if place[-1]}
    off = {place[:-1]: value for place, value in slopes.items() if not place[-1]}
    saved = [max(off[place] - value, LEAST_US) for place, value in on.items() if place in off]
    if not saved:
        raise NotEnoughError(
            _("{path} holds no chain timed with SuperKernel off and on: {errors}"),
            AGAIN,
            path=path,
            errors=_errors(content),
        )
    left = _at_no_work({key: value for key, value in slopes.items() if key[-1]})
    return Machine(
        device=device,
        torch_npu=version,
        saved_us=float(np.exp(np.mean(np.log(saved)))),
        log_sd=float(np.std(np.log(saved))),
        cases=len(saved),
        left_us=left,
    )


def keep_machine(machine: Machine, ledger: Path) -> Path:
    """Keep what was measured beside the ledger, where every analysis with that ledger finds it; the file's path."""
    place = ledger.with_name(NAME)
    place.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# measured by the probe; delete this file to go back to what published pairs say"]
    for name, value in vars(machine).items():
        if value is not None:
            shown = "".join(c for c in value if c.isprintable() and c not in '"\\') if isinstance(value, str) else value
            lines.append(f'{name} = "{shown}"' if isinstance(value, str) else f"{name} = {shown!r}")
    write_atomically(place, "\n".join(lines) + "\n", force=True)
    return place


def find_machine(ledger: Path) -> Machine | None:
    """What was kept beside this ledger; None where nothing was. Raises InputError for a file that is none of ours."""
    place = ledger.with_name(NAME)
    if not place.is_file():
        return None
    try:
        return Machine(**read_toml(place))
    except TypeError as error:
        raise InputError(
            _("{place} is not what a probe measured: {error}"), _("delete it, or probe again"), place=place, error=error
        ) from error


Place = tuple[Any, ...]


def _case(entry: Mapping[str, Any]) -> tuple[Place, float | None]:
    """(mode, cores, width, superkernel, length) and the median time, us; None where the case failed."""
    key = (str(entry["mode"]), *(int(entry[name]) for name in ("cores", "width")), bool(entry["superkernel"]))
    if "us" not in entry:
        return (*key, int(entry["length"])), None
    times = [float(value) for value in entry["us"]]
    if not times or not all(math.isfinite(value) and value > 0 for value in times):
        raise ValueError("a time is not a positive number")
    return (*key, int(entry["length"])), median(times)


def _slopes(times: Mapping[Place, float]) -> dict[Place, float]:
    """(mode, cores, width, superkernel) -> what one more kernel in the chain takes, us."""
    chains: dict[Place, dict[int, float]] = {}
    for (*place, length), value in times.items():
        chains.setdefault(tuple(place), {})[length] = value
    return {
        place: (by_length[max(by_length)] - by_length[min(by_length)]) / (max(by_length) - min(by_length))
        for place, by_length in chains.items()
        if len(by_length) > 1
    }


def _at_no_work(slopes: Mapping[Place, float]) -> float | None:
    """What a kernel takes beside its work: the line through its times over the width, at no width; the median, us."""
    lines: dict[Place, dict[int, float]] = {}
    for (mode, cores, width, on), value in slopes.items():
        lines.setdefault((mode, cores, on), {})[width] = value
    found = [
        max(float(np.polyfit(list(line), list(line.values()), 1)[1]), 0.0) for line in lines.values() if len(line) > 1
    ]
    return median(found) if found else None


def _errors(content: Mapping[str, Any]) -> str:
    errors: Iterable[str] = (str(entry.get("error", ""))[:120] for entry in content["cases"])
    return next((error for error in errors if error), "no case was timed")
