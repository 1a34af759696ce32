"""Calls of the API as examples of its OpenAPI document: what really went over the wire, without what differs each time.

Ids, times, addresses and secrets are replaced, by kind, with constants, so that two recordings are the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from api.ops.openapi import operations
from tests.api.api_cases import Api

SHOWN_URL = "https://speech.example.com"
SHOWN_FILE = "(the bytes of the file)"
ID = re.compile(r"\b(tr|wh|dl|batch|up|key|voc|shr|tpl)_([0-9a-f]{32})\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
TIMES = {
    "created_at": "2026-01-05T09:00:00Z",
    "updated_at": "2026-01-05T09:00:00Z",
    "started_at": "2026-01-05T09:00:02Z",
    "ended_at": "2026-01-05T09:00:41Z",
    "finished_at": "2026-01-05T09:00:41Z",
    "edited_at": "2026-01-05T09:30:00Z",
    "last_attempt_at": "2026-01-05T09:00:42Z",
    "next_attempt_at": "2026-01-05T09:00:43Z",
    "delivered_at": "2026-01-05T09:00:43Z",
    "last_used_at": "2026-01-05T09:00:00Z",
    "from": "2026-01-01T00:00:00Z",
    "since": "2026-01-05T00:00:00Z",
    "start": "2026-01-01T00:00:00Z",
    "end": "2026-01-06T00:00:00Z",
    "expires_at": "2026-01-12T09:00:00Z",
    "audio_expires_at": "2026-01-12T09:00:41Z",
    "audio_deleted_at": "2026-01-12T09:00:41Z",
    "transcript_expires_at": "2026-02-04T09:00:41Z",
    "transcript_deleted_at": "2026-02-04T09:00:41Z",
    "previous_until": "2026-01-06T09:00:00Z",
    "previous_secret_until": "2026-01-06T09:00:00Z",
}
# Values that are random or depend on the moment, by the name of their field.
CONSTANTS: dict[str, Any] = {
    "key": "pq_live_EXAMPLE",
    "hint": "pq_live_EXAM",
    "secret": "whsec_RVhBTVBMRUVYQU1QTEVFWEFNUExFRVhBTVBMRQ==",
    "csrf_token": "EXAMPLE",
    "eta_seconds": 39,
    "queue_position": 1,
    "created": 1767603600,
    "Upload-Expires": "Mon, 12 Jan 2026 09:00:00 GMT",
}
SHARE_TOKEN = re.compile(r"pq_share_[\w-]{43}")
PRESIGNED = re.compile(r"http://[^\"\s]*X-Amz-[^\"\s]*")
SHOWN_PRESIGNED = "https://bucket.example.com/audio/0197f3c2a1b07c3e8d5e4f6071829300/upload?X-Amz-Signature=EXAMPLE"


@dataclass
class Recorder:
    """Makes calls and keeps, of the first call of each operation, what an example shows."""

    api: Api
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        document = self.api.app.openapi()
        self._operations = {(method, path): call for path, method, call in operations(document)}

    def call(
        self,
        method: str,
        template: str,
        *,
        path: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
        form: dict[str, Any] | None = None,
        file: tuple[str, bytes] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Make a call to a documented path, with `body` as JSON, or a form, and record it. It must succeed."""
        response = self.api.client.request(
            method,
            template.format_map(path or {}),
            params=query,
            headers=headers,
            json=body,
            data=form,
            files={"file": file} if file else None,
            content=content,
        )
        assert response.is_success, response.text
        operation = self._operations[method.lower(), template]
        documented = {item["name"] for item in operation.get("parameters", [])}
        given = {**(path or {}), **(query or {}), **(headers or {})}
        example: dict[str, Any] = {
            "parameters": {name: self._plain(value, name) for name, value in given.items() if name in documented}
        }
        if body is not None:
            example |= {"body_type": "application/json", "body": self._plain(body)}
        elif file is not None:
            example |= {"body_type": "multipart/form-data", "body": {"file": SHOWN_FILE, **(form or {})}}
        example["status"] = response.status_code
        example |= self._shown(operation["responses"][str(response.status_code)], response)
        self.recorded.setdefault(operation["operationId"], example)
        return response

    def _shown(self, documented: dict[str, Any], response: httpx.Response) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        kind = response.headers.get("content-type", "").partition(";")[0]
        if kind == "application/json" and response.content:
            shown = {"response_type": kind, "response": self._plain(response.json())}
        elif kind.startswith("text/"):
            shown = {"response_type": kind, "response": self._lines(response.text)}
        headers = {
            name: int(response.headers[name])
            if header["schema"]["type"] == "integer"
            else self._plain(response.headers[name], name)
            for name, header in documented.get("headers", {}).items()
            if name in response.headers
        }
        return shown | ({"headers": headers} if headers else {})

    def _lines(self, text: str) -> str:
        """Return a text, with JSON after `data: ` as that of events."""
        lines = []
        for line in text.split("\n"):
            name, separator, value = line.partition("data: ")
            if separator and not name:
                line = separator + json.dumps(self._plain(json.loads(value)), ensure_ascii=False)
            lines.append(line)
        return "\n".join(lines)

    def _plain(self, value: Any, name: str = "") -> Any:
        """Return a value without what differs from one recording to the next."""
        if isinstance(value, dict):
            return {inner: self._plain(item, inner) for inner, item in value.items()}
        if isinstance(value, list):
            return [self._plain(item, name) for item in value]
        if value is not None and name in CONSTANTS and type(value) is type(CONSTANTS[name]):
            return CONSTANTS[name]
        if not isinstance(value, str):
            return value
        if TIME.fullmatch(value):
            return TIMES[name]
        value = PRESIGNED.sub(SHOWN_PRESIGNED, value)
        value = SHARE_TOKEN.sub("pq_share_EXAMPLE", value)
        value = value.replace(str(self.api.client.base_url).rstrip("/"), SHOWN_URL)
        return ID.sub(lambda match: f"{match[1]}_{self._id(match[2])}", value)

    def _id(self, digits: str) -> str:
        return self._ids.setdefault(digits, f"0197f3c2a1b07c3e8d5e4f60718293{len(self._ids):02x}")
