"""A run as a JUnit report, which CI systems read: one test case, with the console as its output."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from bootwright.emulate.qemu import Outcome, Result

# What XML 1.0 has no form for (section 2.2, "Characters").
_FORBIDDEN = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def write(path: Path, image: str, how: str, result: Result) -> None:
    """Write the report of a run of `image`; how: by what and on which firmware. OSError passes."""
    failed = result.outcome is not Outcome.AS_EXPECTED
    counts = {"tests": "1", "failures": str(int(failed)), "errors": "0", "skipped": "0"}
    seconds = f"{result.seconds:.3f}"
    root = ElementTree.Element("testsuites", counts | {"time": seconds})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "bootwright"} | counts | {"time": seconds})
    case = ElementTree.SubElement(suite, "testcase", {"classname": image, "name": f"boot {how}", "time": seconds})
    if failed:
        said = {"message": plain(result.reason), "type": result.outcome.name.lower()}
        ElementTree.SubElement(case, "failure", said).text = plain(result.reason)
    ElementTree.SubElement(case, "system-out").text = plain(result.transcript)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def plain(text: str) -> str:
    """The text without what XML cannot have."""
    return _FORBIDDEN.sub("\ufffd", text)
