"""espeak-ng, through ctypes: text to samples, and when each word and pause begins.

The library keeps process-wide state: do not call it from two threads at once.
"""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

NATIVE_RATE = 22_050
"""Samples per second of what espeak-ng speaks."""

_RETRIEVE_AUDIO = 2  # AUDIO_OUTPUT_SYNCHRONOUS: audio goes to the callback, events come with it
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_WORD_EVENT, _PHONEME_EVENT = 1, 7  # espeak_EVENT_TYPE
_PHONEME_EVENTS_FLAG = 1


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """A synthesiser; only one may exist at a time."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        rate = self._library.espeak_Initialize(_RETRIEVE_AUDIO, 0, data, _PHONEME_EVENTS_FLAG)
        if rate != NATIVE_RATE:
            raise RuntimeError(f"espeak-ng did not start: it answered {rate} instead of its sample rate")
        self._audio: list[NDArray[np.int16]] = []
        self._words: list[tuple[int, int]] = []  # (character offset, native sample)
        self._pauses: list[int] = []  # native samples where a pause begins
        self._callback = _Callback(self._collect)  # kept: espeak holds only the pointer
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._audio.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != 0:
            event = events[index]
            if event.type == _WORD_EVENT:
                self._words.append((event.text_position - 1, event.sample))
            elif event.type == _PHONEME_EVENT and bytes(event.id.string).startswith(b"_:"):
                self._pauses.append(event.sample)
            index += 1
        return 0

    def speak(
        self, text: str, variant: str, *, rate: int, pitch: int, pitch_range: int
    ) -> tuple[NDArray[np.int16], list[tuple[int, int]], list[int]]:
        """Speak Mandarin in a voice variant, at `rate` words per minute; pitch and its range are 0 to 99.

        Returns samples int16 [n] at NATIVE_RATE, the start of every word as (character, sample), and the samples at
        which pauses begin. Raises ValueError for an unknown variant, RuntimeError if nothing can be spoken.
        """
        self._audio, self._words, self._pauses = [], [], []
        name = f"cmn+{variant}".encode()
        if self._library.espeak_SetVoiceByName(name) != 0:
            raise ValueError(f"espeak-ng has no voice variant {variant!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode() + b"\0"
        if self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _UTF8, None, None) != 0 or not self._audio:
            raise RuntimeError(f"espeak-ng could not speak {text!r}")
        return np.concatenate(self._audio), self._words, self._pauses

    def close(self) -> None:
        """Unload the library, and with it all its state."""
        self._library.espeak_Terminate()
        _ctypes.dlclose(self._library._handle)


@contextmanager
def espeak() -> Iterator[Espeak]:
    """A fresh synthesiser. The library keeps the phase of its pitch flutter; reloading it resets that."""
    synthesiser = Espeak()
    try:
        yield synthesiser
    finally:
        synthesiser.close()
