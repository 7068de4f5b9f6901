"""Charts and timelines for programs: dictionaries as JSON has them. Addresses and sizes are in bytes, times in ms."""

from __future__ import annotations

from typing import Any

from bootwright.chart.boots import Chart
from bootwright.chart.regions import Stage
from bootwright.chart.timeline import Timeline


def memory(chart: Chart) -> dict[str, Any]:
    """The stages with their regions and totals."""
    return {
        "image": chart.title,
        "subject": chart.subject,
        "stages": [_stage(stage) for stage in chart.stages],
        "launch": list(chart.launch),
        "notes": list(chart.notes),
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "says": stage.says,
        "regions": [
            {"start": r.range.start, "end": r.range.end, "kind": r.kind, "owner": r.owner, "what": r.what}
            for r in stage.regions
        ],
        "totals": {
            "used": stage.used,
            "free": stage.free,
            "reserved": stage.reserved,
            "free_for": stage.free_for,
            "by_kind": stage.totals,
        },
    }


def time(found: Timeline) -> dict[str, Any]:
    """The bars of a boot."""
    return {
        "title": found.title,
        "milliseconds": round(found.seconds * 1000, 3),
        "bars": [
            {
                "whose": bar.whose,
                "name": bar.name,
                "says": bar.says,
                "start": round(bar.start * 1000, 3),
                "end": round(bar.end * 1000, 3),
                "line": bar.line,
            }
            for bar in found.bars
        ],
    }
