"""The languages that reports and messages are written in: English, and Chinese through a gettext catalogue.

The English sentence is the id. `locale/zh/LC_MESSAGES/skadvisor.po` is the source of the Chinese wording and
the `.mo` beside it is what gettext reads; both ship with the package, so an installation needs no extra tool.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache

from skadvisor.errors import InputError
from skadvisor.text.messages import _

DOMAIN = "skadvisor"
FOLDER = os.path.join(os.path.dirname(__file__), "locale")
#: Language code -> its name in itself.
LANGUAGES: dict[str, str] = {"en": "English", "zh": "中文"}

Translate = Callable[[str], str]


def default_language(environment: Mapping[str, str] | None = None) -> str:
    """The language that the locale variables ask for, as gettext reads them; English where it is unknown."""
    variables = os.environ if environment is None else environment
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        wished = variables.get(name, "").split(":")[0]
        if wished:
            code = wished.replace("-", "_").split("_")[0].split(".")[0].lower()
            return code if code in LANGUAGES else "en"
    return "en"


@cache
def translator(language: str) -> Translate:
    """The gettext function of a language. Raises InputError for a language that has no catalogue."""
    if language not in LANGUAGES:
        raise InputError(
            _("no such language: {language}"),
            _("choose one of: {listed}"),
            language=language,
            listed=", ".join(LANGUAGES),
        )
    if language == "en":
        return str
    import gettext

    catalogue = gettext.translation(DOMAIN, localedir=FOLDER, languages=[language])

    def translate(template: str) -> str:
        # The empty id holds the catalogue's header, which is no sentence.
        return catalogue.gettext(template) if template else ""

    return translate
