"""What to type for a chosen scope: code in every dialect, configuration, options with reasons, checks, next steps."""

from skadvisor.plan.planning import TEMPLATES, choose_dialect, make_plan
from skadvisor.plan.records import Plan
from skadvisor.plan.text import describe_plan, plan_sections

__all__ = ["TEMPLATES", "Plan", "choose_dialect", "describe_plan", "make_plan", "plan_sections"]
