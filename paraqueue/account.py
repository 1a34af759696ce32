"""Operations on the installation and its keys (see `paraqueue.exchange`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from paraqueue.exchange import Operation, Send, given, moment, request

if TYPE_CHECKING:
    from paraqueue.models import Model, Usage


def models() -> Operation[tuple[Model, ...]]:
    """The models of the installation."""
    from paraqueue.models import Model

    answer = yield from request(Send("GET", "/v1/models"))
    return tuple(Model.model_validate(item) for item in answer.json()["data"])


def usage(
    *, group_by: Sequence[str] = ("day",), start: datetime | str | None = None, end: datetime | str | None = None
) -> Operation[Usage]:
    """Jobs, audio minutes and failures by `key`, `tag`, `day` (in UTC) or `model`; by default, of this month.

    `start` is inclusive, `end` is not; a datetime without a time zone is local time.
    """
    from paraqueue.models import Usage

    params = given(**{"group_by": ",".join(group_by), "from": moment(start), "to": moment(end)})
    answer = yield from request(Send("GET", "/v1/usage", params))
    return Usage.model_validate_json(answer.content)


def keys() -> Operation[list[dict[str, Any]]]:
    """The API keys, without their secrets. For keys with the scope `admin`."""
    answer = yield from request(Send("GET", "/v1/keys"))
    return list(answer.json()["data"])


def create_key(name: str, *, scopes: Sequence[str] = ("submit", "read")) -> Operation[dict[str, Any]]:
    """Create an API key; `key` in the response is shown only once. For keys with the scope `admin`."""
    body = {"name": name, "scopes": list(scopes)}
    answer = yield from request(Send("POST", "/v1/keys", json=body), safe=False)
    return dict(answer.json())


def rotate_key(id: str) -> Operation[dict[str, Any]]:
    """Create a new secret for an API key; `key` in the response is shown only once; the old one works for a day."""
    return dict((yield from request(Send("POST", f"/v1/keys/{id}/rotate"), safe=False)).json())


def revoke_key(id: str) -> Operation[None]:
    """Revoke an API key. For keys with the scope `admin`."""
    yield from request(Send("DELETE", f"/v1/keys/{id}"))
