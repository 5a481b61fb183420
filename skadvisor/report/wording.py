"""The words of the reports: names of regions, templates and states, and how numbers and hostile text are written."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from skadvisor.text.languages import Translate, translator
from skadvisor.text.messages import Message, _, often

#: The blank before a unit.
UNIT = re.compile(r"(?<=\d) (?=(?:%|µs|ms)(?!\w))")
#: What stands before a comment, and the comment.
_COMMENT = re.compile(r"(?m)(^[ \t]*# |  # )(\S.*)$")
LONGEST_NAME = 120
LONGEST_VALUE = 300
LONGEST_SENTENCE = 2000

REGION_NAMES = {
    "attention": _("attention"),
    "mlp": _("MLP"),
    "moe": _("MoE experts"),
    "norm": _("norm and residual"),
    "comm": _("collectives"),
    "embedding": _("embedding"),
    "head": _("output head"),
    "sampling": _("sampling"),
    "prepare": _("preparation"),
    "other": _("other"),
    "unattributed": _("unattributed"),
}
GAP_NAMES = {
    "inside": _("gaps inside regions"),
    "between": _("gaps between regions"),
    "wait": _("waits for another stream or rank"),
    "host": _("gaps waiting for the host"),
}
PHASE_NAMES = {
    "prefill": _("prefill"),
    "decode": _("decode"),
    "mixed": _("mixed"),
    "training": _("training"),
    "unknown": _("unknown"),
}
PHASE_EVIDENCE_NAMES = {
    "host": _("host ranges"),
    "attention": _("attention kernels"),
    "tokens": _("rows and sequences"),
    "replay": _("graph replay"),
    "length": _("step lengths"),
    "training": _("gradients"),
    "none": _("nothing"),
}
MODE_NAMES = {"eager": _("eager"), "graph": _("graph"), "unknown": _("unknown")}
LAYER_KIND_NAMES = {"dense": _("dense"), "moe": _("MoE"), "mtp": _("MTP"), "other": _("other")}
ATTENTION_NAMES = {
    "gqa": _("GQA"),
    "mla": _("MLA"),
    "linear": _("linear attention"),
    "sparse": _("sparse attention"),
    "unknown": _("unknown attention"),
}
#: Several regions together: of a step that has SuperKernels already, and where the small ones are one.
JOINED_NAMES = {
    "superkernel": _("in SuperKernels"),
    "outside": _("outside them"),
    "busy": _("kernels"),
    "rest": _("the rest"),
}
STATUS_NAMES = {"pass": _("pass"), "warn": _("warning"), "block": _("blocks"), "unknown": _("unknown")}
VERDICT_NAMES = {
    "worthwhile": _("worthwhile"),
    "within_noise": _("within noise"),
    "not_applicable": _("not applicable"),
    "blocked": _("blocked"),
    "unknown": _("unknown"),
}
LIKELIHOOD_NAMES = {"likely": _("likely"), "unlikely": _("unlikely"), "unknown": _("unknown")}
RISK_NAMES = {"low": _("low"), "medium": _("medium"), "high": _("high")}
FUSIBLE_NAMES = {"likely": _("fuses"), "unlikely": _("does not fuse"), "unknown": _("not known"), "mixed": _("in part")}
BASIS_NAMES = {"measured": _("measured"), "derived": _("derived"), "assumed": _("assumed")}
#: What a check of a scope looks at.
CHECK_NAMES = {
    "aicpu": _("AI CPU"),
    "collectives": _("collectives"),
    "core_limits": _("core limits"),
    "cores": _("cores"),
    "custom": _("custom operators"),
    "fragments": _("fragments"),
    "hardware": _("chip"),
    "mode": _("mode"),
    "shapes": _("shapes"),
    "streams": _("streams"),
    "superkernel": _("SuperKernel"),
    "tiling": _("tiling"),
    "version": _("CANN version"),
}
#: Roles of kernels; another one is shown with its underscores replaced.
ROLE_NAMES = {
    "qkv_proj": _("q/k/v projection"),
    "attention_core": _("attention core"),
    "rope": _("rotary embedding"),
    "kv_cache": _("KV-cache write"),
    "indexer": _("sparse indexer"),
    "absorbed_matmul": _("absorbed MLA matmul"),
    "out_proj": _("output projection"),
    "router": _("router"),
    "topk": _("top-k"),
    "dispatch": _("dispatch"),
    "expert_matmul": _("expert matmul"),
    "shared_expert": _("shared expert"),
    "combine": _("combine"),
    "gate_up": _("gate and up projection"),
    "activation": _("activation"),
    "down": _("down projection"),
    "residual_norm": _("residual add and norm"),
    "norm": _("norm"),
    "collective": _("collective"),
    "quantise": _("quantise"),
    "layout": _("layout change"),
    "cast": _("cast"),
    "sampling": _("sampling"),
    "prepare": _("preparation"),
    "superkernel": _("SuperKernel"),
    "head": _("output head"),
    "embedding": _("embedding"),
    "qk_norm": _("q/k norm"),
    "exchange": _("exchange between ranks"),
    "gate": _("gate"),
    "gather": _("gather"),
    "reduce": _("reduction"),
    "softmax": _("softmax"),
    "add": _("add"),
    "adapter": _("adapter (LoRA)"),
    "fused_ffn": _("fused feed-forward"),
    "fused_matmul_comm": _("matmul fused with communication"),
    "fused_matmul_norm": _("matmul fused with a norm"),
    "backward": _("backward pass"),
    "loss": _("loss"),
    "training": _("training"),
    "vision": _("vision"),
    "mark": _("mark"),
    "matmul": _("matmul"),
    "elementwise": _("element-wise"),
    "unknown": _("unknown"),
}
#: Terms that the gain models name; another name is shown with its underscores replaced.
TERM_NAMES = {
    "visible_gaps": _("visible gaps"),
    "head_overhead": _("task overhead in the head of kernels"),
    "off_critical_path": _("not on the critical path"),
    "stream_overlap": _("lost stream overlap"),
    "not_carried": _("not carried over to the step"),
    "base_rate": _("drawn to the base rate"),
}
#: What a term was made from, written before the source of a prior.
LEADS = (
    _("duration minus core time of the PMU columns"),
    _("gaps between neighbours that fuse"),
)
#: What terms rest on that have no prior. Sources that stand in data files are translated as the remedies there.
SOURCES = (
    _("replay of the step's timeline"),
    _("measured on this machine by the probe"),
    _("public pairs, each net foretold by the others"),
)


@dataclass(frozen=True)
class Wording:
    """The vocabulary in one language. All text that leaves it is free of control characters."""

    language: str = "en"

    @property
    def translate(self) -> Translate:
        """The gettext function of the language."""
        return translator(self.language)

    def say(self, template: str, **values: Any) -> str:
        """A sentence of ours, translated and filled in."""
        return self.sentence(Message(template, **values))

    def sentence(self, message: Message | None) -> str:
        """A sentence of the result; empty where there is none."""
        if message is None:
            return ""
        shown = Message(message.template, **{name: _shortened(value) for name, value in message.values.items()})
        return typeset(clip(shown.render(self.translate), LONGEST_SENTENCE))

    def full_sentence(self, message: Message | None) -> str:
        """A sentence of the result that stands alone: with a capital and a full stop."""
        text = self.sentence(message)
        if not text:
            return ""
        stop = "" if text[-1] in ".!?。！？:：`" else self.say(_("."))
        # Names of templates and files keep their writing.
        plain = self.language == "en" and text.split(maxsplit=1)[0].rstrip(",:;.").isalpha()
        return (text[0].upper() + text[1:] if plain else text) + stop

    def cut_note(self, template: str, shown: int, count: int) -> str:
        """The sentence that says how many of `all` are `shown`; empty where nothing is left out."""
        return self.say(template, shown=shown, all=count) if shown < count else ""

    def comments(self, code: str) -> str:
        """Code with its comments in the language, where they are known; commands in comments stay as they are."""
        return _COMMENT.sub(lambda found: found[1] + self.translate(found[2]), code)

    def name(self, names: dict[str, str], key: str) -> str:
        """The word for an identifier; the identifier itself in plain words where we have none."""
        return self.say(names[key]) if key in names else clean(key.replace("_", " "))

    def region(self, key: str) -> str:
        """The word for a region or for a kind of gap."""
        return self.name(REGION_NAMES | GAP_NAMES | JOINED_NAMES, key)

    def role(self, key: str) -> str:
        """The word for a role."""
        return clip(self.name(ROLE_NAMES, key), 40)

    def template(self, key: str, variant: str = "") -> str:
        """A template by the name that commands take, in every language, and its variant."""
        name = self.say(_("none")) if key == "none" else clean(key)
        return f"{name} {variant.upper()}" if variant else name

    def source(self, source: str) -> str:
        """Where a figure or a rule is from; as it stands where it is none of ours."""
        for lead in LEADS:
            if source.startswith(f"{lead}; "):
                return self.say(lead) + self.say(_("; ")) + self.source(source[len(lead) + 2 :])
        return self.say(source)

    def us(self, value: float | None) -> str:
        """A time in microseconds, as everywhere in reports, or "unknown"."""
        return self.say(_("unknown")) if value is None else f"{minus(f'{value:,.1f}')} µs"

    def times(self, count: float) -> str:
        """How often: once, twice, so many times."""
        return self.sentence(often(count))

    def percent(self, value: float | None) -> str:
        """A percentage (of 100), or "unknown"."""
        return self.say(_("unknown")) if value is None else f"{minus(f'{value:.1f}')} %"

    def share(self, value: float | None) -> str:
        """A fraction of 1 as a percentage, or "unknown"."""
        return self.percent(None if value is None else 100 * value)

    def interval(self, low: float, high: float) -> str:
        """Two percentages as a range; signs stay readable."""
        return self.say(_("{low} to {high} %"), low=minus(f"{low:.1f}"), high=minus(f"{high:.1f}"))


def minus(number: str) -> str:
    """A number with a true minus sign, and none before a zero."""
    if number.startswith("-"):
        return "\u2212" + number[1:] if any(digit in "123456789" for digit in number) else number[1:]
    return number


def typeset(text: str) -> str:
    """Write microseconds, percentages and negative numbers as they are printed."""
    text = re.sub(r"(?<=\d)%", " %", text)
    return re.sub(r"(?<=[\s(（])-(?=\d)", "−", re.sub(r"(?<=\d) us(?![A-Za-z0-9_])", " µs", text))


def clean(text: str) -> str:
    """Text from a capture without what could steer a terminal or reorder a line: such characters become visible."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\n\r\t\u2028\u2029":
        return " "
    if category in ("Cc", "Cf", "Cs", "Co", "Cn") and character not in "\u200d\ufe0f":
        return f"\\u{ord(character):04x}"
    return character


def _shortened(value: Any) -> Any:
    return clip(value, LONGEST_VALUE) if isinstance(value, str) else value


def clip(text: str, longest: int = LONGEST_NAME) -> str:
    """Clean text cut to a length that a table can hold, with the true length said."""
    text = clean(text)
    return text if len(text) <= longest else f"{text[: longest - 12]}… [{len(text)}]"
