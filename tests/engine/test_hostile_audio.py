"""Files made to harm: that open other files or connections, that unfold without end, that are broken at random."""

from __future__ import annotations

import random
import re
import resource
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from common.errors import AudioTooLong, ParaqueueError
from worker.engine.audio import SAMPLE_RATE, AudioReader, DecodeLimits
from worker.engine.decoding.forking import DECODERS
from worker.engine.decoding.process import Child, Order

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LIMITS = DecodeLimits(max_duration_ms=3_600_000, cpu_seconds=60, memory_bytes=1 << 30, idle_timeout_seconds=20.0)
HONEST = {"audio_empty", "audio_not_decodable", "audio_missing", "audio_truncated", "audio_too_long", "decode_limit"}


def make(*arguments: str | Path) -> None:
    subprocess.run([FFMPEG, "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


class Listener:
    """A listening port that counts connections."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.socket.close()


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with sound that no file may read: wav, and MPEG-TS as playlists use it."""
    place = tmp_path_factory.mktemp("secret")
    for name in ("canary.wav", "canary.ts"):
        make("-f", "lavfi", "-i", "sine=frequency=1000:duration=2", place / name)
    return place


def traps(canary: Path, port: int) -> dict[str, bytes]:
    """By their kind: files that name the canary, or our port."""
    wav, ts = f"file://{canary}/canary.wav", f"{canary}/canary.ts"
    there = f"http://127.0.0.1:{port}/a.ts"
    hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    mpd = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="urn:mpeg:dash:profile:'
        'isoff-on-demand:2011"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="0" bandwidth="1">'
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        '<image xlink:href="{0}"/><!DOCTYPE a [<!ENTITY x SYSTEM "{0}">]>&x;</svg>'
    )
    texts = {
        "hls-file": hls.format(ts),
        "hls-http": hls.format(there),
        "hls-key": hls.format(ts).replace("#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{there}"\n#EXTINF'),
        "hls-concat": hls.format(f"concat:{ts}|{ts}"),
        "hls-subfile": hls.format(f"subfile,,start,0,end,0,,:{ts}"),
        "concat": f"ffconcat version 1.0\nfile '{canary}/canary.wav'\n",
        "concat-http": f"ffconcat version 1.0\nfile {there}\n",
        "dash-file": mpd.format(wav),
        "dash-http": mpd.format(there),
        "svg-file": svg.format(wav),
        "svg-http": svg.format(there),
        "srt": f"1\n00:00:00,000 --> 00:00:02,000\n<img src={there}>\n",
        "ass": f"[Script Info]\nScriptType: v4.00+\nAudio File: {wav}\n[Events]\nDialogue: 0,0:00:00,0:00:02,{wav}\n",
        "ffmetadata": f";FFMETADATA1\ntitle={wav}\n[CHAPTER]\nSTART=0\nEND=1\ntitle={there}\n",
        "m3u": f"#EXTM3U\n{there}\n",
        "pls": f"[playlist]\nFile1={there}\nNumberOfEntries=1\n",
        "xspf": f"<playlist><trackList><track><location>{there}</location></track></trackList></playlist>",
        "asx": f'<asx version="3.0"><entry><ref href="{there}"/></entry></asx>',
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "avs": f'WavSource("{canary}/canary.wav")\n',
        "vobsub": f"# VobSub index file, v7\nid: en, index: 0\n{canary}/canary.wav\n",
        "imf": f'<AssetMap xmlns="http://www.smpte-ra.org/schemas/429-9/2007/AM"><Path>{wav}</Path></AssetMap>',
        "rtsp": f"rtsp://127.0.0.1:{port}/a\n",
        "name": f"{canary}/canary.wav",
    }
    files = {kind: text.encode() for kind, text in texts.items()}
    # The same after what looks like an mp3.
    files["hls-behind-id3"] = b"ID3\x03\0\0\0\0\0\0" + files["hls-file"]
    files["hls-behind-frames"] = b"\xff\xfb\x90\x00" * 10 + files["hls-http"]
    return files


KINDS = sorted(traps(Path("/nowhere"), 1))


def loudness(path: Path) -> float | str:
    """How loud the 1000 Hz of the canary are in what is decoded; the code of the error if it is not."""
    try:
        with AudioReader(path, limits=LIMITS) as reader:
            samples = np.concatenate([block[0] for block in reader.blocks(16_000)]).astype(float)
    except ParaqueueError as error:
        assert error.code in HONEST
        assert "secret" not in error.message
        return error.code
    spectrum = np.abs(np.fft.rfft(samples)) / len(samples)
    return float(spectrum[round(1000 * len(samples) / 16_000)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["mp3", "m3u8"])
def test_nothing_is_opened(kind: str, suffix: str, canary: Path, listener: Listener, tmp_path: Path) -> None:
    path = tmp_path / f"meeting.{suffix}"
    path.write_bytes(traps(canary, listener.port)[kind])
    result = loudness(path)
    assert isinstance(result, str) or result < 10
    assert listener.connections == 0


def test_nor_for_what_browsers_get(canary: Path, listener: Listener, tmp_path: Path) -> None:
    for kind in ("hls-file", "hls-http", "concat", "dash-http"):
        path = tmp_path / kind
        path.write_bytes(traps(canary, listener.port)[kind])
        with path.open("rb", buffering=0) as file:
            child = Child(file, Order("mp3", rate=24_000), cpu_seconds=60, memory_bytes=1 << 30, idle_seconds=60)
        with pytest.raises(ParaqueueError):
            list(child.messages())
        child.close()
    assert listener.connections == 0


def test_the_traps_would_work(canary: Path, listener: Listener, tmp_path: Path) -> None:
    """Without our limits ffmpeg does open them: the tests above would see it."""
    assert float(loudness(canary / "canary.wav")) > 100
    made = traps(canary, listener.port)
    for kind, options in (
        ("hls-file", ["-allowed_extensions", "ALL", "-allowed_segment_extensions", "ALL", "-extension_picky", "0"]),
        ("concat", ["-safe", "0"]),
    ):
        path = tmp_path / f"{kind}.m3u8"
        path.write_bytes(made[kind])
        make("-protocol_whitelist", "file,crypto,data", *options, "-i", path, tmp_path / f"{kind}.wav")
        assert float(loudness(tmp_path / f"{kind}.wav")) > 100, kind
    path = tmp_path / "http.m3u8"
    path.write_bytes(made["hls-http"])
    open_wide = ["-protocol_whitelist", "file,http,tcp", "-i", str(path), str(tmp_path / "http.wav")]
    subprocess.run([FFMPEG, "-nostdin", "-loglevel", "quiet", "-y", *open_wide], timeout=60, check=False)
    assert listener.connections > 0


def silence(path: Path, hours: float) -> None:
    """flac through a pipe, which so does not say how long it is: seconds of silence in a dozen bytes."""
    command = [FFMPEG, "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono"]
    command += ["-t", str(hours * 3600), "-c:a", "flac", "-frame_size", "32768", "-f", "flac", "pipe:1"]
    with path.open("wb") as file:
        subprocess.run(command, stdout=file, check=True)


def peak_kibibytes(pid: int) -> int:
    """The most memory that a living process ever held."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) if match else 0


@pytest.mark.parametrize("hours", [4, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_a_small_file_of_endless_silence_ends_at_the_limit(hours: int, tmp_path: Path) -> None:
    path = tmp_path / "silence.flac"
    silence(path, hours)
    assert path.stat().st_size < 30_000 * hours
    before, decoder = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    with (
        pytest.raises(AudioTooLong),
        AudioReader(path, limits=LIMITS) as reader,
    ):
        for number, block in enumerate(reader.blocks(160_000)):
            assert block.shape[1] <= 160_000
            if number % 50 == 0:  # of this very child: getrusage knows the largest of all the session's only
                decoder = max(decoder, peak_kibibytes(reader.pid))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert 0 < decoder < 400_000


def test_a_file_that_claims_a_thousand_hours_is_judged_by_its_content(tmp_path: Path) -> None:
    """The header declares a thousand hours; the content is 40 s of noise, a megabyte."""
    path = tmp_path / "claims.flac"
    make("-f", "lavfi", "-i", "anoisesrc=r=16000:duration=40", "-c:a", "flac", path)
    data = bytearray(path.read_bytes())
    samples = 1000 * 3600 * 16_000
    data[21] = data[21] & 0xF0 | samples >> 32
    data[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)
    with AudioReader(path, limits=LIMITS) as reader:
        assert sum(block.shape[1] for block in reader.blocks(SAMPLE_RATE)) == 40 * SAMPLE_RATE
        assert "audio_truncated" in {warning.code for warning in reader.warnings}


SOUND = ("-f", "lavfi", "-i", "sine=frequency=300:duration=0.7")
KINDS_OF_FILES = {
    "wav": [],
    "mp3": [],
    "m4a": [],
    "ogg": ["-c:a", "libvorbis"],
    "opus": [],
    "flac": [],
    "amr": ["-ar", "8000", "-ac", "1"],
    "wma": [],
    "webm": ["-c:a", "libopus"],
    "aac": [],
    "aiff": [],
    "ac3": [],
    "mka": ["-c:a", "flac"],
    "avi": ["-c:a", "mp3"],
    "w64": [],
    "caf": [],
    "tta": [],
    "wv": [],
}


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    place = tmp_path_factory.mktemp("whole")
    for suffix, options in KINDS_OF_FILES.items():
        make(*SOUND, *options, place / f"a.{suffix}")
    return [path.read_bytes() for path in sorted(place.iterdir())]


def mutated(whole: list[bytes], seed: int) -> bytes:
    """One of the files, broken in a way that the seed says."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(whole))
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(min(len(data), chance.choice((64, 512, len(data)))))
        size = chance.randrange(1, 9)
        match chance.randrange(6):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + size] = chance.randbytes(size)
            case 2:
                data[at : at + size] = chance.choice((b"\0", b"\xff", b"\x7f")) * size
            case 3:
                del data[at : at + chance.randrange(1, max(2, len(data) // 4))]
            case 4:
                data[at:at] = data[: chance.randrange(1, 4096)]
            case _:
                other = chance.choice(whole)
                data[at:at] = other[: chance.randrange(1, len(other))]
        if not data:
            return b"\0"
    return bytes(data)


@pytest.mark.parametrize("number", [150, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])])
def test_broken_files_end_in_sound_or_an_honest_error(number: int, whole_files: list[bytes], tmp_path: Path) -> None:
    limits = DecodeLimits(max_duration_ms=600_000, cpu_seconds=20, memory_bytes=1 << 30, idle_timeout_seconds=60.0)

    def decode(seed: int) -> str:
        path = tmp_path / f"{seed}"
        path.write_bytes(mutated(whole_files, seed))
        try:
            with AudioReader(path, channels=("mix", "split")[seed % 2], limits=limits) as reader:
                samples = sum(block.shape[1] for block in reader.blocks(16_000))
                assert samples > 0
                return "sound"
        except ParaqueueError as error:
            assert error.code in HONEST, (seed, error)
            assert error.message
            return error.code
        finally:
            path.unlink()

    with ThreadPoolExecutor(4) as pool:
        outcomes = Counter(pool.map(decode, range(number)))
    print(dict(outcomes))
    assert outcomes["sound"] > number // 10
    assert outcomes["audio_not_decodable"] > number // 100
    assert not Path(f"/proc/{DECODERS.pid}/task/{DECODERS.pid}/children").read_text().split()
