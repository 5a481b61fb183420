"""Records as JSON and back, and the JSON Schema that they follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skadvisor.records.results import Result
from skadvisor.text.messages import Message


def to_json(
    record: Any,
    translate: Callable[[str], str] = str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode a record as JSON; sentences are rendered with `translate`.

    With members `before` or `after` it, the JSON is one object, in which a list of records is the member `rows`.
    """
    import msgspec

    def encode(value: Any) -> Any:
        if isinstance(value, Message):
            return value.render(translate)
        raise NotImplementedError(f"no JSON form for {type(value).__name__}")

    if before or after:
        built = msgspec.to_builtins(record, enc_hook=encode)
        record = {**(before or {}), **(built if isinstance(built, dict) else {"rows": built}), **(after or {})}
        return msgspec.json.format(msgspec.json.encode(record), indent=2)
    return msgspec.json.format(msgspec.json.encode(record, enc_hook=encode), indent=2)


def from_json(text: bytes, kind: Any = Result) -> Any:
    """Decode and check JSON made by `to_json`. Raises `msgspec.ValidationError` where it does not fit `kind`."""
    import msgspec

    return msgspec.json.decode(text, type=kind, dec_hook=lambda _, value: Message(str(value)))


def json_schema(kind: Any = Result) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record type."""
    import msgspec

    return msgspec.json.schema(kind, schema_hook=lambda _: {"type": "string"})
