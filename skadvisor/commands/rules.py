"""`skadvisor rules`: what fuses, by operator type, chip, kind of graph and CANN version; and rules of one's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skadvisor.errors import InputError
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.fusion.rules import Rule
    from skadvisor.fusion.verdicts import Circumstances, Verdict

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
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects, one per verdict.")
@click.option("--template", is_flag=True, help="Print a rules file with comments, to be filled in.")
@click.option(
    "--from", "learned", type=_FILE, help="Learn from a compile log, sk_meta, or a capture with SuperKernel on."
)
@click.option("-o", "--output", type=_FILE, help="With --from: write the rules here.")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@click.option("--lang", "language", type=click.Choice(["en", "zh"]), help="Language.  [default: from the locale]")
def rules_command(subjects: tuple[str, ...], language: str | None, **chosen: Any) -> None:
    """Say what fuses, with the source: operator types, all of a capture, or without arguments all that are known.

    With --from, turn what the compiler did on your machine into rules for --rules.
    """
    from skadvisor.text.languages import default_language, translator

    if chosen["template"]:
        click.echo(TEMPLATE, nl=False)
        return
    if chosen["learned"] is not None:
        _learn(chosen)
        return
    if chosen["output"] is not None:
        raise InputError("-o needs --from", "skadvisor rules --from LOG -o rules.toml")
    translate = translator(language or default_language())
    verdicts, how = _verdicts(subjects, chosen)
    if chosen["as_json"]:
        click.echo(_json(verdicts, translate))
    else:
        click.echo(_text(verdicts, how, translate))


def _verdicts(subjects: tuple[str, ...], chosen: dict[str, Any]) -> tuple[tuple[Verdict, ...], Message | None]:
    """The verdicts asked for, and how the chip is known where a capture says it."""
    from skadvisor.fusion import load_rules
    from skadvisor.fusion.judging import operator_task
    from skadvisor.fusion.verdicts import Circumstances, list_verdicts, tasks_of

    rules = load_rules(*chosen["files"])
    known = Circumstances(hardware=chosen["hardware"] or "unknown", mode=chosen["mode"], cann=chosen["cann"])
    if len(subjects) == 1 and _is_path(subjects[0]):
        kernels, known, how = _capture(Path(subjects[0]), known, chosen["rank"])
        counts = tasks_of(kernels)
        return list_verdicts(counts, rules, known, counts), how
    wrong = next((subject for subject in subjects if _is_path(subject)), None)
    if wrong is not None:
        raise InputError(f"{wrong} is a file among operator types", "give one capture, or operator types only")
    names = subjects or _all_types(rules)
    return list_verdicts([operator_task(name) for name in names], rules, known), None


def _is_path(subject: str) -> bool:
    if Path(subject).exists():
        return True
    if "/" in subject or "\\" in subject or "." in subject:
        raise InputError(f"there is no {subject}", "give operator types such as MatMulV2, or a capture")
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


def _json(verdicts: tuple[Verdict, ...], translate: Callable[[str], str]) -> str:
    import msgspec

    rows = [
        {
            "op_type": verdict.op_type,
            "hardware": verdict.hardware,
            "mode": verdict.mode,
            "cann": verdict.cann,
            "fuses": verdict.fuses,
            "reason_word": verdict.reason_word,
            "remedy": verdict.remedy.render(translate),
            "source": translate(verdict.source),
            "needs": verdict.needs,
            "kernels": verdict.kernels,
        }
        for verdict in verdicts
    ]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()


def _text(verdicts: tuple[Verdict, ...], how: Message | None, translate: Callable[[str], str]) -> str:
    from skadvisor.fusion.learning import rules_for

    lines = [] if how is None else [how.render(translate), ""]
    for rows in _joined(verdicts):
        lines += _entry(rows, translate)
    unruled = {verdict.op_type: verdict.kernels for verdict in verdicts if verdict.without_rule}
    if any(count is not None for count in unruled.values()):
        lines += ["", translate(_("Operators without a rule; once you know, paste into a file for --rules:")), ""]
        lines.append(rules_for((name, count or 0) for name, count in unruled.items()))
    return "\n".join(lines).rstrip()


def _joined(verdicts: tuple[Verdict, ...]) -> list[list[Verdict]]:
    """Rows that say the same of different chips, joined; in order."""
    found: dict[Any, list[Verdict]] = {}
    for verdict in verdicts:
        key = (verdict.op_type, verdict.mode, verdict.cann, verdict.fuses, verdict.reason_word, str(verdict.remedy))
        found.setdefault((*key, verdict.kernels), []).append(verdict)
    return list(found.values())


def _entry(rows: list[Verdict], translate: Callable[[str], str]) -> list[str]:
    first = rows[0]
    chips = ", ".join(dict.fromkeys(row.hardware for row in rows if row.hardware != "any"))
    cann = f"CANN {first.cann}" if first.cann != "any" else ""
    where = ", ".join(part for part in (chips, first.mode if first.mode != "any" else "", cann) if part)
    count = "" if first.kernels is None else f"{first.kernels:>7} x "
    lines = [f"{count}{first.op_type:<28} {where:<22} {first.fuses:<9} {first.reason_word}".rstrip()]
    lines += [f"    {translate(source)}" for source in dict.fromkeys(row.source for row in rows)]
    if str(first.remedy):
        lines.append(f"    -> {first.remedy.render(translate)}")
    return lines


def _learn(chosen: dict[str, Any]) -> None:
    """Write or print the rules that a log, sk_meta or a capture with SuperKernels shows."""
    from skadvisor.files.output import check_output, write_atomically
    from skadvisor.fusion.learning import conclude, rules_file

    source: Path = chosen["learned"]
    if chosen["output"] is not None:
        check_output(chosen["output"], force=chosen["force"], inputs=[source])
    seen = _seen(source, chosen["rank"])
    if not seen:
        raise InputError(
            f"{source} shows no operator that was fused or left out",
            "give a compile log at INFO level, the folder sk_meta, or a capture with SuperKernel on",
        )
    circumstances = {key: chosen[name] for key, name in (("hardware", "hardware"), ("modes", "mode")) if chosen[name]}
    text = rules_file(seen, source, circumstances)
    if chosen["output"] is None:
        click.echo(text, nl=False)
        return
    write_atomically(chosen["output"], text, force=chosen["force"], inputs=[source])
    kinds = [conclude(found)[0] for found in seen.values()]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("likely", "unlikely", "unknown"))
    click.echo(f"wrote {chosen['output']}: {counts}; use it with --rules {chosen['output']}", err=True)


def _seen(source: Path, rank: int | None) -> dict[str, Any]:
    """What the source shows by operator type: logs where it holds any that speak of SuperKernel, else a capture."""
    from skadvisor.capture import load
    from skadvisor.fusion.learning import learn_from_capture, learn_from_log
    from skadvisor.labelling.labels import label
    from skadvisor.verification.compile_log import read_compile_logs
    from skadvisor.verification.log_text import named_like_log
    from skadvisor.vocabulary.operators import load_vocabulary

    if not source.exists():
        raise InputError(f"there is no {source}", "give a compile log, the folder sk_meta, or a capture")
    if source.is_dir() or named_like_log(source):
        with suppress(InputError) if source.is_dir() else nullcontext():
            found = learn_from_log(read_compile_logs([source]))
            if found or source.is_file():
                return found
    capture = load(source, rank=rank)
    return learn_from_capture(label(capture, load_vocabulary()).kernels)
