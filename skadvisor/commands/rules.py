"""`skadvisor rules`: what fuses, by operator type, chip, kind of graph and CANN version; and rules of one's own."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.commands.analysing import one_rank
from skadvisor.commands.answering import Wish, answer_options, give
from skadvisor.errors import InputError
from skadvisor.options import Options
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.fusion.rules import Rule
    from skadvisor.fusion.verdicts import Circumstances, Verdict
    from skadvisor.report.answer import Answer

_FILE = click.Path(path_type=Path)

TEMPLATE = """\
# Rules of your own, for --rules FILE: they come before the shipped ones, and the first that matches decides.

[[rule]]
# Exact operator types, compared without case and underscores, or patterns with *: a list, or a string with blanks.
op_types = ["MyOperator"]
# likely, unlikely or unknown.
fusible = "unlikely"
# Where it does not fuse, the compiler's word: OP_UNSUPPORT (no Ascend C kernel, no bind map), DYNAMIC_TASK_UNSUPPORT,
# SIMT_OP_UNSUPPORT, DEFAULT_NODE (AI CPU), EXTERNAL_DEPEND, NOT_IN_SCOPE, EXCEED_CORE_MAX, EXIST_DEADLOCK.
reason = "OP_UNSUPPORT"
# How you know; it is shown with every verdict.
source = "my compile log of 2026-01-31"
# What to do about it. The lines below may be left out.
remedy = "use the fused operator"
# Where the rule holds: chips (A2, A3, 950, 310P), graphs (ge, npugraph_ex) and CANN versions; everywhere if not said.
hardware = ["A3"]
modes = ["ge", "npugraph_ex"]
cann = ">=9.0"
# needs = "tiling_sink"  # or aiv_expansion: where that is known to be off, the operator does not fuse
"""


@click.command("rules")
@click.argument("subjects", nargs=-1, metavar="[OP...|CAPTURE]")
@click.option(
    "--hardware", type=click.Choice(["A2", "A3", "950", "310P"]), help="The chip.  [default: all, or inferred]"
)
@click.option("--cann", metavar="VERSION", help="The CANN version, such as 9.0.0.")
@click.option("--mode", type=click.Choice(["ge", "npugraph_ex"]), help="The kind of graph.")
@click.option("--rules", "files", multiple=True, type=_FILE, help="A TOML file that says what fuses. Repeatable.")
@click.option("--rank", type=int, help="This rank only, where the folder holds several.")
@click.option("--template", is_flag=True, help="Print a rules file with comments, to be filled in.")
@click.option(
    "--from", "learned", type=_FILE, help="Learn from a compile log, sk_meta, or a capture with SuperKernel on."
)
@answer_options(".toml")
def rules_command(subjects: tuple[str, ...], wish: Wish, **chosen: Any) -> None:
    """Say what fuses, with the source: operator types, all of a capture, or without arguments all that are known.

    With --from, turn what the compiler did on your machine into rules for --rules. A .toml file holds the rules that
    were learned, with --template the template, and of a capture the lines to fill in for operators without a rule.
    """
    from skadvisor.commands.lines import lines_answer
    from skadvisor.fusion.verdicts_text import describe_verdicts, lines_to_fill, verdict_lines
    from skadvisor.report import Answer
    from skadvisor.text.languages import translator

    source: Path | None = chosen["learned"]
    inputs = [Path(name) for name in (source, *subjects) if name is not None and Path(name).exists()]
    wish.check(inputs)
    if chosen["template"]:
        give(lines_answer(_("A rules file to fill in"), "toml", TEMPLATE, {}, (".toml",)), wish)
        return
    if source is not None:
        give(_learn(source, chosen), wish, inputs)
        return
    verdicts, how = _verdicts(subjects, chosen)

    def to_fill(_language: str) -> str:
        return lines_to_fill(verdicts) or "# every operator here has a rule\n"

    answer = Answer(
        verdicts,
        lambda language: describe_verdicts(verdicts, how, language),
        {".toml": to_fill},
        plain=lambda language: verdict_lines(verdicts, how, translator(language)),
        next=("skadvisor rules --from LOG -o rules.toml",),
    )
    give(answer, wish, inputs)


def _verdicts(subjects: tuple[str, ...], chosen: dict[str, Any]) -> tuple[tuple[Verdict, ...], Message | None]:
    """The verdicts asked for, and how the chip is known where a capture says it."""
    from skadvisor.fusion import load_rules
    from skadvisor.fusion.judging import operator_task
    from skadvisor.fusion.verdicts import Circumstances, list_verdicts, tasks_of

    rules = load_rules(*chosen["files"])
    known = Circumstances(hardware=chosen["hardware"] or "unknown", mode=chosen["mode"], cann=chosen["cann"])
    if len(subjects) == 1 and _is_path(subjects[0]):
        path = Path(subjects[0])
        kernels, known, how = _capture(path, known, one_rank(path, Options(rank=chosen["rank"])).rank)
        counts = tasks_of(kernels)
        return list_verdicts(counts, rules, known, counts), how
    wrong = next((subject for subject in subjects if _is_path(subject)), None)
    if wrong is not None:
        raise InputError(
            _("{wrong} is a file among operator types"), _("give one capture, or operator types only"), wrong=wrong
        )
    names = subjects or _all_types(rules)
    return list_verdicts([operator_task(name) for name in names], rules, known), None


def _is_path(subject: str) -> bool:
    if Path(subject).exists():
        return True
    if "/" in subject or "\\" in subject or "." in subject:
        raise InputError(
            _("there is no {subject}"), _("give operator types such as MatMulV2, or a capture"), subject=subject
        )
    return False


def _all_types(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    return tuple(sorted({name for rule in rules for name in rule.op_types}, key=str.lower))


def _capture(path: Path, known: Circumstances, rank: int | None) -> tuple[Any, Circumstances, Message | None]:
    """A capture's kernels, what it leaves open of the circumstances, and how its chip is known."""
    from skadvisor.capture import load
    from skadvisor.fusion.chip import infer_chip, recorded_cann
    from skadvisor.fusion.readings import mode_of
    from skadvisor.fusion.verdicts import Circumstances
    from skadvisor.labelling.labels import label
    from skadvisor.vocabulary.operators import load_vocabulary

    capture = load(path, rank=rank)
    how = None
    hardware, mode = known.hardware, known.mode
    if hardware == "unknown":
        chip = infer_chip(capture.kernels, capture.metadata)
        hardware, how = chip.hardware, Message(_("chip: {name} ({how})"), name=chip.hardware, how=chip.how)
    if mode is None:
        mode = mode_of(label(capture, load_vocabulary()).graph_kind)
    cann = known.cann or recorded_cann(capture.metadata)
    return capture.kernels, Circumstances(hardware=hardware, mode=mode, cann=cann), how


