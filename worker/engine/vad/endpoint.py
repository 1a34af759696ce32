"""The end-point machine of FSMN-VAD over an array of frame decisions, compiled, and the cutter.

It follows FunASR's `FsmnVADStreaming.DetectOneFrame` frame by frame: a sliding window decides where
speech begins and ends, `max_end_silence_time` closes a segment, `lookback` and `lookahead` widen it.
The memory of the machine is one int64 vector and one uint8 window, so that it can be saved at any
frame. Times are frames of 10 ms, counted from the start of the audio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Compiled = TypeVar("Compiled", bound=Callable[..., Any])

# Positions in the state vector of the endpoint detector.
IN_SPEECH = 0  # a segment is open
WINDOW_SPEECH = 1  # what the window said last
WINDOW_SUM = 2  # speech frames in the window
WINDOW_AT = 3  # the next place in the window
SILENCE_RUN = 4  # silent frames in a row, as the window sees them
CONFIRMED = 5  # the last frame that belongs to the open segment
OPENED = 6  # first frame of the open segment
PIECE = 7  # first frame of its part that the cutter has not emitted
TAKEN = 8  # frames before this one belong to finished segments or silence
NEXT = 9  # the next frame to come
MEMORY_SIZE = 10

# Shortest pause at which the cutter cuts; shorter ones are often stops inside a word.
PAUSE_FRAMES = 8
SHORTEST_PAUSE_FRAMES = 3
# Shortest piece that a cut may produce.
SHORTEST_PIECE_FRAMES = 100


class EndpointOptions(NamedTuple):
    """Everything in frames of 10 ms; `longest_piece` 0 means no cutter, then `longest_segment` cuts hard."""

    window: int
    to_speech: int
    to_silence: int
    end_silence_ms: int
    frame_ms: int
    lookback: int
    lookahead: int
    extend: bool
    longest_segment: int
    longest_piece: int


def _compile(function: Compiled) -> Compiled:
    """Compile to machine code that runs without the interpreter lock, kept on disk where that is possible."""
    try:
        return cast(Compiled, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # nowhere to write: a read-only installation compiles at each start
        return cast(Compiled, numba.njit(nogil=True)(function))


def new_memory() -> Int64:
    """The state before the first frame."""
    memory = np.zeros(MEMORY_SIZE, np.int64)
    memory[OPENED] = -1
    return memory


@_compile
def _window_turn(speech: int, memory: Int64, window: UInt8, options: EndpointOptions) -> int:
    """Slide the window by one frame; 1: speech begins, -1: speech ends, 0: no change."""
    at = memory[WINDOW_AT]
    memory[WINDOW_SUM] += speech - np.int64(window[at])
    window[at] = speech
    memory[WINDOW_AT] = (at + 1) % options.window
    if memory[WINDOW_SPEECH] == 0 and memory[WINDOW_SUM] >= options.to_speech:
        memory[WINDOW_SPEECH] = 1
        return 1
    if memory[WINDOW_SPEECH] == 1 and memory[WINDOW_SUM] <= options.to_silence:
        memory[WINDOW_SPEECH] = 0
        return -1
    return 0


@_compile
def _confirm(frame: int, memory: Int64) -> None:
    """All frames up to this one belong to the open segment."""
    for between in range(memory[CONFIRMED] + 1, frame + 1):
        memory[TAKEN] = max(memory[TAKEN], between) + 1
    memory[CONFIRMED] = frame


@_compile
def _open_segment(frame: int, memory: Int64, options: EndpointOptions) -> None:
    lookback = options.window + (options.lookback if options.extend else 0)
    start = max(memory[TAKEN], frame - lookback)
    memory[IN_SPEECH] = 1
    memory[OPENED] = start
    memory[PIECE] = start
    memory[TAKEN] = start + 1
    memory[CONFIRMED] = start
    _confirm(frame, memory)


@_compile
def _step_in_speech(frame: int, turn: int, last: bool, memory: Int64, options: EndpointOptions) -> int:
    """One frame of an open segment. Returns the segment's last frame, or -1 while it stays open."""
    too_long = frame - memory[OPENED] + 1 > options.longest_segment
    silent = turn == 0 and memory[WINDOW_SPEECH] == 0
    if turn == 1:
        # Speech resumed: the silence in between belongs to the segment.
        _confirm(frame - 1, memory)
    if silent and memory[SILENCE_RUN] * options.frame_ms >= options.end_silence_ms:
        back = options.end_silence_ms // options.frame_ms
        if options.extend:
            back = max(0, back - options.lookahead - 1)
        return frame - back
    if too_long or last:
        return frame
    if not silent or (options.extend and memory[SILENCE_RUN] <= options.lookahead):
        # Without the frames between: FunASR leaves them to whatever confirms the next frame.
        memory[TAKEN] = max(memory[TAKEN], frame) + 1
        memory[CONFIRMED] = frame
    return -1


