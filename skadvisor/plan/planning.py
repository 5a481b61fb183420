"""Making the plan of one scope from an analysis: code, configuration, options, expectation, risks, next steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skadvisor.errors import InputError
from skadvisor.events import PlainColumns
from skadvisor.fusion.overlaps import count_streams
from skadvisor.plan import code, compile_options, guidance, scope_operators
from skadvisor.plan.patch import DIALECTS, Dialect
from skadvisor.plan.proof import proof_commands
from skadvisor.plan.records import Expected, Plan, Risk
from skadvisor.records import Breaker, Result, Template, find_template
from skadvisor.text.messages import Message, _, often

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = ("attention-only", "moe-only", "full-model", "per-block", "automatic")
#: What to try if the scope works (wider) and if it does not (narrower).
_WIDER = {"attention-only": "per-block", "moe-only": "per-block", "per-block": "full-model"}
_NARROWER = {
    "moe-only": "attention-only",
    "per-block": "attention-only",
    "full-model": "per-block",
    "automatic": "attention-only",
}


def choose_dialect(result: Result) -> Dialect:
    """The dialect that fits the capture's kind of graph; plain GE where it is unknown."""
    kind = (result.graph_kind or "").lower()
    return "npugraph_ex" if "acl" in kind or "npugraph" in kind else "ge"


def named_dialect(name: str) -> Dialect:
    """The dialect of this name. Raises InputError where there is none."""
    for dialect in DIALECTS:
        if dialect == name:
            return dialect
    text = _("there is no dialect {dialect!r}")
    raise InputError(text, _("Choose one of: {listed}"), dialect=name, listed=", ".join(DIALECTS))


def make_plan(result: Result, kernels: pd.DataFrame, template: str, dialect: Dialect, variant: str = "") -> Plan:
    """The plan for `template` from an analysis and its labelled kernel table.

    Raises InputError where the dialect has no way to write the template.
    """
    _check(template, dialect, variant)
    variant = (variant or "a").lower() if template == "attention-only" else _router_variant(template, variant)
    # vLLM-Ascend hands over the whole graph whatever was asked for: that is what is foretold.
    covered = _whole_graph(result) if dialect == "vllm-ascend" else template
    known = compile_options.published_variant(template, variant) if covered == template else ""
    record = find_template(result.templates, covered, known)
    inside = compile_options.scope_kernels(kernels, covered, known)
    operators = scope_operators.list_operators(inside, record)
    in_scope = dialect in ("ge", "recipes")
    marked = dialect != "vllm-ascend" and template != "automatic"
    streams = count_streams(PlainColumns(inside), inside["scope"].to_numpy())
    weighed = (
        compile_options.weigh_options(inside, result.mode)
        if in_scope
        else compile_options.weigh_graph_options(dialect, streams)
    )
    text = compile_options.options_text(weighed) if in_scope else ""
    code_operators = scope_operators.code_operators(operators)
    return Plan(
        template=template,
        variant=variant,
        dialect=dialect,
        where=code.scope_place(template, variant) if marked or template == "automatic" else Message(_WHOLE_GRAPH),
        options=text,
        weighed=weighed,
        code=(
            *((code.scope_code(template, variant, dialect, text, **code_operators),) if marked else ()),
            *(scope_operators.list_stream_scopes(inside, template, dialect) if marked and not inside.empty else ()),
            *code.compile_code(dialect, marked),
        ),
        config=code.config_code(dialect, streams > 1),
        expected=_expect(record),
        risks=(*_risks(record, inside, dialect), *_stream_risks(streams, result.mode, dialect)),
        log_checks=guidance.log_checks(dialect),
        remedies=guidance.remedies(dialect),
        wider=wider_scope(template, result) if in_scope or dialect == "npugraph_ex" else None,
        narrower=_NARROWER.get(template) if in_scope or dialect == "npugraph_ex" else None,
        profile=guidance.template_profile(template, dialect),
        operators=operators,
        proof=proof_commands(template, dialect),
        notes=(
            *_notes(result, template, dialect, record),
            *((Message(_WITH_ROUTER),) if (template, variant) == ("moe-only", "b") else ()),
        ),
    )


_WITH_ROUTER = _("The router is in this scope, as in no published template; the figures are of the scope without it.")


def _router_variant(template: str, variant: str) -> str:
    return "b" if template == "moe-only" and variant.lower() == "b" else ""


def _whole_graph(result: Result) -> str:
    """The template that stands for a whole captured graph in this analysis."""
    record = find_template(result.templates, "automatic", "")
    return "automatic" if record is not None and record.estimate is not None else "full-model"


_WHOLE_GRAPH = _("nowhere in the model: vLLM-Ascend hands the whole captured graph over")


def _check(template: str, dialect: Dialect, variant: str) -> None:
    if template not in TEMPLATES:
        text = _("there is no template {template!r}")
        raise InputError(text, _("Choose one of: {listed}"), template=template, listed=", ".join(TEMPLATES))
    named_dialect(dialect)
    if variant.lower() not in ("", "a", "b"):
        raise InputError(
            _("there is no variant {variant!r}"),
            _("Choose a (attention module; experts) or b (decoder layer; experts with their router)."),
            variant=variant,
        )
    if template == "automatic" and dialect in ("ge", "recipes"):
        raise InputError(
            _("{dialect} fuses only what a scope encloses, so it has no automatic placement"),
            _("Use --dialect npugraph_ex or vllm-ascend, or name another template."),
            dialect=dialect,
        )


