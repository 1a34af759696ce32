"""A real browser is asked at which of its times a sound is heard, and the transcript's clock is compared with it.

Both go by the file where the API serves the file, and by the rendition where it serves that.
"""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from common.transcript.recording import Recording, plays_on_its_clock
from tests.e2e.console.browser import HOW_TO_GET_IT, chromium_path, running
from tests.e2e.console.voice import spoken_wav
from tests.engine.recordings import BEEPS, KINDS, beeping, decode, ffmpeg
from worker.engine.decoding.messages import SOUND
from worker.engine.decoding.process import Child, Order

# What a media element's sound is, block by block of 5 ms, with the element's own time.
LISTEN = """async (url) => {
  const element = document.createElement('video');
  element.src = url;
  document.body.append(element);
  await new Promise((ready, failed) => {
    element.oncanplay = ready;
    element.onerror = () => failed(new Error(element.error.message));
  });
  const context = new AudioContext();
  await context.resume();
  const listener = context.createScriptProcessor(256, 1, 1);
  const levels = [];
  listener.onaudioprocess = ({ inputBuffer }) => {
    levels.push([element.currentTime, Math.max(...inputBuffer.getChannelData(0).map(Math.abs))]);
  };
  context.createMediaElementSource(element).connect(listener);
  listener.connect(context.destination);
  await element.play();
  await new Promise((ended) => { element.onended = ended; });
  await context.close();
  element.remove();
  return levels;
}"""
MOST_PLAYS = 6
HOLE = r"asetpts=if(gte(T\,4)\,PTS+3/TB\,PTS)"
LATE = ("-itsoffset", "2")
VIDEO = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=25:duration=9")
Make = Callable[[Path], Path]


def late_video(path: Path) -> Path:
    """A file whose sound begins two seconds after its video, which has b-frames."""
    codecs = ("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", "-c:a", "aac")
    ffmpeg(*VIDEO, *LATE, "-f", "lavfi", "-i", BEEPS, *codecs, path)
    return path


def kind(name: str, *options: str, before: tuple[str, ...] = ()) -> Make:
    """A file of one container and codec."""
    return lambda path: beeping(path, *options, *KINDS[name], before=before)


# As the file, where browsers play it on its clock; else as the rendition.
PLAYED: dict[str, Make] = {
    "plain.wav": kind("pcm.wav"),
    "plain.mp3": kind("cbr.mp3"),
    "vbr.mp3": kind("vbr.mp3"),
    "plain.m4a": kind("aac.m4a"),
    "plain.ogg": kind("vorbis.ogg"),
    "plain.opus": kind("a.opus"),
    "plain.flac": kind("a.flac"),
    "plain.webm": kind("opus.webm"),
    "late.m4a": kind("aac.m4a", before=LATE),
    "late.webm": kind("opus.webm", before=LATE),
    "late.mp4": late_video,
}
RENDERED: dict[str, Make] = {
    "plain.mkv": kind("aac.mkv"),
    "late.mkv": kind("aac.mkv", before=LATE),
    "hole.webm": kind("opus.webm", "-af", HOLE),
    "plain.ts": kind("mp2.ts"),
    "plain.amr": kind("a.amr"),
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not chromium_path():
        pytest.skip(HOW_TO_GET_IT)
    with running(spoken_wav(tmp_path_factory.mktemp("voice"))) as browser:
        yield browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("files")
    (place / "index.html").write_text("<!doctype html><body>")
    return place


@pytest.fixture(scope="module")
def page(browser: Browser, place: Path) -> Iterator[Page]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=place))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
    yield page
    page.close()
    server.shutdown()
    server.server_close()


def rendition(path: Path) -> Path:
    """What the API serves of a file that browsers do not play, or not on its clock."""
    made = path.with_suffix(path.suffix + ".mp3")
    with path.open("rb", buffering=0) as file:
        child = Child(file, Order("mp3", rate=24_000), cpu_seconds=60, memory_bytes=1 << 30, idle_seconds=60)
    try:
        made.write_bytes(b"".join(payload for kind, payload in child.messages() if kind == SOUND))
    finally:
        child.close()
    return made


def beeps_of_player(page: Page, path: Path) -> list[int]:
    """The player's times of the beeps, in ms."""
    levels = page.evaluate(LISTEN, path.name)
    loudest = max(level for _, level in levels)
    times: list[int] = []
    last = -1.0
    for seconds, level in levels:
        if level > 0.3 * loudest:
            if seconds - last > 0.15:
                times.append(round(seconds * 1000))
            last = seconds
    return times


def within(heard: list[int], ours: list[int], *, ms: int) -> bool:
    return len(heard) == len(ours) == 3 and all(abs(a - b) <= ms for a, b in zip(heard, ours, strict=True))


@pytest.mark.parametrize("name", [*PLAYED, *RENDERED])
def test_the_transcript_and_the_player_have_one_clock(name: str, page: Page, place: Path) -> None:
    path = {**PLAYED, **RENDERED}[name](place / name)
    sound = decode(path)
    served = plays_on_its_clock(Recording(sound.tracks, sound.warnings)) and name in PLAYED
    assert served == (name in PLAYED)
    played, ours = path if served else rendition(path), sound.beeps()
    heard: list[list[int]] = []
    # A busy machine reads the player's time late, now and then; a clock that is wrong is wrong each time.
    while len(heard) < MOST_PLAYS and not (heard and within(heard[-1], ours, ms=50)):
        heard.append(beeps_of_player(page, played))
    assert within(heard[-1], ours, ms=50), (heard, ours)
