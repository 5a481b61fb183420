"""Where to put the SuperKernel scope, from one Ascend profiler capture.

>>> import skadvisor
>>> analysis = skadvisor.analyze("trace_view.json")  # doctest: +SKIP
>>> analysis.result.recommendation.choice  # doctest: +SKIP
'attention-only'

All that is public stands here. `analyze`, `compare` and `plan` take the path of a capture, of a result saved as JSON,
or an `Analysis`; times are microseconds (`_us`) or int64 nanoseconds (`_ns`), `_pct` is percent of the decode step,
shares are fractions. They raise `InputError` and `NotEnoughError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skadvisor.errors import GateError, InputError, NotEnoughError, SkadvisorError
from skadvisor.version import SCHEMA_VERSION, __version__

if TYPE_CHECKING:
    from skadvisor import plan
    from skadvisor.analysis import Analysis, analyze
    from skadvisor.capture import load
    from skadvisor.comparison.judging import compare
    from skadvisor.comparison.outcome import keep_outcome
    from skadvisor.comparison.records import Comparison
    from skadvisor.doctor.diagnosis import diagnose
    from skadvisor.gain.ledger import Ledger
    from skadvisor.options import Options
    from skadvisor.plan.records import Plan
    from skadvisor.ranks.analysis import analyze_ranks
    from skadvisor.recording.recorder import record
    from skadvisor.records import Result
    from skadvisor.report import plots
    from skadvisor.scenarios import with_batch, without

__all__ = [
    "SCHEMA_VERSION",
    "Analysis",
    "Comparison",
    "GateError",
    "InputError",
    "Ledger",
    "NotEnoughError",
    "Options",
    "Plan",
    "Result",
    "SkadvisorError",
    "__version__",
    "analyze",
    "analyze_ranks",
    "compare",
    "diagnose",
    "keep_outcome",
    "load",
    "plan",
    "plots",
    "record",
    "with_batch",
    "without",
]

# Names are imported when they are first used, so that the command line starts without pandas.
_PUBLIC = {
    "Analysis": "skadvisor.analysis",
    "Comparison": "skadvisor.comparison.records",
    "Ledger": "skadvisor.gain.ledger",
    "Options": "skadvisor.options",
    "Plan": "skadvisor.plan.records",
    "Result": "skadvisor.records",
    "analyze": "skadvisor.analysis",
    "analyze_ranks": "skadvisor.ranks.analysis",
    "compare": "skadvisor.comparison.judging",
    "diagnose": "skadvisor.doctor.diagnosis",
    "keep_outcome": "skadvisor.comparison.outcome",
    "load": "skadvisor.capture",
    "record": "skadvisor.recording.recorder",
    "with_batch": "skadvisor.scenarios",
    "without": "skadvisor.scenarios",
}
_MODULES = {"plan": "skadvisor.plan", "plots": "skadvisor.report.plots"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, *_MODULES])
