"""The keys of a description as a JSON schema (draft 7), by which an editor completes and explains them.

It is wider than the readers, which alone decide: what a build takes, it takes as well.
"""

from __future__ import annotations

import json
from typing import Any

from bootwright.description import schema
from bootwright.description.readers import table_shape

FILE = "docs/description.schema.json"  # from the project's folder on, as `invoke docs` writes it
DIRECTIVE = "#:schema "  # and a path, in the first line of a TOML file: by it taplo finds the schema


def document() -> dict[str, Any]:
    """The schema of a whole description."""
    many = {"domain": schema.domain(), "shared": schema.shared(), "profile": schema.profile()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A description of boot domains",
        "type": "object",
        "properties": {
            "image": table_shape(schema.image()),
            "hypervisor": table_shape(schema.hypervisor()),
            **{name: {"type": "array", "items": table_shape(fields)} for name, fields in many.items()},
        },
        "additionalProperties": False,
    }


def text() -> str:
    """The same, as a file has it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
