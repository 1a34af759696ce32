"""Voice messages of WeChat and QQ, made with the codec's own encoder."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import numpy as np
import pysilk
import pytest
from pysilk.backends.cffi._silk import ffi, lib

from common.errors import AudioEmpty
from tests.engine.recordings import BEEPS, BEEPS_MS, decode, ffmpeg, near


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("silk")
    ffmpeg("-f", "lavfi", "-i", BEEPS, "-f", "s16le", "-ar", "24000", "-ac", "1", place / "beeps.pcm")
    with (place / "beeps.pcm").open("rb") as pcm, (place / "voice.silk").open("wb") as silk:
        pysilk.encode(pcm, silk, 24_000, 24_000, tencent=True)
    return place / "voice.silk"


def packets(data: bytes) -> list[bytes]:
    """The packets of a file, without their lengths."""
    found, place = [], data.index(b"V3") + 2
    while place < len(data):
        (length,) = struct.unpack("<h", data[place : place + 2])
        found.append(data[place + 2 : place + 2 + length])
        place += 2 + length
    return found


def written(path: Path, items: list[bytes], *, magic: bytes = b"\x02#!SILK_V3", end: bytes = b"") -> Path:
    path.write_bytes(magic + b"".join(struct.pack("<h", len(item)) + item for item in items) + end)
    return path


def test_a_voice_message_is_heard_at_its_times(voice: Path) -> None:
    sound = decode(voice)
    assert near(sound.beeps(), BEEPS_MS, 40), sound.beeps()
    assert sound.length_ms == 7000
    assert sound.codes == set()
    (track,) = sound.tracks
    assert (track.codec, track.channels, track.sample_rate) == ("silk", 1, 24_000)
    assert np.array_equal(decode(voice, block=1000).samples, sound.samples)


def test_the_samples_are_those_of_the_codecs_own_decoder(voice: Path) -> None:
    pcm = io.BytesIO()
    with voice.open("rb") as silk:
        pysilk.decode(silk, pcm, 16_000)
    wanted = np.frombuffer(pcm.getvalue(), np.int16).astype(float)
    ours = decode(voice).samples[0].astype(float)
    beep = slice(int(1.05 * 16_000), int(1.25 * 16_000))
    # Its own resampler to 16 kHz is later than ours by a fraction of a millisecond.
    assert max(np.corrcoef(np.roll(wanted, -shift)[beep], ours[beep])[0, 1] for shift in range(-20, 21)) > 0.99


def test_both_headers_and_an_end_mark(voice: Path, tmp_path: Path) -> None:
    items = packets(voice.read_bytes())
    path = written(tmp_path / "a.mp3", items, magic=b"#!SILK_V3", end=b"\xff\xff")
    assert np.array_equal(decode(path).samples, decode(voice).samples)
    assert decode(path).codes == set()


@pytest.mark.parametrize("left", [b"\x10", struct.pack("<h", 30) + b"abc", struct.pack("<h", 2000) + bytes(2000)])
def test_a_message_that_breaks_off(voice: Path, tmp_path: Path, left: bytes) -> None:
    sound = decode(written(tmp_path / "a.silk", packets(voice.read_bytes())[:200], end=left))
    assert sound.length_ms == 4000
    assert near(sound.beeps(), BEEPS_MS[:2], 40)
    assert sound.warning("audio_truncated").start_ms == 4000


def test_lost_and_damaged_packets_move_nothing_behind_them(voice: Path, tmp_path: Path) -> None:
    items = packets(voice.read_bytes())
    items[200:225] = [b""] * 25
    noise = random.Random(1)
    items[225:250] = [noise.randbytes(1000) for _ in items[225:250]]
    sound = decode(written(tmp_path / "a.silk", items))
    assert sound.length_ms == 7000
    assert near([sound.beeps()[0], sound.beeps()[-1]], [BEEPS_MS[0], BEEPS_MS[-1]], 40), sound.beeps()
    damage = sound.warning("audio_damaged")
    assert damage.start_ms is not None
    assert damage.end_ms is not None
    assert 4500 <= damage.start_ms < damage.end_ms <= 5000


def long_packets(count: int) -> list[bytes]:
    """Packets of five frames, which `pysilk.encode` does not make."""
    size, control = ffi.new("int32_t *"), ffi.new("SKP_SILK_SDK_EncControlStruct *")
    lib.SKP_Silk_SDK_Get_Encoder_Size(size)
    state = ffi.new("uint8_t[]", size[0])
    assert lib.SKP_Silk_SDK_InitEncoder(state, control) == 0
    control.API_sampleRate = control.maxInternalSampleRate = control.bitRate = 24_000
    control.packetSize, control.complexity = 2400, 2
    samples = (8000 * np.sin(np.arange(2400) / 10)).astype(np.int16)
    made = []
    for _ in range(count):
        for frame in samples.reshape(5, 480):
            data, length = ffi.new("uint8_t[]", 1024), ffi.new("int16_t *", 1024)
            assert lib.SKP_Silk_SDK_Encode(state, control, ffi.from_buffer("int16_t[]", frame), 480, data, length) == 0
        made.append(bytes(ffi.buffer(data, length[0])))
    return made


def test_a_lost_first_packet_does_not_say_how_long_the_others_are(tmp_path: Path) -> None:
    sound = decode(written(tmp_path / "a.silk", [b"", *long_packets(30)]))
    assert near([sound.length_ms], [3000], 100)
    assert np.abs(sound.samples[:, 16_000:32_000]).max() > 1000


def test_a_message_without_sound(tmp_path: Path) -> None:
    with pytest.raises(AudioEmpty):
        decode(written(tmp_path / "a.silk", []))


def test_noise_behind_the_header_ends_with_an_honest_answer(tmp_path: Path) -> None:
    for seed in range(5):
        noise = random.Random(seed)
        items = [noise.randbytes(noise.randrange(1, 1024)) for _ in range(300)]
        sound = decode(written(tmp_path / "a.silk", items))
        assert sound.length_ms < 300 * 100 + 20
        assert sound.codes & {"audio_damaged", "audio_truncated"}, seed
