"""Operations on share links: people without a key read one transcript with them (see `paraqueue.exchange`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paraqueue.exchange import Operation, Send, given, request
from paraqueue.exports import JOBS

if TYPE_CHECKING:
    from paraqueue.models import Share


def share(id: str, *, expires_in_days: float | None = None, audio: bool = False) -> Operation[Share]:
    """Create a link to a completed transcript; `url` in the response is shown only once.

    With `audio`, visitors may also hear the recording. The service chooses the lifetime if it is None. Raises NotFound,
    ApiError (`not_ready`, `sharing_off`, `too_many_shares`).
    """
    from paraqueue.models import Share

    body = given(expires_in_days=expires_in_days) | {"audio": audio}
    answer = yield from request(Send("POST", f"{JOBS}/{id}/shares", json=body), safe=False)
    return Share.model_validate_json(answer.content)


def shares(id: str) -> Operation[tuple[Share, ...]]:
    """The links to a transcript that work, newest first, without their tokens. Raises NotFound."""
    from paraqueue.models import Share

    answer = yield from request(Send("GET", f"{JOBS}/{id}/shares"))
    return tuple(Share.model_validate(item) for item in answer.json()["data"])


def revoke_share(id: str, share_id: str) -> Operation[None]:
    """End a link at once. Raises NotFound."""
    yield from request(Send("DELETE", f"{JOBS}/{id}/shares/{share_id}"), safe=False)
