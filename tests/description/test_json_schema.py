"""The JSON schema: it takes what a build takes, and refuses what an editor is to underline.

fastjsonschema, which knows nothing of descriptions, is the reader.
"""

from __future__ import annotations

import copy
import random
import re
import tomllib
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
from project import ROOT

from bootwright.common.errors import BootwrightError
from bootwright.description import json_schema, load, readers, schema

IMAGES = sorted((ROOT / "images").glob("*.toml"))
VALID = fastjsonschema.compile(json_schema.document())
TABLES = {
    "image": schema.image(),
    "hypervisor": schema.hypervisor(),
    "domain": schema.domain(),
    "shared": schema.shared(),
}
# Every TOML document between triple quotes in the tests of descriptions: right ones and wrong ones.
TESTED = [
    text
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
    for text in re.findall(r'"""\\\n(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
    if "[[domain]]" in text
]


def takes(document: Any) -> bool:
    try:
        VALID(document)
    except fastjsonschema.JsonSchemaException:
        return False
    return True


def builds(text: str) -> bool:
    try:
        load.parse(text, Path("x.toml"))
    except BootwrightError:
        return False
    return True


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_it_takes_every_image(path: Path) -> None:
    VALID(tomllib.loads(path.read_text(encoding="utf-8")))


def test_it_takes_what_the_readers_take() -> None:
    """Of all descriptions in the tests, and of those with a word of another one in a value's place."""
    chance = random.Random(8)
    words = sorted({word for text in TESTED for word in re.findall(r"= (.+)", text)})
    taken = 0
    for text in TESTED * 20:
        lines = text.splitlines()
        number = chance.randrange(len(lines))
        key, equals, _ = lines[number].partition(" = ")
        changed = (
            "\n".join([*lines[:number], f"{key} = {chance.choice(words)}", *lines[number + 1 :]]) if equals else text
        )
        for one in (text, changed):
            if builds(one):
                taken += 1
                assert takes(tomllib.loads(one)), one
    assert taken > 100


def test_every_key_has_a_shape_and_says_what_it_means() -> None:
    document = json_schema.document()["properties"]
    for name, fields in TABLES.items():
        shapes = document[name].get("items", document[name])["properties"]
        assert shapes.keys() == fields.keys()
        assert all(field.says in shapes[key]["description"] for key, field in fields.items())
        assert all(readers.shape(field.read) for field in fields.values())
    with pytest.raises(BootwrightError) as refused:
        load.parse("[none]\n[[domain]]\n", Path("x.toml"))
    assert '"none" is not a known key' in str(refused.value)
    for name in document:
        with pytest.raises(BootwrightError) as refused:
            load.parse(f"{name} = 5\n", Path("x.toml"))
        assert "not a known key" not in str(refused.value)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("image", "colour", "red"),
        ("image", "launcher", "xenn"),
        ("image", "console", []),
        ("image", "console", ["com9"]),
        ("image", "verify", 1),
        ("domain", "cpus", 0),
        ("domain", "memory", 512),
        ("domain", "memory", "512"),
        ("domain", "functions", ["initial-domain", "initial-domain"]),
        ("domain", "kernel", {"package": "linux"}),
        ("domain", "ramdisk", {"package": "busybox", "file": "x", "inti": "y"}),
    ],
)
def test_it_refuses_what_is_wrong(table: str, key: str, value: object) -> None:
    document = tomllib.loads((ROOT / "images/demo.toml").read_text(encoding="utf-8"))
    wrong = copy.deepcopy(document)
    (wrong[table][0] if isinstance(wrong[table], list) else wrong[table])[key] = value
    assert takes(document)
    assert not takes(wrong)
