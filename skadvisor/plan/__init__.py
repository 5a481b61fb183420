"""What to type for a chosen scope: code in every dialect, configuration, options with reasons, checks, next steps.

The module can be called: `skadvisor.plan("capture", "full-model")` is the plan of a capture or of an `Analysis`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from skadvisor.plan.planning import TEMPLATES, choose_dialect, make_plan
from skadvisor.plan.records import Plan
from skadvisor.plan.text import describe_plan, plan_sections

__all__ = ["TEMPLATES", "Plan", "choose_dialect", "describe_plan", "make_plan", "plan_sections"]


class _Callable(ModuleType):
    """A package that is a function, too, because the public door of planning bears its name."""

    def __call__(
        self,
        run: Any,
        template: str | None = None,
        dialect: str | None = None,
        variant: str = "",
        **options: Any,
    ) -> Plan:
        """What to type for a scope, as `Analysis.plan`; a path is analysed with `options` first."""
        analysis = run if hasattr(run, "plan") else import_module("skadvisor").analyze(run, **options)
        planned: Plan = analysis.plan(template, dialect, variant)
        return planned


sys.modules[__name__].__class__ = _Callable
