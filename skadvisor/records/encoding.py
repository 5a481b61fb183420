"""Records as JSON and back, and the JSON Schema that they follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skadvisor.records.results import Result
from skadvisor.text.messages import Message


def to_json(record: Any, translate: Callable[[str], str] = str) -> bytes:
    """Encode a record as JSON; sentences are rendered with `translate`."""
    import msgspec

    def encode(value: Any) -> Any:
        if isinstance(value, Message):
            return value.render(translate)
        raise NotImplementedError(f"no JSON form for {type(value).__name__}")

    return msgspec.json.format(msgspec.json.encode(record, enc_hook=encode, order="deterministic"), indent=2)


def from_json(text: bytes, kind: Any = Result) -> Any:
    """Decode and check JSON made by `to_json`. Raises `msgspec.ValidationError` where it does not fit `kind`."""
    import msgspec

    return msgspec.json.decode(text, type=kind, dec_hook=lambda _, value: Message(str(value)))


def json_schema(kind: Any = Result) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record type."""
    import msgspec

    return msgspec.json.schema(kind, schema_hook=lambda _: {"type": "string"})
