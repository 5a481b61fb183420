"""Sentences that can be shown in several languages: a template (the gettext id) and its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: What Chinese letters are set apart from by a blank, beside Latin letters and digits.
_NARROW = "%`/<+*_(-\u2212"


class Message:
    """A sentence for people. `template` is the English format string, `values` fills it.

    Mark each template for translation with `_`, for example `Message(_("{count} layers"), count=3)`.
    Two messages are equal when they read the same in English; JSON carries the rendered sentence.
    """

    __slots__ = ("template", "values")

    def __init__(self, template: str, **values: Any) -> None:
        self.template = template
        self.values = values

    def render(self, translate: Callable[[str], str] = str) -> str:
        """The sentence in the language of `translate` (a gettext function); messages among the values too."""
        values = {
            name: value.render(translate) if isinstance(value, Message) else value
            for name, value in self.values.items()
        }
        text = translate(self.template)
        return _filled(text, values) if values else text

    def __str__(self) -> str:
        return self.render()

    def __repr__(self) -> str:
        return f"Message({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Message) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """`template.format(**values)`, with a blank where a value brings Chinese beside Latin letters or digits.

    A template cannot know what its values begin and end with, and values themselves (names, paths) stay as they are.
    """
    plain = template.format(**values)
    if plain.isascii():
        return plain
    from string import Formatter  # not needed at the start

    formatter = Formatter()
    text = ""
    for literal, name, spec, conversion in formatter.parse(template):
        text = _joined(text, literal)
        if name is not None:
            value = formatter.convert_field(formatter.get_field(name, (), values)[0], conversion)
            text = _joined(text, format(value, formatter.vformat(spec or "", (), values)))
    return text


def _joined(left: str, right: str) -> str:
    before, behind = left[-1:], right[:1]
    blank = (_is_narrow(before) and _is_wide(behind)) or (_is_wide(before) and _is_narrow(behind))
    return f"{left} {right}" if blank else left + right


def _is_wide(letter: str) -> bool:
    return "\u3400" <= letter <= "\u9fff"


def _is_narrow(letter: str) -> bool:
    return letter != "" and ((letter.isascii() and letter.isalnum()) or letter in _NARROW)


def listed(messages: Iterable[Message], separator: str = ", ") -> Message:
    """Sentences one after the other as one."""
    parts = {f"part{number}": message for number, message in enumerate(messages)}
    return Message(separator.join(f"{{{name}}}" for name in parts), **parts)


def _(template: str) -> str:
    """Mark a template for the translation catalogue; returns it unchanged."""
    return template


def often(count: float) -> Message:
    """How often: once, twice, so many times."""
    words: dict[float, str] = {1: _("once"), 2: _("twice")}
    rounded = round(count, 1)
    return Message(words.get(rounded, _("{count} times")), count=f"{count:.1f}".removesuffix(".0"))
