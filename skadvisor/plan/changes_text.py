"""The change of the user's own files put into words: the sections about a modeling file and a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skadvisor.plan.patch import Declined, Patch
from skadvisor.report.document import Code, Item, Section
from skadvisor.report.wording import STATUS_NAMES, Wording, clip
from skadvisor.text.messages import Message, _

if TYPE_CHECKING:
    from skadvisor.plan.recipe_config import ConfigReview


def change_sections(
    patch: Patch | Declined | None, reviewed: ConfigReview | None, language: str = "en"
) -> tuple[Section, ...]:
    """One section for each file that was looked at."""
    wording = Wording(language)
    made = (_patch(patch, wording) if patch else None, _config(reviewed, wording) if reviewed else None)
    return tuple(section for section in made if section is not None)


def _patch(answer: Patch | Declined, wording: Wording) -> Section:
    name = clip(answer.path.name)
    if isinstance(answer, Patch):
        items = tuple(Item(wording.sentence(message)) for message in (*answer.places, *answer.notes))
        return Section("model", name, items=items, codes=(Code("", "diff", answer.diff.rstrip("\n")),))
    stays = wording.full_sentence(Message(_("The file stays as it is: {reason}"), reason=answer.reason))
    items = (Item(stays, "warn"), *(Item(wording.sentence(message)) for message in answer.seen))
    by_hand = Code(wording.say(_("To place by hand:")), "python", answer.by_hand.rstrip("\n"))
    return Section("model", name, items=items, codes=(by_hand,) if answer.by_hand else ())


def _config(reviewed: ConfigReview, wording: Wording) -> Section:
    items = tuple(
        Item(f"`{finding.key}`: {wording.sentence(finding.message)}", status, wording.name(STATUS_NAMES, status))
        for finding in reviewed.findings
        for status in [finding.status]
    )
    name = clip(reviewed.path.name)
    if reviewed.declined is not None:
        stays = wording.full_sentence(Message(_("The file stays as it is: {reason}"), reason=reviewed.declined))
        return Section("configuration", name, items=(Item(stays, "warn"), *items))
    if reviewed.diff:
        return Section("configuration", name, items=items, codes=(Code("", "diff", reviewed.diff.rstrip("\n")),))
    return Section("configuration", name, wording.say(_("Nothing has to change.")), items=items)