def _expect(record: Template | None) -> Expected | None:
    if record is None:
        return None
    return Expected(
        share=record.share,
        in_scope_us=record.in_scope_us,
        claim=record.claim,
        estimate=record.estimate,
        verdict=record.verdict,
        reason=record.reason,
    )


#: What a finding says and asks for where the words of the GE graph do not hold, by dialect.
_TILING = {
    True: Message(_("the compile code here and that of cann-recipes-infer sink it (tiling_schedule_optimize)")),
    False: Message(_("keep sequence lengths on the device: what every replay updates is left out")),
}
_GRAPH_MESSAGES = {"tiling": Message(_("attention is not fused where its lengths are updated at every replay"))}
_NPUGRAPH_REMEDIES = {
    "tiling": _TILING[False],
    "streams": Message(_("one scope per stream where pure Cube does not run beside pure Vector work")),
    "cores": Message(_("if it hangs, super_kernel_debug_options with debug_per_op_max_core_num finds the operator")),
}
_VLLM = Message(_("vLLM-Ascend has only the one switch: compare with it off"))
_REMEDIES: dict[Dialect, dict[str, Message]] = {
    "ge": {"tiling": _TILING[True]},
    "recipes": {"tiling": _TILING[True]},
    "npugraph_ex": _NPUGRAPH_REMEDIES,
    "vllm-ascend": {"tiling": _TILING[False], **dict.fromkeys(("streams", "cores", "core_limits"), _VLLM)},
}


def _risks(record: Template | None, inside: pd.DataFrame, dialect: Dialect) -> tuple[Risk, ...]:
    """Findings that do not pass, operators that cut the scope, and collectives that need a switch."""
    marked, own = dialect in ("ge", "recipes"), _REMEDIES[dialect]
    risks = [
        Risk(
            what=finding.check,
            message=finding.message if marked else _GRAPH_MESSAGES.get(finding.check, finding.message),
            remedy=own.get(finding.check, finding.remedy),
            source="" if finding.check in own and not marked else finding.source,
        )
        for finding in (record.findings if record else ())
        if finding.status != "pass"
    ]
    risks += [
        Risk(
            what=breaker.op_type,
            message=Message(
                _("cuts the scope {times} per layer ({reason})")
                if breaker.likelihood == "likely"
                else _("may cut the scope {times} per layer ({reason})"),
                times=often(cuts),
                reason=breaker.reason,
            ),
            remedy=breaker.remedy,
            source=breaker.source,
        )
        for breaker, cuts in _by_operator(record.breakers if record else ())
    ]
    collectives = inside[inside["kind"] == "collective"] if len(inside) else inside
    if len(collectives):
        risks.append(
            Risk(
                what="collectives",
                message=Message(
                    _("{count} collectives per scope are fused only when they run on the AI Vector cores"),
                    count=round(len(collectives) / max(1, inside["scope"].nunique())),
                ),
                remedy=Message(_("export HCCL_OP_EXPANSION_MODE=AIV before the run, for both measurements")),
                source=_("TorchAir: communication operators in SuperKernel scopes"),
            )
        )
    return tuple(risks)


def _by_operator(breakers: Sequence[Breaker]) -> list[tuple[Breaker, float]]:
    """Breakers of one type and verdict as one, whatever their roles, with their cuts per layer together."""
    cuts: dict[tuple[str, str], float] = {}
    first: dict[tuple[str, str], Breaker] = {}
    for breaker in breakers:
        key = breaker.op_type, breaker.likelihood
        first.setdefault(key, breaker)
        cuts[key] = cuts.get(key, 0.0) + breaker.cuts_per_layer
    return [(first[key], count) for key, count in cuts.items()]


def _stream_risks(streams: int, mode: str, dialect: Dialect) -> tuple[Risk, ...]:
    if streams <= 2 or mode == "eager" or dialect not in ("ge", "recipes"):
        return ()
    risk = Risk(
        what="streams",
        message=Message(_("{count} streams in one scope; the compiler may refuse more than 2"), count=streams),
        remedy=Message(_("one scope per stream")),
        source=_("compile log: do not support more than 2 real stream"),
    )
    return (risk,)


def wider_scope(template: str, result: Result) -> str | None:
    """The next wider template to try, None where there is none."""
    moe = any(kind.kind == "moe" for kind in result.layers.kinds)
    return "moe-only" if template == "attention-only" and moe else _WIDER.get(template)


def _notes(result: Result, template: str, dialect: Dialect, record: Template | None) -> tuple[Message, ...]:
    notes: list[Message] = []
    if result.mode == "eager":
        first = _("The capture is eager: SuperKernel needs graph mode. First run in graph mode, then capture again.")
        notes.append(Message(first))
    if result.phase != "decode":
        notes.append(Message(_("The capture has no decode step: options and gain are not known from it.")))
    if dialect == "vllm-ascend" and template not in ("full-model", "automatic"):
        text = _("There is no switch for {name} in vLLM-Ascend: it hands over the whole graph, as the figures do.")
        notes.append(Message(text, name=template))
    advised = result.recommendation
    if template == advised.choice and record is not None and record.verdict == "within_noise":
        notes.append(Message(_("Taken at high risk: {reason}"), reason=advised.reason))
    elif record is not None and record.verdict in ("blocked", "not_applicable", "within_noise"):
        notes.append(Message(_("The analysis advises against this scope: {reason}"), reason=record.reason))
        if advised.choice == "none" and template == advised.runner_up:
            notes += advised.next[:1]
    notes.append(Message(_("Data dump is off while SuperKernel is on.")))
    return tuple(notes)
