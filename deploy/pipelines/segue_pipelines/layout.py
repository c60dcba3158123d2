"""JSON for files that people read: indented, but numbers side by side."""

from __future__ import annotations

import json

from segue_pipelines.tensor import Json


def dumps(document: Json) -> str:
    """The document with one field a line and every flat list on one line."""
    return _write(document, "") + "\n"


def _write(value: Json, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, dict) and value and not _flat(list(value.values())):
        fields = [f"{inner}{json.dumps(k)}: {_write(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}"
    if isinstance(value, list) and not _flat(value):
        return "[\n" + ",\n".join(inner + _write(v, inner) for v in value) + f"\n{indent}]"
    if isinstance(value, list):
        separators = (", ", ": ") if len(value) < 20 else (",", ":")
        return json.dumps(value, ensure_ascii=False, separators=separators)
    return json.dumps(value, ensure_ascii=False)


def _flat(values: list[Json]) -> bool:
    return not any(isinstance(v, dict | list) for v in values)
