"""Fixtures for tests on a board, behind those of labgrid's plugin for pytest; where one fails, what the board said.

    pytest_plugins = ["bootwright.labgrid.fixtures"]        # conftest.py

    def test_it_is_up(shell: BootwrightStrategy) -> None:
        assert "INIT-OK" in shell.transcript

    pytest --lg-env lab.yaml --junit-xml report.xml

A board is booted once for all tests that want it in the same state, and is as it was before at the end.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from bootwright.labgrid.strategy import BootwrightStrategy

_BOARD = pytest.StashKey[BootwrightStrategy]()


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest, strategy: BootwrightStrategy) -> Iterator[BootwrightStrategy]:
    """The board of labgrid's target, in whatever state; at the end off, or on where it was on before."""
    request.config.stash[_BOARD] = strategy
    yield strategy
    strategy.restore()


@pytest.fixture
def booted(board: BootwrightStrategy) -> BootwrightStrategy:
    """The board with the stub's first line on its console."""
    board.transition("booted")
    return board


@pytest.fixture
def launched(board: BootwrightStrategy) -> BootwrightStrategy:
    """The board with its kernel entered."""
    board.transition("launched")
    return board


@pytest.fixture
def shell(board: BootwrightStrategy) -> BootwrightStrategy:
    """The board with its shell, or with what its console is to show."""
    board.transition("shell")
    return board


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the console to a report of what failed: pytest shows it, and JUnit has it."""
    report = yield
    board = item.config.stash.get(_BOARD, None)
    if report.failed and board is not None and board.transcript:
        report.sections.append((f"Captured console of {board.target.name}", board.transcript))
    return report
