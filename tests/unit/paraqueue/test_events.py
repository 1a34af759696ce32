"""What a follower of a transcription makes of the end of its event stream."""

from __future__ import annotations

import pytest
from httpx_sse import ServerSentEvent

from paraqueue.errors import ApiError, NotFound
from paraqueue.events import Follower


@pytest.mark.parametrize("status", ["completed", "failed", "canceled"])
def test_a_job_that_ended_ends_the_stream(status: str) -> None:
    follower = Follower()
    assert follower.take(ServerSentEvent("end", f'{{"status": "{status}"}}')) == ()
    assert follower.ended


@pytest.mark.parametrize(
    ("status", "error", "code"), [("deleted", NotFound, "not_found"), ("expired", ApiError, "expired")]
)
def test_sentences_that_were_deleted_are_no_end(status: str, error: type[ApiError], code: str) -> None:
    with pytest.raises(error) as caught:
        Follower().take(ServerSentEvent("end", f'{{"status": "{status}"}}'))
    assert caught.value.code == code
