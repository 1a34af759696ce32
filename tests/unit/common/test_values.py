"""Ids, states, errors, settings and progress: what needs no server."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import errors, ids
from common.errors import ConfigurationError, NotFound, ParaqueueError
from common.job_states import TERMINAL, TRANSITIONS, Status, sources_of
from common.jobs.job import Job, Source
from common.settings import Settings, load_settings


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = [ids.new_id() for _ in range(1000)]
    assert made == sorted(made)
    assert {one.version for one in made} == {7}


@given(st.uuids())
def test_shown_ids_are_parsed_back(value: uuid.UUID) -> None:
    assert ids.parsed(ids.JOB, ids.shown(ids.JOB, value)) == value


ONE = ids.shown(ids.JOB, uuid.UUID(int=7))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tr",
        "tr_",
        "up_" + ONE[3:],
        ONE[3:],
        ONE + "0",
        ONE[:-1],
        f"tr_{'g' * 32}",
        f" {ONE}",
        f"tr_+{ONE[4:]}",
        f"tr_{'_'.join(['0'] * 16)}7",
        f"tr_{uuid.UUID(int=7)}",
        "tr_" + "０" * 31 + "7",
    ],
)
def test_only_the_form_that_was_given_out_is_an_id(text: str) -> None:
    with pytest.raises(NotFound):
        ids.parsed(ids.JOB, text)


@given(st.text(max_size=50))
def test_no_text_is_a_crash(text: str) -> None:
    with contextlib.suppress(NotFound):
        assert ids.shown("tr", ids.parsed("tr", f"tr_{text}")) == f"tr_{text}"


def test_terminal_states_are_left_by_retry_only() -> None:
    for status in TERMINAL:
        assert TRANSITIONS[status] <= {Status.QUEUED}
    assert TRANSITIONS[Status.COMPLETED] == frozenset()
    assert sources_of(Status.QUEUED, retry=True) == {Status.FAILED, Status.CANCELED}
    assert sources_of(Status.QUEUED) == {Status.PROCESSING}
    assert sources_of(Status.PROCESSING) == {Status.QUEUED}
    assert set(TRANSITIONS) == set(Status)


def test_error_codes_are_unique_and_documented() -> None:
    family = errors.all_errors()
    codes = [error.code for error in family]
    assert len(codes) == len(set(codes)) > 20
    for error in family:
        assert error.__doc__
        assert error("why").message == "why"
        assert issubclass(error, ParaqueueError)


def job(**changes: Any) -> Job:
    values: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__)
    values |= {
        "id": uuid.UUID(int=1),
        "created_at": datetime.now(UTC),
        "status": Status.PROCESSING,
        "source": Source("upload", None, None, None, None, None),
        "processed_ms": 0,
    }
    return Job(**values | changes)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"declared_ms": None, "processed_ms": 5}, None),
        ({"declared_ms": 1000, "processed_ms": 250}, 0.25),
        ({"declared_ms": 1000, "processed_ms": 1000}, 1.0),
        ({"declared_ms": 1000, "processed_ms": 1001}, None),
        ({"declared_ms": 0, "processed_ms": 5}, None),
        ({"declared_ms": 1000, "audio_ms": 500, "processed_ms": 250}, 0.5),
        ({"status": Status.COMPLETED, "declared_ms": 10, "processed_ms": 500}, 1.0),
    ],
)
def test_progress(changes: dict[str, Any], wanted: float | None) -> None:
    assert job(**changes).progress == wanted


@given(st.none() | st.integers(0, 10**9), st.none() | st.integers(0, 10**9), st.integers(0, 10**9))
def test_progress_is_never_above_one(declared: int | None, total: int | None, done: int) -> None:
    progress = job(declared_ms=declared, audio_ms=total, processed_ms=done).progress
    assert progress is None or 0 <= progress <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hush@host/db"),
        ("STORAGE_URL", "ftp://hush"),
        ("PORT", "hush"),
        ("WORKER_SLOTS", "0"),
        ("LEASE_SECONDS", "-1"),
        ("LOG_LEVEL", "hush"),
        ("FETCH_ALLOWED_PRIVATE", "10.0.0.0/99"),
    ],
)
def test_a_wrong_variable_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"PARAQUEUE_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert f"PARAQUEUE_{name}:" in caught.value.message
    assert "hush" not in caught.value.message
    assert "\n" not in caught.value.message


def test_settings_read_the_environment_and_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAQUEUE_DATABASE_URL", "postgres://u:hush@h/d")
    monkeypatch.setenv("PARAQUEUE_FETCH_ALLOWED_PRIVATE", " Media.Example, 10.20.0.0/16 ,")
    monkeypatch.setenv("PARAQUEUE_MAX_AUDIO_HOURS", "0.5")
    settings = load_settings()
    assert settings.sqlalchemy_url == "postgresql+psycopg://u:hush@h/d"
    assert settings.fetch_allowed_private == ("media.example", "10.20.0.0/16")
    assert settings.fetch_ports == (range(80, 81), range(443, 444))
    assert settings.max_audio_ms == 1_800_000
    assert "hush" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_ports_of_links_are_numbers_and_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARAQUEUE_FETCH_PORTS", "443, 8000-8999")
    assert load_settings().fetch_ports == (range(443, 444), range(8000, 9000))
    for wrong in ("", "http", "0", "65536", "9000-8000", "80-", "80;443"):
        monkeypatch.setenv("PARAQUEUE_FETCH_PORTS", wrong)
        with pytest.raises(ConfigurationError, match="PARAQUEUE_FETCH_PORTS"):
            load_settings()


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
