"""Shutdown, cancel and lost leases while a file is transcribed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.odd_decoder import SECONDS
from tests.engine.pipeline.cases import BLOCK_MS, WHOLE, Told, children_of, run, same
from tests.waiting import until
from worker.engine.decoding.forking import ForkServer
from worker.engine.engine import Engine
from worker.transcription.stop import Stopped, StopReason, StopSignal


def test_a_shutdown_commits_what_there_is_and_can_be_resumed(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    signal, log = StopSignal(), Told()

    def stop(done: int, _: int | None) -> None:
        if done > 50_000:
            signal.request(StopReason.SHUTDOWN)

    with pytest.raises(Stopped) as stopped:
        run(engine, mp3, WHOLE, signal=signal, on_progress=stop, log=log)
    assert stopped.value.reason is StopReason.SHUTDOWN
    assert len(log.parts) == 1
    assert 50_000 < log.parts[0].end_ms < 50_000 + 2 * BLOCK_MS
    resumed = run(engine, mp3, WHOLE, resume=log.parts[0])
    assert same([*log.parts[0].sentences, *resumed.sentences], undisturbed.sentences)


def test_a_shutdown_before_anything_new_commits_nothing(engine: Engine, mp3: Path, undisturbed: Told) -> None:
    signal, log = StopSignal(), Told()
    signal.request(StopReason.SHUTDOWN)
    with pytest.raises(Stopped):
        run(engine, mp3, 15, resume=undisturbed.parts[2], signal=signal, log=log)
    assert log.parts == []
    assert log.progress == []


@pytest.mark.parametrize("reason", list(StopReason))
@pytest.mark.parametrize("what", ["alive", "sleep"])
def test_a_file_that_gives_no_sound_can_be_stopped(
    engine: Engine, odd: ForkServer, tmp_path: Path, what: str, reason: StopReason
) -> None:
    path, signal = tmp_path / "odd", StopSignal()
    path.write_text(what)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, engine, path, signal=signal)
        until(lambda: odd.pid is not None and children_of(odd.pid))
        signal.request(reason)
        with pytest.raises(Stopped) as stopped:
            running.result(120)
    assert stopped.value.reason is reason


def test_a_shutdown_commits_what_there_is_though_no_more_sound_comes(
    engine: Engine, odd: ForkServer, tmp_path: Path
) -> None:
    path, signal, log = tmp_path / "odd", StopSignal(), Told()
    path.write_text("sound, then nothing")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run, engine, path, signal=signal, log=log)
        until(lambda: log.progress and log.progress[-1][0] == SECONDS * 1000)
        assert odd.pid is not None
        assert children_of(odd.pid)
        signal.request(StopReason.SHUTDOWN)
        with pytest.raises(Stopped):
            running.result(120)
    assert [(part.start_ms, part.end_ms, part.last) for part in log.parts] == [(0, SECONDS * 1000, False)]


@pytest.mark.parametrize("reason", [StopReason.CANCELED, StopReason.LOST])
def test_a_hard_stop_commits_nothing(engine: Engine, mp3: Path, reason: StopReason) -> None:
    signal, log = StopSignal(), Told()

    def stop(done: int, _: int | None) -> None:
        if done > 20_000:
            signal.request(reason)

    with pytest.raises(Stopped) as stopped:
        run(engine, mp3, WHOLE, signal=signal, on_progress=stop, log=log)
    assert stopped.value.reason is reason
    assert log.parts == []
    assert log.progress[-1][0] <= 20_000 + 2 * BLOCK_MS


def test_a_cancel_stops_a_job_that_waits_for_the_device_and_no_other(
    engine: Engine, mp3: Path, undisturbed: Told
) -> None:
    """The device is held until the canceled job has ended, so that its wait alone can notice."""
    held, go_on, signal = threading.Event(), threading.Event(), StopSignal()

    def hold(questions: list[int]) -> list[int]:
        held.set()
        assert go_on.wait(120)
        return questions

    def cancel() -> None:
        until(lambda: engine.stats().queued_segments)
        signal.request(StopReason.CANCELED)

    with ThreadPoolExecutor(3) as threads:
        holding = threads.submit(engine.batcher.call, hold, 0)
        try:
            assert held.wait(60)
            other = threads.submit(run, engine, mp3, 15)
            canceling = threads.submit(cancel)
            with pytest.raises(Stopped):
                run(engine, mp3, signal=signal)
            canceling.result(60)
            assert not holding.done()
        finally:
            go_on.set()
        assert same(other.result(120).sentences, undisturbed.sentences)
