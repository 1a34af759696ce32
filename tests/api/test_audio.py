"""The audio of a transcription over HTTP: ranges, types, and what browsers do not play."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import imageio_ffmpeg
import pytest

from common import jobs, renditions
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of
from tests.api.upload_cases import api_with_storage, without_audio
from tests.db.job_cases import NO_LIMIT, completed, execute, one, submitted
from tests.servers import WITH_KEY
from worker.engine.audio import AudioReader, DecodeLimits
from worker.light.renderer import Renderer

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LIMITS = DecodeLimits(max_duration_ms=None, cpu_seconds=60, memory_bytes=1 << 30, idle_timeout_seconds=20.0)
TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=3")


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
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("recordings")
    made = {
        "a.wav": (),
        "a.mp3": ("-metadata", "title=a"),
        "a.m4a": (),
        "a.ogg": ("-c:a", "libvorbis"),
        "a.opus": (),
        "a.webm": ("-c:a", "libopus"),
        "a.flac": (),
        "a.aac": (),
        "a.amr": ("-ar", "8000", "-ac", "1"),
        "a.wma": (),
        "a.mka": ("-c:a", "libopus"),
        "a.3gp": ("-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1"),
        "adpcm.wav": ("-c:a", "adpcm_ima_wav"),
        "a.aiff": (),
    }
    for name, options in made.items():
        subprocess.run([FFMPEG, "-nostdin", "-loglevel", "error", *TONE, *options, str(place / name)], check=True)
    return place


def uploaded(api: Api, content: bytes, name: str) -> str:
    """The path of its audio."""
    answer = api.submit_file(content, name)
    assert answer.status_code == 202, answer.text
    return f"/v1/transcriptions/{answer.json()['id']}/audio"


PLAYED = {
    "a.wav": "audio/wav",
    "a.mp3": "audio/mpeg",
    "a.m4a": "audio/mp4",
    "a.ogg": "audio/ogg",
    "a.opus": "audio/ogg",
    "a.webm": "audio/webm",
    "a.flac": "audio/flac",
    "a.aac": "audio/aac",
}


@pytest.mark.parametrize("name", PLAYED)
def test_what_browsers_play_is_given_as_it_came(api: Api, recordings: Path, name: str) -> None:
    content = (recordings / name).read_bytes()
    path = uploaded(api, content, "会议.exe")  # the name says nothing, the bytes do
    answer = api.client.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, PLAYED[name])
    assert answer.content == content
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("inline; filename*=UTF-8''%E4%BC%9A%E8%AE%AE.")
    head = api.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(content)
    assert head.headers["ETag"] == answer.headers["ETag"]


def test_ranges(api: Api, recordings: Path) -> None:
    content = (recordings / "a.wav").read_bytes()
    size = len(content)
    path = uploaded(api, content, "a.wav")
    for range_header, start, end in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, size),
        ("bytes=100-199", 100, 200),
        (f"bytes=5-{size * 2}", 5, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{size * 2}", 0, size),
        (f"bytes={size - 1}-", size - 1, size),
    ]:
        answer = api.client.get(path, headers={"Range": range_header})
        assert answer.status_code == 206, range_header
        assert answer.content == content[start:end]
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert int(answer.headers["Content-Length"]) == end - start
        head = api.client.head(path, headers={"Range": range_header})
        assert (head.status_code, head.headers["Content-Range"]) == (206, answer.headers["Content-Range"])
    for beyond in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        answer = api.client.get(path, headers={"Range": beyond})
        assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
    for ignored in ("bytes=9-3", "bytes=1-2,4-5", "seconds=1-2", "bytes=", "bytes=a-b", "bytes=--1", "bytes=1"):
        answer = api.client.get(path, headers={"Range": ignored})
        assert (answer.status_code, len(answer.content)) == (200, size), ignored


def test_conditions(api: Api, recordings: Path) -> None:
    content = (recordings / "a.mp3").read_bytes()
    path = uploaded(api, content, "a.mp3")
    etag = api.client.head(path).headers["ETag"]
    assert api.client.get(path, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    for other in ('"other"', "Mon, 23 Nov 2026 00:00:00 GMT", f"W/{etag}"):
        assert api.client.get(path, headers={"Range": "bytes=0-9", "If-Range": other}).status_code == 200
    assert api.client.get(path, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304
    assert api.client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.parametrize("name", ["a.amr", "a.wma", "a.mka", "a.3gp", "adpcm.wav", "a.aiff"])
def test_what_browsers_do_not_play_is_made_over_once(api: Api, recordings: Path, name: str, tmp_path: Path) -> None:
    path = uploaded(api, (recordings / name).read_bytes(), name)
    for _ in range(2):
        answer = api.client.get(path)
        assert (answer.status_code, answer.json()) == (202, {"status": "preparing"})
        assert int(answer.headers["Retry-After"]) > 0
    renderer = Renderer(api.settings, api.database, api.storage)
    renderer.work()
    answer = api.client.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "audio/mpeg")
    assert ".mp3" in answer.headers["Content-Disposition"]
    made = tmp_path / "made.mp3"
    made.write_bytes(answer.content)
    with AudioReader(made, limits=LIMITS) as reader:
        samples = sum(block.shape[1] for block in reader.blocks(16_000))
    assert abs(samples / 16_000 - 3) < 0.2
    assert api.client.get(path, headers={"Range": "bytes=-10"}).content == answer.content[-10:]
    renderer.work()
    assert one(api.database, "SELECT count(*) FROM renditions") == 1
    assert not list(api.settings.scratch_dir.glob("rendition-*"))
    # It goes with the job.
    assert api.client.delete(path.removesuffix("/audio")).status_code == 204
    assert list(api.storage.keys("audio/")) == []
    assert one(api.database, "SELECT count(*) FROM renditions") == 0


def test_a_rendition_is_no_orphan_and_goes_with_the_audio(api: Api, recordings: Path) -> None:
    path = uploaded(api, (recordings / "a.amr").read_bytes(), "a.amr")
    api.client.get(path)
    Renderer(api.settings, api.database, api.storage).work()
    job_id = one(api.database, "SELECT id FROM jobs")
    key = one(api.database, "SELECT key FROM renditions")
    with api.database.transaction() as session:
        assert renditions.named(session, {key: job_id, f"{key}x": job_id}) == {key}
    completed(api.database, jobs.get(api.database, job_id))
    assert api.client.get(path).status_code == 200
    execute(api.database, "UPDATE jobs SET finished_at = now() - interval '2 days'")
    assert jobs.expire_audio(api.database, api.storage, NO_LIMIT, after_seconds=3600) == 1
    assert list(api.storage.keys("audio/")) == []
    problem_of(api.client.get(path), 410, "expired")


def test_audio_that_nobody_can_decode(api: Api) -> None:
    path = uploaded(api, b"<html>not audio</html>" * 100, "a.mp3")
    assert api.client.get(path).status_code == 202
    Renderer(api.settings, api.database, api.storage).work()
    problem_of(api.client.get(path), 422, "audio_not_decodable")
    assert not list(api.settings.scratch_dir.glob("rendition-*"))


def test_a_maker_that_died_is_replaced(api: Api, recordings: Path) -> None:
    path = uploaded(api, (recordings / "a.amr").read_bytes(), "a.amr")
    api.client.get(path)
    dead = renditions.take(api.database)
    assert dead is not None
    assert renditions.take(api.database) is None
    execute(api.database, "UPDATE renditions SET lease_expires_at = now() - interval '1 s'")
    Renderer(api.settings, api.database, api.storage).work()
    assert api.client.get(path).status_code == 200
    assert not renditions.ready(api.database, dead), "it came too late"
    assert api.client.get(path).status_code == 200


def test_a_link_that_is_not_fetched_has_no_audio_yet(api: Api) -> None:
    job = submitted(api.database, audio_key=None)
    problem_of(api.client.get(f"/v1/transcriptions/{job.public_id}/audio"), 409, "not_ready")
    problem_of(api.client.get(f"/v1/transcriptions/tr_{'0' * 32}/audio"), 404, "not_found")


def test_a_client_that_goes_away_in_the_middle_harms_nobody(api: Api) -> None:
    path = uploaded(api, b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0" + bytes(8_000_000), "a.wav")
    with httpx.stream("GET", f"{api.client.base_url}{path}", headers=WITH_KEY, timeout=30) as answer:
        next(answer.iter_bytes(1000))
    assert api.client.get(path).status_code == 200
