"""Recordings as people have them: times on the recording's clock, nothing missing without a word."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from common.errors import AudioNotDecodable, AudioTruncated, ParaqueueError, TrackNotFound
from tests.engine.recordings import BEEPS, BEEPS_MS, KINDS, LENGTH, UNTOLD_MS, beeping, ffmpeg, heard, near

VIDEO = ("-f", "lavfi", "-i", "testsrc=size=64x64:rate=25:duration=12")
LATE = ["aac.m4a", "aac.mov", "faststart.m4a", "vorbis.mka", "aac.mkv", "opus.webm"]
HOLED = ["opus.webm", "vorbis.mka", "aac.mkv", "aac.m4a", "aac.ts"]
HOLE = r"asetpts=if(gte(T\,4)\,PTS+8/TB\,PTS)"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("plain")
    for name, options in KINDS.items():
        beeping(place / name, *options)
    return place


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_is_at_its_time_and_says_nothing(plain: Path, name: str) -> None:
    sound = heard(plain / name)
    assert near(sound.beeps(), BEEPS_MS, max(25, UNTOLD_MS.get(name, 0))), sound.beeps()
    assert abs(sound.length_ms - LENGTH * 1000) < 150
    assert sound.codes == set()


@pytest.mark.parametrize("name", LATE)
def test_a_track_that_starts_late(name: str, tmp_path: Path) -> None:
    path = beeping(tmp_path / name, *KINDS[name], before=("-itsoffset", "5"))
    assert near(heard(path).beeps(), [5000 + ms for ms in BEEPS_MS], 25)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts", "flv", "webm"])
def test_a_track_that_starts_later_than_the_picture(suffix: str, tmp_path: Path) -> None:
    """With b-frames, whose timestamps are shifted, where the codec has them."""
    path = tmp_path / f"late.{suffix}"
    codecs = (
        ("-c:v", "libvpx", "-c:a", "libopus") if suffix == "webm" else ("-c:v", "libx264", "-bf", "2", "-c:a", "aac")
    )
    rate = ("-ar", "44100") if suffix == "flv" else ()
    ffmpeg(*VIDEO, "-itsoffset", "5", "-f", "lavfi", "-i", BEEPS, *codecs, "-pix_fmt", "yuv420p", *rate, path)
    assert near(heard(path).beeps(), [5000 + ms for ms in BEEPS_MS], 50)


@pytest.mark.parametrize("name", HOLED)
def test_a_hole_in_the_timestamps(name: str, tmp_path: Path) -> None:
    sound = heard(beeping(tmp_path / name, "-af", HOLE, *KINDS[name]))
    wanted = [BEEPS_MS[0], BEEPS_MS[1], BEEPS_MS[2] + 8000]
    assert near(sound.beeps(), wanted, 50), sound.beeps()
    if name != "aac.m4a":  # there the hole is a long last sample, and no gap
        told = sound.warning("audio_gap")
        assert told.start_ms is not None
        assert told.end_ms is not None
        assert abs(told.start_ms - 4000) < 150
        assert abs(told.end_ms - 12_000) < 150


def test_a_timestamp_that_cannot_be_is_passed_over(tmp_path: Path) -> None:
    path = beeping(tmp_path / "a.mkv", "-af", r"asetpts=if(gte(T\,4)\,PTS+90000/TB\,PTS)", "-c:a", "aac")
    sound = heard(path)
    assert near(sound.beeps(), BEEPS_MS, 50)
    assert sound.codes == {"timestamps_invalid"}


def damaged(path: Path, seed: int = 1) -> Path:
    """Half a second of the bytes behind the middle are noise."""
    data = bytearray(path.read_bytes())
    start = len(data) * 4 // 7
    data[start : start + len(data) // 14] = random.Random(seed).randbytes(len(data) // 14)
    broken = path.with_name(f"damaged-{path.name}")
    broken.write_bytes(data)
    return broken


# Half a second of damage at 4 s; behind it, 5.5 s is where it was. Of bare streams the place is an estimate.
DAMAGED = {
    "cbr.mp3": 120,
    "a.ac3": 120,
    "a.amr": 200,
    "a.flac": 50,
    "vorbis.ogg": 50,
    "a.opus": 50,
    "faststart.m4a": 50,
    "mp2.ts": 60,
    "a.wma": 90,
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_in_the_middle_moves_nothing_behind_it(name: str, plain: Path) -> None:
    sound = heard(damaged(plain / name))
    assert near([sound.beeps()[0], sound.beeps()[-1]], [BEEPS_MS[0], BEEPS_MS[-1]], DAMAGED[name]), sound.beeps()
    assert sound.codes & {"audio_gap", "audio_damaged"}, sound.warnings


BROKEN_OFF = [name for name in KINDS if name not in {"aac.m4a", "alac.m4a", "aac.mov", "a.3gp"}]


@pytest.mark.parametrize("name", BROKEN_OFF)
def test_what_can_be_decoded_of_a_recording_that_breaks_off(name: str, plain: Path, tmp_path: Path) -> None:
    data = (plain / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) * 5 // 7 + 3])
    sound = heard(path)
    assert near(sound.beeps()[:2], BEEPS_MS[:2], max(25, UNTOLD_MS.get(name, 0)))
    assert "audio_truncated" in sound.codes
    told = sound.warning("audio_truncated")
    assert told.start_ms is not None
    assert abs(told.start_ms - sound.length_ms) < 50


@pytest.mark.parametrize("name", ["aac.m4a", "aac.mov"])
def test_a_recording_without_its_index(name: str, plain: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes((plain / name).read_bytes()[:-500])
    with pytest.raises(AudioTruncated, match="index"):
        heard(path)


def test_half_a_second_that_is_missing_of_a_wav(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes((plain / "pcm.wav").read_bytes()[:-48_000])
    sound = heard(path)
    told = sound.warning("audio_truncated")
    assert (sound.length_ms, told.start_ms, told.end_ms) == (6500, 6500, 7000)


def with_length(data: bytes, length: int) -> bytes:
    """A wav file whose data chunk states another length."""
    place = data.index(b"data") + 4
    return data[:place] + struct.pack("<I", length) + data[place + 4 :]


def test_the_file_is_believed_and_not_the_header(plain: Path, tmp_path: Path) -> None:
    whole = (plain / "pcm.wav").read_bytes()
    path = tmp_path / "a.wav"
    path.write_bytes(with_length(whole, 2 * 48_000 * 3))
    sound = heard(path)
    assert near(sound.beeps(), BEEPS_MS, 25)
    assert sound.codes == {"length_wrong"}
    # Chunks behind the samples are no samples.
    for chunk in (b"LIST\x10\0\0\0INFOISFT\x04\0\0\0abcd", b"junk" + struct.pack("<I", 9000) + bytes(range(256)) * 36):
        path.write_bytes(whole + chunk[: 8 + struct.unpack("<I", chunk[4:8])[0]])
        assert heard(path).codes == set()
        assert heard(path).length_ms == 7000


def test_a_chain_of_ogg_streams_with_other_parameters(tmp_path: Path) -> None:
    for codec in ("libvorbis", "libopus"):
        one = beeping(tmp_path / "one.ogg", "-c:a", codec, "-ac", "1")
        two = beeping(tmp_path / "two.ogg", "-c:a", codec, "-ac", "2", "-ar", "24000")
        chain = tmp_path / "chain.ogg"
        chain.write_bytes(one.read_bytes() + two.read_bytes() + one.read_bytes())
        sound = heard(chain)
        assert near(sound.beeps(), [ms + link * 7000 for link in range(3) for ms in BEEPS_MS], 50), sound.beeps()
        assert sound.codes == {"format_changed"}


TWO_TRACKS = (
    "-f",
    "lavfi",
    "-i",
    "sine=frequency=300:duration=7",
    "-f",
    "lavfi",
    "-i",
    BEEPS,
    "-map",
    "0",
    "-map",
    "1",
)
TAGS = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=chi", "-metadata:s:a:1", "title=现场")


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_which_track_is_heard(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tracks.{suffix}"
    marks = ("-disposition:a:0", "0", "-disposition:a:1", "default")
    ffmpeg(*TWO_TRACKS, "-c:a", "aac", *TAGS, *marks, path)
    default = heard(path)
    assert near(default.beeps(), BEEPS_MS, 25)
    assert [(track.index, track.language, track.heard) for track in default.tracks] == [
        (0, "eng", False),
        (1, "chi", True),
    ]
    assert default.codes == {"tracks_not_heard"}
    assert np.array_equal(heard(path, track="1").samples, default.samples)
    assert np.array_equal(heard(path, track="zh").samples, default.samples)
    assert heard(path, track="eng").beeps() != default.beeps()
    both = heard(path, track="all")
    assert both.samples.shape[0] == 2
    assert near(both.beeps(1), BEEPS_MS, 25)
    assert both.codes == set()
    with pytest.raises(TrackNotFound, match=r"0 \(eng\), 1 \(chi\)"):
        heard(path, track="fra")


def test_channels_in_opposite_phase_do_not_cancel(tmp_path: Path) -> None:
    path = beeping(tmp_path / "phase.wav", "-af", "pan=stereo|c0=c0|c1=-1*c0")
    sound = heard(path)
    assert near(sound.beeps(), BEEPS_MS, 25)
    assert np.abs(sound.samples).max() > 10_000
    assert sound.codes == {"channels_cancel"}
    assert "channels_cancel" not in heard(path, channels="split").codes


def test_auto_takes_channels_apart_where_they_are_speakers(tmp_path: Path) -> None:
    one, other = "between(t,0.5,3)", "between(t,3.5,6.5)"
    tone = "0.3*sin(2*PI*440*t)"
    call = f"aevalsrc='{tone}*{one}|{tone}*{other}':d=7:s=16000"
    room = f"aevalsrc='{tone}*({one}+{other})|0.6*{tone}*({one}+{other})':d=7:s=16000"
    assert heard(beeping(tmp_path / "call.wav", sound=call), channels="auto").samples.shape[0] == 2
    assert heard(beeping(tmp_path / "room.wav", sound=room), channels="auto").samples.shape[0] == 1
    assert heard(beeping(tmp_path / "mono.wav"), channels="auto").samples.shape[0] == 1


def test_the_level_is_brought_to_what_is_usual(tmp_path: Path) -> None:
    wanted = heard(beeping(tmp_path / "usual.wav")).samples[0].astype(float)
    for name, volume, code in (("quiet.wav", "-60dB", "level_raised"), ("loud.wav", "12dB", "level_lowered")):
        path = beeping(tmp_path / name, "-af", f"volume={volume}:precision=float", "-c:a", "pcm_f32le")
        sound = heard(path)
        assert sound.codes == {code}
        assert 3000 < np.abs(sound.samples).max() < 32_767
        beep = slice(int(1.05 * 16_000), int(1.25 * 16_000))
        assert np.corrcoef(sound.samples[0, beep].astype(float), wanted[beep])[0, 1] > 0.999


def test_blocks_do_not_depend_on_how_they_are_asked_for(plain: Path, tmp_path: Path) -> None:
    path = beeping(tmp_path / "a.mkv", "-af", HOLE, "-c:a", "libopus")
    for file in (path, plain / "vbr.mp3"):
        wanted = heard(file).samples
        for block in (1000, 32_000, 10_000_000):
            assert np.array_equal(heard(file, block=block).samples, wanted)


NO_RECORDINGS = {
    b"\x02#!SILK_V3\x0c\0": "SILK",
    b"CTENFDAM\x01\x70": "NetEase",
    b"#EXTM3U\n#EXTINF:10,\na.ts\n": "playlist",
    b'{"error": "no such file"}': "JSON",
    b'<?xml version="1.0"?><Error/>': "XML",
    b"\r\n<!DOCTYPE html><html></html>": "HTML",
    b"data:audio/wav;base64,UklGR": "data: link",
    b"%PDF-1.7": "PDF",
    b"\x1f\x8b\x08\0": "gzip",
}


@pytest.mark.parametrize("content", NO_RECORDINGS, ids=NO_RECORDINGS.values())
def test_what_is_no_recording_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recording.mp3"
    path.write_bytes(content + b" " * 100)
    with pytest.raises(AudioNotDecodable, match=NO_RECORDINGS[content]):
        heard(path)


def test_a_recording_of_a_browser_that_has_only_a_header(plain: Path, tmp_path: Path) -> None:
    data = (plain / "live.webm").read_bytes()
    path = tmp_path / "empty.webm"
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
    with pytest.raises(ParaqueueError, match="empty recording") as caught:
        heard(path)
    assert caught.value.code == "audio_missing"


def test_what_a_file_prints_is_believed_by_nobody(tmp_path: Path) -> None:
    """Tags that look like the lines that ffmpeg prints, 10,000 of them, and one of 2**70 hours."""
    lines = ["[info]   Duration: 99999999999999999:00:00.00", f"duration={2**70}", "[error] partial file", "\x00\ud800"]
    meta = tmp_path / "tags.txt"
    chance = random.Random(0)
    tags = [f"{chance.randrange(2**40)}={chance.choice(lines[:3])}" for _ in range(10_000)]
    meta.write_text(";FFMETADATA1\n" + "\n".join(tags) + "\na\\\n[info]   Duration: 99999999999:00:00.00\\\n=b\n")
    path = tmp_path / "tags.mkv"
    ffmpeg("-f", "lavfi", "-i", BEEPS, "-i", meta, "-map_metadata", "1", "-c:a", "libopus", path)
    assert b"Duration: 99999999999" in path.read_bytes()
    sound = heard(path)
    assert near(sound.beeps(), BEEPS_MS, 25)
    assert sound.codes == set()
