"""Add subtitles to a video, as a track that players can switch on.

    python examples/subtitle_video.py lecture.mp4          # writes lecture.subtitled.mp4

Picture and sound are copied as they are. Needs the package imageio-ffmpeg, which brings ffmpeg.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from paraqueue import Client, ParaqueueError

# How subtitles are stored in each kind of file
CODECS = {".mp4": "mov_text", ".m4v": "mov_text", ".mov": "mov_text", ".mkv": "srt", ".webm": "webvtt"}


def subtitles_of(video: Path) -> str:
    """Transcribe the sound of a video; return its subtitles as SRT. Raises ParaqueueError."""
    with Client() as client:
        transcript = client.transcribe(video, dedupe=True)
        return client.text(transcript.id, "srt")


def with_subtitles(video: Path, subtitles: Path, target: Path) -> None:
    """Write a copy of a video with a track of subtitles. Raises CalledProcessError."""
    command = [get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", "-i", str(video), "-i", str(subtitles)]
    command += ["-map", "0", "-map", "1", "-c", "copy", "-c:s", CODECS[target.suffix.lower()]]
    subprocess.run([*command, "-metadata:s:s:0", "language=chi", str(target)], check=True)


def main() -> None:
    """Subtitle one video."""
    parser = argparse.ArgumentParser(description="Add subtitles to a video.")
    parser.add_argument("video", type=Path)
    video: Path = parser.parse_args().video
    if video.suffix.lower() not in CODECS:
        parser.error(f"{video.name} is not one of {', '.join(CODECS)}")
    target = video.with_suffix(f".subtitled{video.suffix}")
    with tempfile.TemporaryDirectory() as place:
        subtitles = Path(place) / "subtitles.srt"
        subtitles.write_text(subtitles_of(video), encoding="utf-8")
        with_subtitles(video, subtitles, target)
    print(target)


if __name__ == "__main__":
    try:
        main()
    except (ParaqueueError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"subtitle_video: {error}")
