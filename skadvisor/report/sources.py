"""Where a figure or a rule is from, in the reader's language; JSON keeps it as it was written."""

from __future__ import annotations

from skadvisor.report.wording import Wording
from skadvisor.text.messages import _

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


def source_text(source: str, wording: Wording) -> str:
    """A source in the reader's language; as it stands where it is none of ours."""
    for lead in LEADS:
        if source.startswith(f"{lead}; "):
            return wording.say(lead) + wording.say(_("; ")) + source_text(source[len(lead) + 2 :], wording)
    return wording.say(source)
