"""`skadvisor plan`: what to type for a template, and the change of the user's own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skadvisor.commands.analysing import analysis_options
from skadvisor.errors import InputError
from skadvisor.options import Options
from skadvisor.plan import TEMPLATES
from skadvisor.plan.patch import DIALECTS
from skadvisor.text.messages import Message, _
from skadvisor.text.plain_text import plain

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.plan import Plan
    from skadvisor.plan.patch import Declined, Dialect, Patch
    from skadvisor.plan.recipe_config import ConfigReview
    from skadvisor.text.languages import Translate


@click.command("plan")
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--template", type=click.Choice(TEMPLATES), help="Which scope.  [default: the recommended one]")
@click.option("--variant", type=click.Choice(["a", "b"]), help="Of attention-only.  [default: the recommended, else a]")
@click.option("--dialect", type=click.Choice(DIALECTS), help="How it is written.  [default: from the capture]")
@click.option("--model", type=click.Path(path_type=Path), help="A modeling file: show the change as a diff.")
@click.option("--class", "classes", multiple=True, help="The class to change, where several fit. Repeatable.")
@click.option("--method", "methods", multiple=True, help="The method, where decode has several ways. Repeatable.")
@click.option("--enable", help="A Python expression that switches the scope on, where the class has none.")
@click.option("--decode-when", help="A Python expression that is true in decode, where the method has none.")
@click.option("--config", type=click.Path(path_type=Path), help="A cann-recipes configuration: check and change it.")
@click.option("--write", "apply", is_flag=True, help="Apply the changes to --model and --config, after a backup.")
@analysis_options
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the plan (.md, .txt, .json) or the .diff.")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
def plan_command(
    capture: Path,
    template: str | None,
    variant: str | None,
    dialect: str | None,
    model: Path | None,
    classes: tuple[str, ...],
    methods: tuple[str, ...],
    enable: str | None,
    decode_when: str | None,
    config: Path | None,
    apply: bool,
    options: Options,
    language: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Print the code, configuration, options, risks and checks for a scope, from the capture that it is for."""
    from skadvisor.analysis import analyze
    from skadvisor.files.output import check_output
    from skadvisor.plan import choose_dialect, make_plan, render_plan
    from skadvisor.text.languages import default_language, translator

    if apply and model is None and config is None:
        raise click.UsageError("--write changes files: name them with --model or --config")
    if output is not None:
        check_output(output, force=force, inputs=[capture])
    translate = translator(language or default_language())
    analysis = analyze(capture, options)
    advised = analysis.result.recommendation
    chosen = template or advised.choice
    if chosen == "none":
        none = Message(_("No scope is recommended for this capture: {reason}"), reason=advised.reason)
        click.echo(none.render(translate))
        if advised.runner_up is not None and advised.next:
            click.echo(advised.next[0].render(translate))
        shown = advised.runner_up or "attention-only"
        click.echo(f"name one to see its plan all the same: --template {shown}", err=True)
        return
    spoken = _dialect(dialect, config) or choose_dialect(analysis.result)
    plan = make_plan(analysis.result, analysis.kernels, chosen, spoken, variant or advised.variant)
    patch = _propose(model, plan, classes, methods, enable, decode_when) if model else None
    reviewed = _review(config, plan, analysis.kernels) if config else None
    parts = [_patch_text(patch, translate)] if patch else []
    parts += [_config_text(reviewed, translate)] if reviewed else []
    text = "\n".join([*parts, render_plan(plan, translate, changed=bool(getattr(patch, "diff", "")))])
    if output is None:
        click.echo(text, nl=False)
    else:
        _save(output, text, plan, patch, reviewed, force, capture)
    if apply:
        _apply(patch, reviewed)


def _dialect(asked: str | None, config: Path | None) -> Dialect | None:
    """The dialect that was asked for, else the one of the graph that the configuration has; None for the capture's."""
    from skadvisor.plan.recipe_config import fitting_dialect

    if asked is not None:
        return next(name for name in DIALECTS if name == asked)
    return fitting_dialect(config) if config is not None else None


