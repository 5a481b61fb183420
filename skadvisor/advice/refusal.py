"""The refusals that follow from a plain fact of the capture, before any gain is weighed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skadvisor.labelling.visible import no_layer
from skadvisor.records import Ground, Recommendation, Template
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.accounting.situation import Situation


def make_refusal(ground: Ground, reason: Message | str, *steps: Message | str) -> Recommendation:
    """Place no scope, for a plain fact of the capture: no chance was computed."""
    why, *todo = (Message(said) if isinstance(said, str) else said for said in (reason, *steps))
    return Recommendation(choice="none", ground=ground, reason=why, confidence=None, runner_up=None, next=tuple(todo))


def refuse(templates: Sequence[Template], situation: Situation) -> Recommendation | None:
    """A refusal that no gain could change: training, no layers, no decode, no sure graph, fused already; else None.

    Raises NotEnoughError where a graph without decoder layers was recorded, and nothing repeats in it: pieces of a
    layer look the same as a net that ran once.
    """
    return _nothing_to_judge(templates, situation) or _something_first(templates, situation)


def _nothing_to_judge(templates: Sequence[Template], situation: Situation) -> Recommendation | None:
    """Where the capture holds no decode step of a model without SuperKernel."""
    if situation.training:
        reason = (
            _("this is training; SuperKernel scopes are for the decode phase of inference")
            if situation.decoder_layers
            else _("this is training, and no decoder layers were found; SuperKernel scopes are for decode")
        )
        return make_refusal("training", reason, _("record decode steps of the inference service"))
    if situation.superkernels:
        return make_refusal(
            "superkernel",
            Message(_("SuperKernel is on already: {count} of them run in the step"), count=situation.superkernels),
            _("judge it with: skadvisor compare BEFORE AFTER; for a forecast, record with SuperKernel off"),
        )
    if situation.experts_alone:
        passes, layers = situation.experts_passes or (None, None)
        text = (
            _("only experts were recorded, {passes} passes of {layers} layers: a rank that serves experts for others")
            if situation.experts_passes
            else _("only experts were recorded: a rank that serves experts for others")
        )
        both = _("record a rank that runs attention too, and give both: their step is one")
        return make_refusal("no_decoder", Message(text, passes=passes, layers=layers), both)
    if situation.outside_grammar is not None:
        named = _("name the operators that attend or mix tokens with --operators, if it is one all the same")
        return make_refusal("no_decoder", situation.outside_grammar, named)
    if situation.graph_alone and templates and not situation.repeats:
        raise no_layer(situation.kernels)
    if not situation.decoder_layers and not templates:
        return make_refusal(
            "no_decoder",
            _("no decoder layers were found, so there is nothing to place a scope round"),
            _("record a decode step of a transformer model, at Level1 so that shapes are there"),
        )
    if situation.phase == "unknown":
        return make_refusal(
            "no_decode",
            _(
                "no step was recognised as decode: an encoder has none, and without shapes prefill and decode can "
                "look alike"
            ),
            _("record at least three decode steps of a model that generates text, after warm-up, at Level1"),
        )
    if situation.phase not in ("decode", "mixed"):
        return make_refusal(
            "no_decode",
            _("no decode step in the capture; prefill has dynamic shapes and does not gain"),
            _("record at least three decode steps after warm-up"),
        )
    return None


def _something_first(templates: Sequence[Template], situation: Situation) -> Recommendation | None:
    """Where the step is not of a graph that keeps the device busy, or cannot take a scope as it was recorded."""
    # A graph without decoder layers is judged by its own time; what drives it need not be a service.
    if situation.mode == "eager" or (situation.host_bound and situation.decoder_layers):
        return _graph_first(situation)
    if situation.mode == "unknown":
        return make_refusal(
            "mode",
            _(
                "nothing says whether the kernels were replayed from a graph or launched one by one, and without a "
                "graph no scope is fused"
            ),
            _("record at Level1: Model ID and OP State tell a graph's kernels"),
        )
    if situation.wait_bound:
        return make_refusal(
            "wait",
            _(
                "inside the graph the device waits for another stream or rank, not for the host; fusing would only "
                "lengthen that wait"
            ),
            _("find what it waits for: record all ranks, and all streams with the event waits of trace_view.json"),
            _("shorten or overlap what it waits for, then record again"),
        )
    if not templates:
        return make_refusal("blocked", _("no template could be assessed on this capture"))
    fused = next((finding for finding in templates[0].findings if finding.check == "superkernel"), None)
    if fused is not None:
        return make_refusal("superkernel", fused.message, *([fused.remedy] if fused.remedy else []))
    return None


def _graph_first(situation: Situation) -> Recommendation:
    if situation.mode != "eager":
        reason = _("first one whole graph instead of pieces: fusing would only lengthen the wait for the host")
        step = _("capture decode as one graph instead of pieces (full decode graph)")
    else:
        reason = (
            _(
                "eager and host-bound, so first graph mode: no scope can remove the time in which the device waits for "
                "the host"
            )
            if situation.host_bound
            else _("the decode steps are eager, so first graph mode")
        )
        step = _("switch decode to graph mode (exe_mode ge_graph or npugraph_ex, static shapes)")
    again = _("then record again and rerun skadvisor analyze")
    return make_refusal("host" if situation.host_bound else "mode", reason, step, again)
