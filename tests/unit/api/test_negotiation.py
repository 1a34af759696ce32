"""Which form of a transcript a request wants."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.negotiation import chosen_format
from common.errors import NotAcceptable
from common.transcript.formats import MEDIA_TYPES, Format


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, Format.JSON),
        ("", Format.JSON),
        ("*/*", Format.JSON),
        ("application/*", Format.JSON),
        ("text/*", Format.TXT),
        ("text/plain", Format.TXT),
        ("TEXT/VTT; charset=utf-8", Format.VTT),
        ("application/x-subrip", Format.SRT),
        ("text/vtt, text/plain", Format.VTT),
        ("text/vtt;q=0.1, text/plain;q=0.2", Format.TXT),
        ("text/html, application/xhtml+xml, */*;q=0.8", Format.JSON),
        ("text/vtt;q=0, text/plain", Format.TXT),
        ("text/plain; q=nonsense, text/vtt;q=0.1", Format.VTT),
        ("application/json;q=0, */*;q=0.1", Format.TXT),
        ("text/plain;q=0, text/*", Format.VTT),
    ],
)
def test_accept(accept: str | None, wanted: Format) -> None:
    assert chosen_format(None, accept) is wanted


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/json;q=0", "*/*;q=0", "nonsense"])
def test_nothing_fits(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="text/vtt"):
        chosen_format(None, accept)


@given(st.sampled_from(list(Format)), st.text(max_size=40))
def test_format_wins_over_accept(form: Format, accept: str) -> None:
    assert chosen_format(form.value, accept) is form


@given(st.text(max_size=80) | st.lists(st.sampled_from([*MEDIA_TYPES.values(), ";q=", ",", "0.5", "*/*"])).map("".join))
def test_no_header_is_a_crash(accept: str) -> None:
    with contextlib.suppress(NotAcceptable):
        assert chosen_format(None, accept) in Format