def _learn(source: Path, chosen: dict[str, Any]) -> Answer:
    """The rules that a log, sk_meta or a capture with SuperKernels shows."""
    from skadvisor.commands.lines import lines_answer
    from skadvisor.fusion.learning import conclude, rules_file

    seen = _seen(source, chosen["rank"])
    if not seen:
        raise InputError(
            _("{source} shows no operator that was fused or left out"),
            _("give a compile log at INFO level, the folder sk_meta, or a capture with SuperKernel on"),
            source=source,
        )
    circumstances = {key: chosen[name] for key, name in (("hardware", "hardware"), ("modes", "mode")) if chosen[name]}
    text = rules_file(seen, source, circumstances)
    record = {
        "rules": [
            {"op_type": name, "fuses": fuses, "reason_word": word, "inside": found.inside, "outside": found.outside}
            for name, found in seen.items()
            for fuses, word in [conclude(found)]
        ]
    }
    answer = lines_answer(_("Rules learned from your machine; use them with --rules"), "toml", text, record, (".toml",))
    return replace(answer, next=("skadvisor analyze CAPTURE --rules rules.toml",))


def _seen(source: Path, rank: int | None) -> dict[str, Any]:
    """What the source shows by operator type: logs where it holds any that speak of SuperKernel, else a capture."""
    from skadvisor.capture import load
    from skadvisor.fusion.learning import learn_from_capture, learn_from_log
    from skadvisor.labelling.labels import label
    from skadvisor.verification.compile_log import read_compile_logs
    from skadvisor.verification.log_text import named_like_log
    from skadvisor.vocabulary.operators import load_vocabulary

    if not source.exists():
        raise InputError(
            _("there is no {source}"), _("give a compile log, the folder sk_meta, or a capture"), source=source
        )
    if source.is_dir() or named_like_log(source):
        with suppress(InputError) if source.is_dir() else nullcontext():
            found = learn_from_log(read_compile_logs([source]))
            if found or source.is_file():
                return found
    capture = load(source, rank=one_rank(source, Options(rank=rank)).rank)
    return learn_from_capture(label(capture, load_vocabulary()).kernels)
