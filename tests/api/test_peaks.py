"""The peaks of a recording over HTTP: computed once by the light worker, deleted with the audio."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import imageio_ffmpeg
import pytest

from common import jobs, renditions
from common.renditions import Kind
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of
from tests.api.upload_cases import api_with_storage, without_audio
from tests.db.job_cases import NO_LIMIT, completed, execute, one, submitted
from tests.waiting import until
from worker.engine.decoding import forking
from worker.engine.decoding.forking import ForkServer
from worker.light.renderer import Renderer

# Silence, one second of a loud tone, silence.
SOUND = "aevalsrc='if(between(t,2,3),sin(440*2*PI*t),0)':s=16000:d=6"


@pytest.fixture(scope="module", params=["local", "s3"])
def shared(
    request: pytest.FixtureRequest, postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    with api_with_storage(request, postgres, valkey, tmp_path_factory) as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Api:
    return without_audio(shared)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("recording") / "a.mp3"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", SOUND]
    subprocess.run([*command, str(path)], check=True)
    return path.read_bytes()


def made(api: Api, content: bytes) -> str:
    """The path of the peaks of an upload, made."""
    path = f"/v1/transcriptions/{api.submit_file(content, 'a.mp3').json()['id']}/peaks"
    waiting = api.client.get(path)
    assert (waiting.status_code, waiting.json()) == (202, {"status": "preparing"})
    assert int(waiting.headers["Retry-After"]) > 0
    Renderer(api.settings, api.database, api.storage).work()
    return path


def test_peaks_show_where_the_sound_is(api: Api, recording: bytes) -> None:
    path = made(api, recording)
    peaks = api.client.get(path, params={"points": 60}).json()
    assert abs(peaks["duration_ms"] - 6000) < 150
    assert peaks["length"] == len(peaks["data"]) // 2 <= 60
    seconds = peaks["samples_per_pixel"] / peaks["sample_rate"]
    loud = [place * seconds for place, high in enumerate(peaks["data"][1::2]) if high > 60]
    assert abs(loud[0] - 2) < 2 * seconds
    assert abs(loud[-1] + seconds - 3) < 2 * seconds
    assert min(peaks["data"]) < -60
    assert max(peaks["data"][1::2][: int(1.8 / seconds)]) <= 1, "silence is silent"
    assert len(api.client.get(path).json()["data"]) > 2 * 500
    for wrong in (0, 16_385, "x"):
        problem_of(api.client.get(path, params={"points": wrong}), 422, "invalid_request")
    Renderer(api.settings, api.database, api.storage).work()
    assert one(api.database, "SELECT count(*) FROM peaks WHERE status = 'ready'") == 1
    assert len(list(api.storage.keys("audio/"))) == 2
    assert api.client.delete(path.removesuffix("/peaks")).status_code == 204
    assert list(api.storage.keys("audio/")) == []
    assert one(api.database, "SELECT count(*) FROM peaks") == 0


def test_a_file_that_gives_no_sound_does_not_delay_a_shutdown(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program replaces the decoder; it only says that it is alive."""
    server = ForkServer("tests.engine.odd_decoder")
    monkeypatch.setattr(forking, "DECODERS", server)
    job = api.submit_file(b"alive", "a.mp3").json()["id"]
    assert api.client.get(f"/v1/transcriptions/{job}/peaks").status_code == 202
    renderer = Renderer(api.settings, api.database, api.storage)
    with closing(server), ThreadPoolExecutor(1) as threads:
        rendering = threads.submit(renderer.work)
        until(lambda: server.pid is not None and Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text())
        renderer.stop()
        rendering.result(120)
    assert one(api.database, "SELECT count(*) FROM peaks WHERE status = 'wanted' AND token IS NULL") == 1


def test_peaks_are_no_orphan_and_go_with_the_audio(api: Api, recording: bytes) -> None:
    path = made(api, recording)
    job_id = one(api.database, "SELECT id FROM jobs")
    key = one(api.database, "SELECT key FROM peaks")
    with api.database.transaction() as session:
        assert renditions.named(session, {key: job_id}) == {key}
    completed(api.database, jobs.get(api.database, job_id))
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '2 days'")
    assert jobs.expire_audio(api.database, api.storage, NO_LIMIT, after_seconds=3600) == 1
    assert list(api.storage.keys("audio/")) == []
    problem_of(api.client.get(path), 410, "expired")


def test_a_recording_that_nobody_can_decode_has_none(api: Api) -> None:
    problem_of(api.client.get(made(api, b"<html>not audio</html>" * 100)), 422, "audio_not_decodable")
    job = submitted(api.database, audio_key=None)
    problem_of(api.client.get(f"/v1/transcriptions/{job.public_id}/peaks"), 409, "not_ready")


def test_a_maker_that_died_is_replaced(api: Api, recording: bytes) -> None:
    path = f"/v1/transcriptions/{api.submit_file(recording, 'a.mp3').json()['id']}/peaks"
    api.client.get(path)
    dead = renditions.take(api.database, Kind.PEAKS)
    assert dead is not None
    assert dead.kind is Kind.PEAKS
    Renderer(api.settings, api.database, api.storage).work()
    assert api.client.get(path).status_code == 202
    execute(api.database, "UPDATE peaks SET lease_expires_at = now() - interval '1 s'")
    Renderer(api.settings, api.database, api.storage).work()
    assert api.client.get(path).status_code == 200
    assert not renditions.ready(api.database, dead), "it came too late"


def test_the_light_worker_needs_no_numpy(tmp_path: Path) -> None:
    """Its image has none."""
    code = "import sys; sys.modules['numpy'] = None; import worker.light.main"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env={"HOME": str(tmp_path)})
