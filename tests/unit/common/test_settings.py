"""Settings whose variable is a comma-separated list, and variables that are no settings."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from common.errors import ConfigurationError
from common.settings import Settings, UnknownSetting, load_settings, unknown_settings
from common.settings.types import revealed, written
from common.settings.unknown import OTHER_PROGRAMS
from paraqueue.config import FILE_VARIABLE, KEY_VARIABLE, URL_VARIABLE

FIRST, SECOND = (base64.b64encode(bytes([number]) * 32).decode() for number in (255, 2))
SIGNING = "whsec_" + base64.b64encode(bytes(24)).decode()


def test_secrets_are_a_list_that_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAQUEUE_SECRET_KEY", f"{FIRST}, {SECOND}")
    monkeypatch.setenv("PARAQUEUE_WEBHOOK_SECRET", SIGNING)
    settings = load_settings()
    assert revealed(settings.secret_key) == (FIRST.replace("/", "_").replace("+", "-"), SECOND)
    assert revealed(settings.webhook_secret) == (SIGNING,)
    assert FIRST not in repr(settings)
    assert SIGNING not in repr(settings)
    assert written(settings.webhook_secret) == SIGNING


@pytest.mark.parametrize("value", [None, "", SecretStr(""), ()])
def test_no_secret_is_an_empty_list(value: Any) -> None:
    assert Settings(secret_key=value).secret_key == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [("secret_key", "AAAA"), ("secret_key", f"{FIRST},AAAA"), ("webhook_secret", FIRST), ("webhook_secret", "whsec_A")],
)
def test_an_invalid_secret_is_named_but_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PARAQUEUE_{name.upper()}", value)
    with pytest.raises(ConfigurationError, match=f"PARAQUEUE_{name.upper()}: .*must be") as caught:
        load_settings()
    assert value not in caught.value.message


@pytest.mark.parametrize(
    ("value", "hubs"),
    [
        ("local", ()),
        ("modelscope", ("modelscope",)),
        ("huggingface, modelscope", ("huggingface", "modelscope")),
    ],
)
def test_hubs_in_the_order_of_the_list(value: str, hubs: tuple[str, ...]) -> None:
    assert Settings(model_source=value).model_hubs == hubs


@pytest.mark.parametrize("value", ["", "local,modelscope", "modelscope,modelscope", "elsewhere"])
def test_other_lists_of_hubs_are_invalid(value: str) -> None:
    with pytest.raises(ValidationError, match="is not `local`"):
        Settings(model_source=value)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("PARAQUEUE_MODLE", "PARAQUEUE_MODEL"),
        ("PARAQUEUE_WORKERS_SLOTS", "PARAQUEUE_WORKER_SLOTS"),
        ("PARAQUEUE_S3_ENDPOINT", "PARAQUEUE_S3_ENDPOINT_URL"),
        ("paraqueue_max_upload_size", "PARAQUEUE_MAX_UPLOAD_BYTES"),
        ("PARAQUEUE_XYZZY", None),
        ("PARAQUEUE_", None),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest_one(variable: str, nearest: str | None) -> None:
    assert unknown_settings({"PATH": "/bin", variable: "x"}) == [UnknownSetting(variable, nearest)]


def test_every_setting_in_either_case_is_known() -> None:
    names = [f"PARAQUEUE_{name.upper()}" for name in Settings.model_fields]
    assert unknown_settings(dict.fromkeys([*names, *map(str.lower, names), "PATH", "XPARAQUEUE_MODLE"], "x")) == []


def test_variables_of_the_client_and_the_local_stack_are_expected() -> None:
    assert {URL_VARIABLE, KEY_VARIABLE, FILE_VARIABLE} < OTHER_PROGRAMS
    assert unknown_settings(dict.fromkeys(OTHER_PROGRAMS, "x")) == []
