"""The JSON Schema of a result (`skadvisor/schema.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from skadvisor import records
from skadvisor.records import Result
from skadvisor.report.answer import Status
from skadvisor.version import SCHEMA_VERSION

SCHEMA_FILE = Path(__file__).parents[1] / "schema.json"


#: What stands round the result; `capture` is in files only, from which other commands go on.
_ENVELOPE = {
    "command": {"type": "string"},
    "language": {"type": "string"},
    "status": {"enum": list(get_args(Status))},
    "answer": {"type": "string", "description": "the answer in one sentence"},
    "next": {"type": "array", "items": {"type": "string"}, "description": "commands to type next"},
    "capture": {"type": "object", "description": "tables of the capture as Parquet in base64, to be read back"},
}


def make_schema() -> dict[str, Any]:
    """The JSON Schema of a result, from the records themselves."""
    schema = records.json_schema(Result)
    schema["$defs"][Result.__name__]["properties"].update(_ENVELOPE)
    title = f"skadvisor result {SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def schema_text() -> str:
    """What `schema.json` has to hold."""
    return json.dumps(make_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
