"""The sources of the estimate's terms in the reader's language; JSON keeps them as the gain models write them."""

from __future__ import annotations

import re

from skadvisor.messages import _
from skadvisor.report.wording import Wording, clip

#: What a term was made from, written before the source of a prior.
LEADS = (
    _("duration minus core time of the PMU columns"),
    _("instruction preload and early start"),
)
#: The sources of the priors, word by word, and of what the capture itself shows.
SOURCES = (
    _("all-in saving per boundary 1.7 us (synthetic MoE example) and 5.8 us (GELU net); range 0.5-6 us, centre 2"),
    _("assumed: part of each kernel's head is saved; no public figure isolates it"),
    _("assumed: some work is left in every kernel"),
    _("assumed: no public figure isolates it; debug-sync-all and debug-dcci-all cost 2-3 us per operator"),
    _("assumed: stream-fusion is 0 by default, and the published templates set it to 1"),
    _("one public case became slower on two streams; with stream-fusion=1 Cube beside Vector work may overlap"),
    _("synthetic example: the step won 82 % of what the scopes won; Kimi K3: block 10 %, step 2.0 %"),
    _("hy3: a recompile alone moved the step by more than the 2.2 % that fusion won"),
    _("assumed; versions differ"),
    _("upper end of the range of all-in savings"),
    _("noise floor of step comparisons"),
    _("gaps between neighbours that fuse"),
    _("replay of the step's timeline"),
)


def term_source(source: str, wording: Wording) -> str:
    """The source of a term; as it stands where it is none of ours."""
    for lead in LEADS:
        if source.startswith(f"{lead}; "):
            return wording.say(lead) + wording.say(_("; ")) + term_source(source[len(lead) + 2 :], wording)
    pairs = re.fullmatch(r"(\d+) before/after pairs, published and own", source)
    if pairs:
        return wording.say(_("{count} before/after pairs, published and own"), count=int(pairs[1]))
    return wording.say(source) if source in SOURCES else clip(source)
