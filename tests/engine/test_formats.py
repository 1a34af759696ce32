"""The list of formats against what the libraries know."""

from __future__ import annotations

import av
import pytest

from worker.engine.decoding.formats import EXTENSIONS

# Pictures and subtitles that a demuxer of sound reads too, and a game console's name for mp4.
NO_SOUND = {"avif", "heic", "heif", "mks", "psp"}


@pytest.mark.parametrize("name", sorted(set(EXTENSIONS) - {"silk"}))
def test_a_format_exists_and_has_the_extensions_that_the_libraries_know(name: str) -> None:
    known = av.format.ContainerFormat(name, "r").extensions
    assert EXTENSIONS[name]
    assert known - NO_SOUND <= {extension for names in EXTENSIONS.values() for extension in names}
