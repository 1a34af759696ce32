"""The name and the tags of a transcription."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from paraqueue.answers import transcription_in
from paraqueue.exchange import Operation, Send, request
from paraqueue.exports import JOBS

if TYPE_CHECKING:
    from paraqueue.models import Transcription


def update(
    id: str,
    *,
    name: str | EllipsisType | None = ...,
    tags: Sequence[str] | None = None,
    add_tags: Sequence[str] = (),
    remove_tags: Sequence[str] = (),
) -> Operation[Transcription]:
    """Rename a transcription (`name=None` restores the name of the recording) or change its tags, in any state.

    `tags` replaces all of them. `add_tags` and `remove_tags` leave the others as they are, also if somebody else
    changes them at the same time. Raises NotFound, ApiError (`invalid_request`).
    """
    body: dict[str, Any] = {} if isinstance(name, EllipsisType) else {"name": name}
    if tags is not None:
        body["tags"] = list(tags)
    body |= {key: list(value) for key, value in (("add_tags", add_tags), ("remove_tags", remove_tags)) if value}
    return transcription_in((yield from request(Send("PATCH", f"{JOBS}/{id}", json=body))))
