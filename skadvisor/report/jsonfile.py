"""The JSON Schema of a result (`skadvisor/schema.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skadvisor import records
from skadvisor.records import Result
from skadvisor.version import SCHEMA_VERSION

SCHEMA_FILE = Path(__file__).parents[1] / "schema.json"


def make_schema() -> dict[str, Any]:
    """The JSON Schema of a result, from the records themselves."""
    schema = records.json_schema(Result)
    title = f"skadvisor result {SCHEMA_VERSION}"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def schema_text() -> str:
    """What `schema.json` has to hold."""
    return json.dumps(make_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
