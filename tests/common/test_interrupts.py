"""What is done whole: an interruption is taken behind it, none is lost, and handlers are as they were."""

from __future__ import annotations

import signal
import threading

import pytest

from bootwright.common.interrupts import INTERRUPTIONS, held


@pytest.mark.parametrize("number", INTERRUPTIONS)
def test_an_interruption_comes_behind_the_block(number: signal.Signals) -> None:
    done: list[str] = []

    def handler(number: int, frame: object) -> None:
        done.append("interrupted")

    before = signal.signal(number, handler)
    try:
        with held():
            signal.raise_signal(number)
            done.append("whole")
        assert done == ["whole", "interrupted"]
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_it_comes_where_the_block_fails_too() -> None:
    with pytest.raises(KeyboardInterrupt) as raised, held():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("the switch")
    assert isinstance(raised.value.__context__, ValueError)


def test_another_thread_holds_nothing() -> None:
    done: list[bool] = []

    def work() -> None:
        with held():
            done.append(signal.getsignal(signal.SIGINT) is handler)

    handler = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
