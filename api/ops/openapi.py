"""The OpenAPI document: FastAPI's, with what FastAPI does not know of our routes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from api.auth import gate, visitors
from api.http import error_responses
from api.http.openai_errors import OpenAIErrorOut
from api.http.problems import Problem
from api.transcriptions.submitting.options import SubmitFile, SubmitLink, SubmitLinks, SubmitUpload

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of your identity provider."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
OF_VISITORS = {"share": {"type": "http", "scheme": "bearer", "description": "The token of a share link."}}
TAGS = [
    {"name": "transcriptions", "description": "Submit audio, follow it, read and correct the transcript."},
    {"name": "batches", "description": "Many links in one request."},
    {"name": "uploads", "description": "Large files: resumable with tus 1.0, or directly to the object store."},
    {"name": "OpenAI-compatible", "description": "For OpenAI's SDKs."},
    {"name": "shares", "description": "Links with which people without a key read one transcript."},
    {"name": "summaries", "description": "Summaries of transcripts by a language model, if the operator has set one."},
    {"name": "vocabularies", "description": "Hotwords and masked words that many transcriptions share."},
    {
        "name": "webhooks",
        "description": "Endpoints that receive a signed POST when a job ends, and their deliveries.",
    },
    {"name": "models", "description": "What this installation can transcribe with."},
    {"name": "keys", "description": "API keys, and the limits of tenants."},
    {"name": "usage", "description": "Transcribed audio by key, tag, day or model."},
    {"name": "session", "description": "The caller, and sessions of browsers."},
    {"name": "health", "description": "For load balancers and monitoring; without authentication."},
]
# Schemas that routes refer to by name, because they read their bodies and make their errors themselves.
NAMED = (Problem, OpenAIErrorOut, SubmitLink, SubmitUpload, SubmitLinks, SubmitFile)
# Recorded by tests/api/test_openapi_examples.py from the API's own responses.
EXAMPLES = Path(__file__).with_name("openapi_examples.json")


def operation_id(route: APIRoute) -> str:
    """Return `listBatches` for `list_batches`. Clients are generated from these ids: a function's name is public."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def describe(app: FastAPI) -> None:
    """Make the app's document complete: authentication, errors by status, and an example for each operation."""
    made_by_fastapi = app.openapi

    def document() -> dict[str, Any]:
        return app.openapi_schema or _complete(made_by_fastapi())

    app.openapi = document  # type: ignore[method-assign]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method in lower case, and operation."""
    for path, calls in document["paths"].items():
        for method, operation in calls.items():
            yield path, method, operation


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components["securitySchemes"] = SECURITY | OF_VISITORS
    _, named = models_json_schema(
        [(model, "validation") for model in NAMED], ref_template="#/components/schemas/{model}"
    )
    components["schemas"] = dict(sorted((components["schemas"] | named["$defs"]).items()))
    for path, _, operation in operations(document):
        guarded = gate.guarded(path)
        by_visitors = visitors.visited(path)
        schemes = OF_VISITORS if by_visitors else SECURITY if guarded else {}
        operation["security"] = [{name: []} for name in schemes]
        error_responses.complete(operation, path=path, guarded=guarded, by_visitors=by_visitors)
        if example := _examples().get(operation["operationId"]):
            _show(operation, example)
    return document


@cache
def _examples() -> dict[str, Any]:
    examples: dict[str, Any] = json.loads(EXAMPLES.read_text("utf-8"))
    return examples


def _show(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """Add a recorded call: its parameters, its body, and the response."""
    for parameter in operation.get("parameters", []):
        if parameter["name"] in example["parameters"]:
            parameter["example"] = example["parameters"][parameter["name"]]
    if "body" in example:
        operation["requestBody"]["content"][example["body_type"]]["example"] = example["body"]
    response = operation["responses"][str(example["status"])]
    if "response" in example:
        response["content"][example["response_type"]]["example"] = example["response"]
    for name, value in example.get("headers", {}).items():
        response["headers"][name]["example"] = value
