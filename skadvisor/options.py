"""What a user may tell the analysis besides the capture: one frozen record, passed whole to every stage."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

PathText = str | os.PathLike[str]
Risk = Literal["low", "balanced", "high"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of an analysis; None where the capture itself is to say.

    `rank` chooses among several captures. `operators` is a vocabulary file of the user's, `rules` are files of theirs
    that say what fuses, `ledger` a ledger file whose outcomes refine the gain. `risk` says how much chance of winning
    nothing is taken. `tpot_ms` is the time per output token measured without the profiler, milliseconds. `hardware`
    (A2, A3, 950, 310P) and `cann` (a version such as 9.0.0) overrule what the capture shows. `tiling_sink` and
    `aiv_expansion` say whether the tiling is sunk and whether collectives run on the Vector cores.
    """

    rank: int | None = None
    operators: Path | None = None
    rules: tuple[Path, ...] = ()
    ledger: Path | None = None
    risk: Risk = "balanced"
    tpot_ms: float | None = None
    hardware: str | None = None
    cann: str | None = None
    tiling_sink: bool | None = None
    aiv_expansion: bool | None = None

    @property
    def conditions(self) -> Mapping[str, bool | None]:
        """What rules of fusion may need, where the user said it."""
        return {"tiling_sink": self.tiling_sink, "aiv_expansion": self.aiv_expansion}


def choose_options(options: Options | None, chosen: Mapping[str, Any]) -> Options:
    """`options` (by default none at all) with single fields chosen anew; paths may be text. Raises TypeError."""
    known = {field.name for field in fields(Options)}
    unknown = sorted(set(chosen) - known)
    if unknown:
        raise TypeError(f"no such option: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    values = dict(chosen)
    for name in ("operators", "ledger"):
        if values.get(name) is not None:
            values[name] = Path(values[name])
    if "rules" in values:
        rules: PathText | Iterable[PathText] = values["rules"]
        values["rules"] = tuple(Path(rule) for rule in ([rules] if isinstance(rules, str | os.PathLike) else rules))
    return replace(options or Options(), **values)
