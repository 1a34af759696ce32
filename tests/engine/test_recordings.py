"""Recordings as people have them: times on the recording's clock, nothing missing without a word."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from common.errors import AudioTruncated, TrackNotFound
from tests.engine.recordings import BEEPS, BEEPS_MS, KINDS, LENGTH, UNTOLD_MS, beeping, decode, ffmpeg, near

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
    sound = decode(plain / name)
    assert near(sound.beeps(), BEEPS_MS, max(25, UNTOLD_MS.get(name, 0))), sound.beeps()
    assert abs(sound.length_ms - LENGTH * 1000) < 150
    assert sound.codes == set()


@pytest.mark.parametrize("name", LATE)
def test_a_track_that_starts_late(name: str, tmp_path: Path) -> None:
    path = beeping(tmp_path / name, *KINDS[name], before=("-itsoffset", "5"))
    assert near(decode(path).beeps(), [5000 + ms for ms in BEEPS_MS], 25)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts", "flv", "webm"])
def test_a_track_that_starts_later_than_the_picture(suffix: str, tmp_path: Path) -> None:
    """With b-frames, whose timestamps are shifted, where the codec has them."""
    path = tmp_path / f"late.{suffix}"
    codecs = (
        ("-c:v", "libvpx", "-c:a", "libopus") if suffix == "webm" else ("-c:v", "libx264", "-bf", "2", "-c:a", "aac")
    )
    rate = ("-ar", "44100") if suffix == "flv" else ()
    ffmpeg(*VIDEO, "-itsoffset", "5", "-f", "lavfi", "-i", BEEPS, *codecs, "-pix_fmt", "yuv420p", *rate, path)
    assert near(decode(path).beeps(), [5000 + ms for ms in BEEPS_MS], 50)


@pytest.mark.parametrize("name", HOLED)
def test_a_hole_in_the_timestamps(name: str, tmp_path: Path) -> None:
    sound = decode(beeping(tmp_path / name, "-af", HOLE, *KINDS[name]))
    wanted = [BEEPS_MS[0], BEEPS_MS[1], BEEPS_MS[2] + 8000]
    assert near(sound.beeps(), wanted, 50), sound.beeps()
    if name != "aac.m4a":  # there the hole is a long last sample, and no gap
        warning = sound.warning("audio_gap")
        assert warning.start_ms is not None
        assert warning.end_ms is not None
        assert abs(warning.start_ms - 4000) < 150
        assert abs(warning.end_ms - 12_000) < 150


def test_a_timestamp_that_cannot_be_is_passed_over(tmp_path: Path) -> None:
    path = beeping(tmp_path / "a.mkv", "-af", r"asetpts=if(gte(T\,4)\,PTS+90000/TB\,PTS)", "-c:a", "aac")
    sound = decode(path)
    assert near(sound.beeps(), BEEPS_MS, 50)
    assert sound.codes == {"timestamps_invalid"}


def damaged(path: Path, seed: int = 1) -> Path:
    """Half a second of bytes after the middle is replaced by noise."""
    data = bytearray(path.read_bytes())
    start = len(data) * 4 // 7
    data[start : start + len(data) // 14] = random.Random(seed).randbytes(len(data) // 14)
    broken = path.with_name(f"damaged-{path.name}")
    broken.write_bytes(data)
    return broken


# Half a second of damage at 4 s; the beep at 5.5 s keeps its time. For bare streams the place is an estimate.
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
    sound = decode(damaged(plain / name))
    assert near([sound.beeps()[0], sound.beeps()[-1]], [BEEPS_MS[0], BEEPS_MS[-1]], DAMAGED[name]), sound.beeps()
    assert sound.codes & {"audio_gap", "audio_damaged"}, sound.warnings


BROKEN_OFF = [name for name in KINDS if name not in {"aac.m4a", "alac.m4a", "aac.mov", "a.3gp"}]


@pytest.mark.parametrize("name", BROKEN_OFF)
def test_what_can_be_decoded_of_a_recording_that_breaks_off(name: str, plain: Path, tmp_path: Path) -> None:
    data = (plain / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) * 5 // 7 + 3])
    sound = decode(path)
    assert near(sound.beeps()[:2], BEEPS_MS[:2], max(25, UNTOLD_MS.get(name, 0)))
    assert "audio_truncated" in sound.codes
    warning = sound.warning("audio_truncated")
    assert warning.start_ms is not None
    assert abs(warning.start_ms - sound.length_ms) < 50


@pytest.mark.parametrize("name", ["aac.m4a", "aac.mov"])
def test_a_recording_without_its_index(name: str, plain: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes((plain / name).read_bytes()[:-500])
    with pytest.raises(AudioTruncated, match="index"):
        decode(path)


def test_half_a_second_that_is_missing_of_a_wav(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes((plain / "pcm.wav").read_bytes()[:-48_000])
    sound = decode(path)
    warning = sound.warning("audio_truncated")
    assert (sound.length_ms, warning.start_ms, warning.end_ms) == (6500, 6500, 7000)


def with_length(data: bytes, length: int) -> bytes:
    """A wav file whose data chunk states another length."""
    place = data.index(b"data") + 4
    return data[:place] + struct.pack("<I", length) + data[place + 4 :]


def test_the_file_is_believed_and_not_the_header(plain: Path, tmp_path: Path) -> None:
    whole = (plain / "pcm.wav").read_bytes()
    path = tmp_path / "a.wav"
    path.write_bytes(with_length(whole, 2 * 48_000 * 3))
    sound = decode(path)
    assert near(sound.beeps(), BEEPS_MS, 25)
    assert sound.codes == {"length_wrong"}
    # Chunks after the samples are not samples.
    for chunk in (b"LIST\x10\0\0\0INFOISFT\x04\0\0\0abcd", b"junk" + struct.pack("<I", 9000) + bytes(range(256)) * 36):
        path.write_bytes(whole + chunk[: 8 + struct.unpack("<I", chunk[4:8])[0]])
        assert decode(path).codes == set()
        assert decode(path).length_ms == 7000


@pytest.mark.parametrize("name", ["eight.wav", "eight.flac"])
def test_eight_channels(name: str, tmp_path: Path) -> None:
    path = beeping(tmp_path / name, "-af", "pan=7.1|c6=c0")
    assert near(decode(path).beeps(), BEEPS_MS, 25)
    assert near(decode(path, channels="split").beeps(6), BEEPS_MS, 25)


# Headers and encodings of telephones, recorders and editors.
UNUSUAL = {
    "mulaw.wav": ("-ar", "8000", "-c:a", "pcm_mulaw"),
    "alaw.wav": ("-ar", "8000", "-c:a", "pcm_alaw"),
    "96k.wav": ("-ar", "96000", "-c:a", "pcm_f32le"),
    "rf64.wav": ("-rf64", "always"),
    "a.dts": ("-c:a", "dca", "-strict", "-2"),
    "wrap.ts": ("-c:a", "aac", "-output_ts_offset", "95440"),  # 33 bits of 90 kHz end 4 s later
    "mp4.mp3": ("-f", "mp4", "-c:a", "aac"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_files_are_at_their_time(name: str, tmp_path: Path) -> None:
    sound = decode(beeping(tmp_path / name, *UNUSUAL[name]))
    assert near(sound.beeps(), BEEPS_MS, 60), sound.beeps()
    assert sound.codes == set()


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
    default = decode(path)
    assert near(default.beeps(), BEEPS_MS, 25)
    assert [(track.index, track.language, track.transcribed) for track in default.tracks] == [
        (0, "eng", False),
        (1, "chi", True),
    ]
    assert default.codes == {"tracks_not_heard"}
    assert np.array_equal(decode(path, track="1").samples, default.samples)
    assert np.array_equal(decode(path, track="zh").samples, default.samples)
    assert decode(path, track="eng").beeps() != default.beeps()
    both = decode(path, track="all")
    assert both.samples.shape[0] == 2
    assert near(both.beeps(1), BEEPS_MS, 25)
    assert both.codes == set()
    with pytest.raises(TrackNotFound, match=r"0 \(eng\), 1 \(chi\)"):
        decode(path, track="fra")


def test_channels_in_opposite_phase_do_not_cancel(tmp_path: Path) -> None:
    path = beeping(tmp_path / "phase.wav", "-af", "pan=stereo|c0=c0|c1=-1*c0")
    sound = decode(path)
    assert near(sound.beeps(), BEEPS_MS, 25)
    assert np.abs(sound.samples).max() > 10_000
    assert sound.codes == {"channels_cancel"}
    assert "channels_cancel" not in decode(path, channels="split").codes


def test_auto_takes_channels_apart_where_they_are_speakers(tmp_path: Path) -> None:
    one, other = "between(t,0.5,3)", "between(t,3.5,6.5)"
    tone = "0.3*sin(2*PI*440*t)"
    call = f"aevalsrc='{tone}*{one}|{tone}*{other}':d=7:s=16000"
    room = f"aevalsrc='{tone}*({one}+{other})|0.6*{tone}*({one}+{other})':d=7:s=16000"
    assert decode(beeping(tmp_path / "call.wav", sound=call), channels="auto").samples.shape[0] == 2
    assert decode(beeping(tmp_path / "room.wav", sound=room), channels="auto").samples.shape[0] == 1
    assert decode(beeping(tmp_path / "mono.wav"), channels="auto").samples.shape[0] == 1


def test_the_level_is_brought_to_what_is_usual(tmp_path: Path) -> None:
    wanted = decode(beeping(tmp_path / "usual.wav")).samples[0].astype(float)
    for name, volume, code in (("quiet.wav", "-60dB", "level_raised"), ("loud.wav", "12dB", "level_lowered")):
        path = beeping(tmp_path / name, "-af", f"volume={volume}:precision=float", "-c:a", "pcm_f32le")
        sound = decode(path)
        assert sound.codes == {code}
        assert 3000 < np.abs(sound.samples).max() < 32_767
        beep = slice(int(1.05 * 16_000), int(1.25 * 16_000))
        assert np.corrcoef(sound.samples[0, beep].astype(float), wanted[beep])[0, 1] > 0.999


def test_blocks_do_not_depend_on_how_they_are_asked_for(plain: Path, tmp_path: Path) -> None:
    path = beeping(tmp_path / "a.mkv", "-af", HOLE, "-c:a", "libopus")
    for file in (path, plain / "vbr.mp3"):
        wanted = decode(file).samples
        for block in (1000, 32_000, 10_000_000):
            assert np.array_equal(decode(file, block=block).samples, wanted)


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
    sound = decode(path)
    assert near(sound.beeps(), BEEPS_MS, 25)
    assert sound.codes == set()