def _propose(
    model: Path,
    plan: Plan,
    classes: tuple[str, ...],
    methods: tuple[str, ...],
    enable: str | None,
    decode_when: str | None,
) -> Patch | Declined:
    from skadvisor.plan import patch

    request = patch.Request(
        template=plan.template,
        variant=plan.variant or "a",
        dialect=next(name for name in DIALECTS if name == plan.dialect),
        options=plan.options,
        classes=classes,
        methods=methods,
        enable=enable,
        decode_when=decode_when,
    )
    try:
        return patch.propose(model, request)
    except ValueError as error:
        raise InputError(str(error), "Quote a Python expression, for example --decode-when 'not is_prefill'") from error


def _review(config: Path, plan: Plan, kernels: pd.DataFrame) -> ConfigReview:
    from skadvisor.plan.compile_options import count_streams, scope_kernels
    from skadvisor.plan.recipe_config import review

    if plan.dialect == "vllm-ascend":
        raise InputError("vLLM-Ascend has no configuration file of its own", "Type the additional_config of the plan.")
    inside = scope_kernels(kernels, plan.template, plan.variant)
    spoken = next(name for name in DIALECTS if name == plan.dialect)
    return review(config, spoken, not inside.empty and count_streams(inside) > 1)


def _patch_text(answer: Patch | Declined, translate: Translate) -> str:
    from skadvisor.plan.patch import Patch

    def show(messages: tuple[Message, ...]) -> list[str]:
        return [f"- {plain(message.render(translate))}" for message in messages]

    lines = [f"## {answer.path.name}", ""]
    if isinstance(answer, Patch):
        lines += [*show(answer.places), *show(answer.notes), "", "```diff", answer.diff.rstrip("\n"), "```"]
    else:
        stays = Message(_("The file stays as it is: {reason}"), reason=answer.reason)
        lines += [stays.render(translate), *show(answer.seen)]
        if answer.by_hand:
            lines += ["", translate(_("To place by hand:")), "", "```python", answer.by_hand.rstrip("\n"), "```"]
    return "\n".join(lines) + "\n"


def _config_text(reviewed: ConfigReview, translate: Translate) -> str:
    lines = [f"## {reviewed.path.name}", ""]
    for finding in reviewed.findings:
        lines.append(f"- {finding.status}: `{finding.key}`: {finding.message.render(translate)}")
    if reviewed.declined is not None:
        stays = Message(_("The file stays as it is: {reason}"), reason=reviewed.declined)
        lines.append(stays.render(translate))
    elif reviewed.diff:
        lines += ["", "```diff", reviewed.diff.rstrip("\n"), "```"]
    else:
        lines.append(translate(_("Nothing has to change.")))
    return "\n".join(lines) + "\n"


def _save(
    output: Path,
    text: str,
    plan: Plan,
    patch: Patch | Declined | None,
    reviewed: ConfigReview | None,
    force: bool,
    capture: Path,
) -> None:
    from skadvisor.files.output import write_atomically
    from skadvisor.records import to_json

    content: str | bytes = text
    if output.suffix == ".json":
        content = to_json(plan)
    elif output.suffix in (".diff", ".patch"):
        content = getattr(patch, "diff", "") + (reviewed.diff if reviewed else "")
        if not content:
            reasons = [str(item.reason) for item in (patch,) if item is not None and not hasattr(item, "diff")]
            reasons += [str(reviewed.declined)] if reviewed is not None and reviewed.declined is not None else []
            raise InputError(
                f"there is no diff to write{': ' if reasons else ''}{'; '.join(reasons)}",
                "" if patch or reviewed else "Name a file to change with --model or --config.",
            )
    write_atomically(output, content, force=force, inputs=[capture])
    click.echo(f"wrote {output}", err=True)


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
        raise InputError("; ".join(refused), "The plan shows the lines to place by hand.")