@_compile
def best_cut(speech: UInt8, base: int, start: int, longest: int) -> int:
    """The frame at which a piece that begins at `start` is cut, at most `longest` frames on.

    Looks for the longest run of non-speech frames (of equals the later one) in the second half, then in
    the whole piece, then for shorter runs, and cuts in its middle; without any, at the limit.
    `speech[i]` is the decision on frame `base + i`.
    """
    for shortest in (PAUSE_FRAMES, SHORTEST_PAUSE_FRAMES):
        for first in (start + longest // 2, start + min(SHORTEST_PIECE_FRAMES, longest // 2)):
            best_length, best_end, run = 0, 0, 0
            for frame in range(first, start + longest):
                run = 0 if speech[frame - base] else run + 1
                if run >= max(best_length, shortest):
                    best_length, best_end = run, frame + 1
            if best_length:
                return best_end - best_length // 2
    return start + longest


@_compile
def _emit(speech: UInt8, base: int, end: int, memory: Int64, longest: int, out: Int64, count: int) -> int:
    """Cut pieces off the open segment while it reaches further than one piece, known to go on to `end`."""
    if longest == 0:
        return count
    while end - memory[PIECE] > longest:
        cut = best_cut(speech, base, memory[PIECE], longest)
        out[count, 0] = memory[PIECE]
        out[count, 1] = cut
        memory[PIECE] = cut
        count += 1
    return count


@_compile
def _close_segment(memory: Int64, window: UInt8) -> None:
    memory[IN_SPEECH] = 0
    memory[WINDOW_SPEECH] = 0
    memory[WINDOW_SUM] = 0
    memory[WINDOW_AT] = 0
    memory[SILENCE_RUN] = 0
    memory[CONFIRMED] = 0
    memory[OPENED] = -1
    window[:] = 0


@_compile
def advance(
    speech: UInt8, base: int, final: bool, memory: Int64, window: UInt8, options: EndpointOptions, out: Int64
) -> int:
    """Run the machine over the frames from memory[NEXT] to the end of `speech`.

    speech: uint8 [k], decisions on frames base … base + k - 1, reaching back to the start of the open piece.
    final: the last of them is the last frame of the audio. out: int64 [k + 2, 2], gets the finished
    segments as (first frame, frame after the last). Returns how many.
    """
    count = 0
    stop = base + len(speech)
    for frame in range(int(memory[NEXT]), stop):
        turn = _window_turn(speech[frame - base], memory, window, options)
        silent = turn == 0 and memory[WINDOW_SPEECH] == 0
        memory[SILENCE_RUN] = memory[SILENCE_RUN] + 1 if silent else 0
        last = final and frame == stop - 1
        end = -1
        if memory[IN_SPEECH] == 1:
            end = _step_in_speech(frame, turn, last, memory, options)
        elif turn == 1:
            _open_segment(frame, memory, options)
            end = frame if last else -1
        elif silent:
            lookback = options.window + (options.lookback if options.extend else 0)
            memory[TAKEN] = max(memory[TAKEN], frame - lookback)
        if end >= 0:
            _confirm(end - 1, memory)
            memory[TAKEN] = max(memory[TAKEN], end) + 1
            count = _emit(speech, base, end + 1, memory, options.longest_piece, out, count)
            out[count, 0] = memory[PIECE]
            out[count, 1] = end + 1
            count += 1
            _close_segment(memory, window)
        elif memory[IN_SPEECH] == 1:
            count = _emit(speech, base, int(memory[CONFIRMED]) + 1, memory, options.longest_piece, out, count)
    memory[NEXT] = stop
    return count
