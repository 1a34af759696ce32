"""Playlists and references inside a file open nothing."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from common.errors import (
    ParaqueueError,
)
from tests.engine.test_audio import LIMITS, ffmpeg, read
from worker.engine.audio import AudioReader


class _Canary(http.server.BaseHTTPRequestHandler):
    hits: list[str]

    def do_GET(self) -> None:
        self.hits.append(self.path)
        self.send_response(200)
        self.end_headers()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "concat-bare": "file '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" mimeType="audio/mp4"><BaseURL>{target}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "svg": '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    '<image xlink:href="{target}"/></svg>',
    "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n",
    "smil": '<smil><body><audio src="{target}"/></body></smil>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["wav", "m3u8"])
def test_playlists_open_nothing(kind: str, suffix: str, spoken: Path, tmp_path: Path) -> None:
    hits: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Canary", (_Canary,), {"hits": hits}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / f"file.{suffix}"
    try:
        for target in (str(spoken), f"file://{spoken}", f"http://127.0.0.1:{server.server_port}/canary.wav"):
            path.write_text(PLAYLISTS[kind].format(target=target))
            with pytest.raises(ParaqueueError) as caught:
                read(path)
            assert caught.value.code in ("audio_not_decodable", "audio_missing")
    finally:
        server.shutdown()
        server.server_close()
    assert hits == []


def test_a_reference_inside_a_mov_opens_nothing(spoken: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.mov"
    ffmpeg("-i", spoken, "-c:a", "pcm_s16le", path)
    data = path.read_bytes()
    # The data reference of the track: from "in this file" to a path of another one.
    inside = data.index(b"url \0\0\0\1") if b"url \0\0\0\1" in data else data.index(b"alis\0\0\0\1")
    changed = data[: inside + 7] + b"\0" + data[inside + 8 :]
    path.write_bytes(changed)
    (tmp_path / "other.wav").write_bytes(spoken.read_bytes())
    with AudioReader(path, limits=LIMITS) as reader:
        fds = {str(link.readlink()) for link in Path(f"/proc/{reader.pid}/fd").iterdir()}
    assert not any("other" in name for name in fds)
