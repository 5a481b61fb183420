"""`skadvisor plan`: what to type for a template, and the change of the user's own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.commands.analysing import analysis_options, one_rank
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.errors import InputError
from skadvisor.options import Options
from skadvisor.plan import TEMPLATES
from skadvisor.plan.patch import DIALECTS
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.plan import Plan
    from skadvisor.plan.patch import Declined, Dialect, Patch
    from skadvisor.plan.recipe_config import ConfigReview
    from skadvisor.records import Recommendation
    from skadvisor.report.document import Document


@click.command("plan")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--template", type=click.Choice(TEMPLATES), help="Which scope.  [default: the recommended one]")
@click.option(
    "--variant",
    type=click.Choice(["a", "b"]),
    help="Of attention-only; b of moe-only holds the router.  [default: the recommended, else a]",
)
@click.option("--dialect", type=click.Choice(DIALECTS), help="How it is written.  [default: from the capture]")
@click.option("--model", type=click.Path(path_type=Path), help="A modeling file: show the change as a diff.")
@click.option("--class", "classes", multiple=True, help="The class to change, where several fit. Repeatable.")
@click.option("--method", "methods", multiple=True, help="The method, where decode has several ways. Repeatable.")
@click.option("--enable", help="A Python expression that switches the scope on, where the class has none.")
@click.option("--decode-when", help="A Python expression that is true in decode, where the method has none.")
@click.option("--config", type=click.Path(path_type=Path), help="A cann-recipes configuration: check and change it.")
@click.option("--write", "apply", is_flag=True, help="Apply the changes to --model and --config, after a backup.")
@answer_options(".diff", ".patch")
@analysis_options
def plan_command(
    capture: Path,
    template: str | None,
    variant: str | None,
    dialect: Dialect | None,
    model: Path | None,
    config: Path | None,
    apply: bool,
    wish: Wish,
    options: Options,
    **places: Any,
) -> None:
    """Print the code, configuration, options, risks and checks for a scope, from the capture that it is for."""
    from skadvisor.analysis import analyze
    from skadvisor.plan import choose_dialect, describe_plan, make_plan
    from skadvisor.plan.recipe_config import fitting_dialect
    from skadvisor.plan.text import change_sections
    from skadvisor.report import Answer

    if apply and model is None and config is None:
        raise InputError(_("--write changes files: name them with --model or --config"))
    wish.check([capture])
    analysis = analyze(capture, one_rank(capture, options))
    advised = analysis.result.recommendation
    chosen = template or advised.choice
    if chosen == "none":
        _give_none(advised, capture, wish)
        return
    # what was asked for, else what fits the graph that the configuration has, else the capture's
    spoken = dialect or (fitting_dialect(config) if config else None) or choose_dialect(analysis.result)
    variant = variant or (advised.variant if chosen == advised.choice else "")
    plan = make_plan(analysis.result, analysis.kernels, chosen, spoken, variant)
    patch = _propose(model, plan, spoken, places) if model else None
    reviewed = _review(config, plan, spoken, analysis.kernels) if config else None

    def describe(language: str) -> Document:
        return describe_plan(plan, language, change_sections(patch, reviewed, language))

    def diff(_language: str) -> str:
        return _diff(patch, reviewed)

    follows = ("skadvisor verify --compile-log LOG", f"skadvisor compare {capture} AFTER --template {plan.template}")
    give(Answer(plan, describe, {".diff": diff, ".patch": diff}, next=follows), wish, [capture])
    if apply:
        _apply(patch, reviewed)


def _give_none(advised: Recommendation, capture: Path, wish: Wish) -> None:
    """Say that no scope is recommended, and how to see a plan all the same."""
    from skadvisor.report import Answer
    from skadvisor.report.document import Document, Summary
    from skadvisor.report.summary import first_lists
    from skadvisor.report.wording import Wording

    def describe(language: str) -> Document:
        wording = Wording(language)
        headline = wording.say(_("No scope is recommended for this capture: {reason}"), reason=advised.reason)
        steps = tuple(wording.full_sentence(message) for message in advised.next)
        return Document(headline, language, Summary(headline, lists=first_lists(wording, (), steps)))

    shown = advised.runner_up or "attention-only"
    follows = (f"skadvisor plan {capture} --template {shown}",)
    give(Answer(advised, describe, status="no_placement", next=follows), wish)
    click.echo(f"name one to see its plan all the same: --template {shown}", err=True)


def _propose(model: Path, plan: Plan, dialect: Dialect, places: dict[str, Any]) -> Patch | Declined:
    """The change of the modeling file; `places` are the options of --class, --method, --enable and --decode-when."""
    from skadvisor.plan import patch

    request = patch.Request(
        template=plan.template, variant=plan.variant or "a", dialect=dialect, options=plan.options, **places
    )
    try:
        return patch.propose(model, request)
    except ValueError as error:
        raise InputError(
            str(error), _("Quote a Python expression, for example --decode-when 'not is_prefill'")
        ) from error


def _review(config: Path, plan: Plan, dialect: Dialect, kernels: pd.DataFrame) -> ConfigReview:
    from skadvisor.events import PlainColumns
    from skadvisor.fusion.overlaps import count_streams
    from skadvisor.plan.compile_options import scope_kernels
    from skadvisor.plan.recipe_config import review

    if dialect == "vllm-ascend":
        raise InputError(
            _("vLLM-Ascend has no configuration file of its own"), _("Type the additional_config of the plan.")
        )
    inside = scope_kernels(kernels, plan.template, plan.variant)
    return review(config, dialect, count_streams(PlainColumns(inside), inside["scope"].to_numpy()) > 1)


def _diff(patch: Patch | Declined | None, reviewed: ConfigReview | None) -> str:
    """The change of the user's files as one diff. Raises InputError where there is none, with the reason."""
    diff = getattr(patch, "diff", "") + (reviewed.diff if reviewed else "")
    if diff:
        return diff
    refused = [str(reason) for one in (patch, reviewed) if (reason := _refusal(one)) is not None]
    advice = "; ".join(refused) or "name a file to change with --model or --config"
    raise InputError(_("there is no diff to write"), advice)


def _refusal(answer: Patch | Declined | ConfigReview | None) -> Message | None:
    return getattr(answer, "reason", None) or getattr(answer, "declined", None)


def _apply(answer: Patch | Declined | None, reviewed: ConfigReview | None) -> None:
    """Write what can be written; a file that was declined is an error, because the user asked for the change."""
    from skadvisor.plan import patch, recipe_config

    refused: list[str] = []
    if isinstance(answer, patch.Patch):
        click.echo(f"changed {answer.path}, before: {patch.write(answer)}", err=True)
    elif answer is not None and answer.done:
        click.echo(f"{answer.path} is already so: {answer.reason}", err=True)
    elif answer is not None:
        refused.append(f"{answer.path} was not changed: {answer.reason}")
    if reviewed is not None and reviewed.declined is None:
        backup = recipe_config.write(reviewed)
        click.echo(
            f"changed {reviewed.path}, before: {backup}" if backup else f"{reviewed.path} is already so", err=True
        )
    elif reviewed is not None:
        refused.append(f"{reviewed.path} was not changed: {reviewed.declined}")
    if refused:
        raise InputError("; ".join(refused), _("The plan shows the lines to place by hand."))
