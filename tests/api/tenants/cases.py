"""Keys with limits."""

from __future__ import annotations

from typing import Any

import httpx

from common import keys
from common.keys import ALL_SCOPES, ApiKey, NewKey
from tests.api.api_cases import Api


def key_of(api: Api, **more: Any) -> tuple[ApiKey, dict[str, str]]:
    values: dict[str, Any] = {"tenant": "acme", "scopes": ALL_SCOPES}
    key, secret = keys.create(api.database, NewKey("test", **values | more))
    return key, {"Authorization": f"Bearer {secret}"}


def made_by(api: Api, maker: dict[str, str], **fields: Any) -> httpx.Response:
    return api.client.post("/v1/keys", json={"name": "made", **fields}, headers=maker)
