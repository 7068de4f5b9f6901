"""A real boot in pictures: its log has the regions that were planned for such a machine, its recording the stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from comparing import variant

from bootwright.chart import boots, timeline
from bootwright.cli import chart as cli_chart
from bootwright.cli import planning
from bootwright.common import asciicast, paths
from bootwright.emulate import run
from bootwright.lab import plain_pc
from bootwright.lab.report import Report
from bootwright.reference import transcript

pytestmark = pytest.mark.slow


def test_the_log_of_a_boot_has_the_regions_of_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    built, cast = variant(tmp_path, "demo"), tmp_path / "demo.cast"
    description = tmp_path / "images/demo.toml"
    result = run.boot(built, run.Options(timeout=60, record=cast), lambda text: None)
    seen = transcript.parse_transcript(result.transcript)
    memory = [{"start": f"{r.start:#x}", "size": f"{r.end - r.start:#x}", "type": r.type} for r in seen.ranges]
    entered = {"protocol": seen.entry, "loader": seen.loader or "", "rsdp": f"{seen.rsdp:#x}"}
    machine = Report(plain_pc.report(1 << 27, 1, svm=False).document | {"memory": memory}, entered)
    planned = planning.planned(description, machine, "seen", lambda stage: None)
    logged = boots.of_log(result.transcript, planned.fit, planned.build, planned.parts, planned.subject)
    assert replace(logged, notes=()) == replace(planned.chart, notes=())
    assert logged.notes == () and len(logged.stages) == 3
    recorded = asciicast.read(cast.read_text())
    assert recorded is not None
    found = timeline.of_recording(recorded)
    assert found is not None and found.seconds <= result.seconds + 1
    names = ["firmware and loader", "entry", "tables", "modules", "builder", "launch"]
    assert [bar.name for bar in found.bars] == [*names, "launched, silent", "launched, running"]
    assert found.bars[0].milliseconds > 0 and found.bars[-1].line == "the guest powered off"

    svg, html = tmp_path / "memory.svg", tmp_path / "memory.html"
    cli_chart.run(str(description), "", str(cast), cli_chart.Output(str(svg), str(html)))
    said = capsys.readouterr().out
    for path in (svg, tmp_path / "memory-time.svg", html):
        assert f"{path} ({path.stat().st_size:,} bytes)" in said
    cli_chart.run(str(description), "", str(cast), cli_chart.Output())
    shown = capsys.readouterr().out
    assert "kernel demo" in shown and "the stub, enlarged" in shown and "\x1b" not in shown
