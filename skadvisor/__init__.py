"""Where to put the SuperKernel scope, from one Ascend profiler capture.

>>> import skadvisor
>>> analysis = skadvisor.analyze("trace_view.json")  # doctest: +SKIP
>>> analysis.result.recommendation.choice  # doctest: +SKIP
'attention-only'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skadvisor.version import __version__

if TYPE_CHECKING:
    from skadvisor.analysis import Analysis, analyze
    from skadvisor.capture import load
    from skadvisor.comparison.judging import compare
    from skadvisor.doctor.diagnosis import diagnose
    from skadvisor.ranks.analysis import analyze_ranks

__all__ = ["Analysis", "__version__", "analyze", "analyze_ranks", "compare", "diagnose", "load"]

# Names are imported when they are first used, so that the command line starts without pandas and scikit-learn.
_PUBLIC = {
    "Analysis": "skadvisor.analysis",
    "analyze": "skadvisor.analysis",
    "analyze_ranks": "skadvisor.ranks.analysis",
    "compare": "skadvisor.comparison.judging",
    "diagnose": "skadvisor.doctor.diagnosis",
    "load": "skadvisor.capture",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
