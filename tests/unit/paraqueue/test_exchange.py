"""When a request is sent again, without a network: the operation is driven by hand."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from paraqueue.errors import ApiError, AuthenticationFailed, ConnectionFailed, NotFound
from paraqueue.exchange import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MAX_RETRIES,
    Effect,
    Operation,
    Pause,
    Send,
    Tries,
    idempotent,
    reach,
    request,
)
from paraqueue.reading import audio

GET = Send("GET", "/x")
TRIES = 1 + MAX_RETRIES
PROBLEM = {"code": "unavailable", "detail": "the database is away", "retryable": True, "request_id": "r1"}


def answer(status: int, json: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=json, headers={name.replace("_", "-"): value for name, value in headers.items()})


def drive(
    operation: Operation[Any], *results: httpx.Response | Exception, tries: int = TRIES
) -> tuple[Any, list[Effect]]:
    """Give the results of one request after the other; what the operation returned, and all it asked for."""
    waiting = list(results)
    effects: list[Effect] = []
    effect = next(operation)
    while True:
        if not isinstance(effect, Tries):
            effects.append(effect)
        try:
            if isinstance(effect, Tries):
                effect = operation.send(tries)
            elif isinstance(effect, Pause):
                effect = operation.send(None)
            elif isinstance(result := waiting.pop(0), Exception):
                effect = operation.throw(result)
            else:
                effect = operation.send(result)
        except StopIteration as stop:
            assert not waiting, "it did not send all that was expected"
            return stop.value, effects


def pauses(effects: list[Effect]) -> list[float]:
    return [effect.seconds for effect in effects if isinstance(effect, Pause)]


def test_success_is_sent_once() -> None:
    response, effects = drive(request(GET), answer(200))
    assert response.status_code == 200
    assert effects == [GET]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    response, effects = drive(request(GET), answer(status, PROBLEM), answer(200))
    assert response.status_code == 200
    assert len(pauses(effects)) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ApiError), (401, AuthenticationFailed), (403, AuthenticationFailed), (404, NotFound)]
)
def test_what_stays_wrong_is_raised_at_once(status: int, kind: type[ApiError]) -> None:
    with pytest.raises(kind) as raised:
        drive(request(GET), answer(status, {"code": "no", "detail": "not so", "request_id": "r9"}))
    assert (raised.value.status, raised.value.code, raised.value.request_id) == (status, "no", "r9")


def test_an_answer_that_is_no_problem_document_is_still_an_error() -> None:
    with pytest.raises(ApiError, match="the service answered 418") as raised:
        drive(request(GET), httpx.Response(418, text="<html>"))
    assert raised.value.code == "http_418"


def test_it_ends_after_all_tries() -> None:
    with pytest.raises(ApiError, match="the database is away"):
        drive(request(GET), *[answer(503, PROBLEM)] * TRIES)
    with pytest.raises(ConnectionFailed, match="refused"):
        drive(request(GET), *[httpx.ConnectError("refused")] * TRIES)


def test_pauses_grow_and_differ() -> None:
    _, first = drive(request(GET), *[answer(500)] * (TRIES - 1), answer(200))
    _, second = drive(request(GET), *[answer(500)] * (TRIES - 1), answer(200))
    assert all(later > earlier / 2 for earlier, later in zip(pauses(first), pauses(first)[1:], strict=False))
    assert pauses(first)[-1] > 4 * pauses(first)[0]
    assert pauses(first) != pauses(second)
    assert max(pauses(first)) <= LONGEST_PAUSE_SECONDS


def test_retry_after_is_kept() -> None:
    _, effects = drive(request(GET), answer(429, PROBLEM, Retry_After="7"), answer(200))
    assert pauses(effects) == [7.0]
    dated = {"Date": "Sun, 22 Nov 2026 20:00:00 GMT", "Retry-After": "Sun, 22 Nov 2026 20:00:09 GMT"}
    _, effects = drive(request(GET), httpx.Response(503, headers=dated), answer(200))
    assert pauses(effects) == [9.0]


@pytest.mark.parametrize("asked", ["3600", "inf", "1e99"])
@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (429, PROBLEM),
        (500, {}),
        (503, PROBLEM),
        (503, {"code": "maintenance"}),
        (409, {"code": "idempotency_key_in_use"}),
    ],
)
def test_a_limit_for_hours_is_told_and_not_waited_for(status: int, problem: dict[str, Any], asked: str) -> None:
    with pytest.raises(ApiError):
        drive(request(GET), answer(status, problem, Retry_After=asked))


def test_a_retry_after_that_cannot_be_read_is_ignored() -> None:
    for value in ("soon", "nan", "Sun, 22 Nov 2026 20:00:09 -0000"):
        dated = {"Date": "Sun, 22 Nov 2026 20:00:00 GMT", "Retry-After": value}
        _, effects = drive(request(GET), httpx.Response(503, headers=dated), answer(200))
        assert 0 <= pauses(effects)[0] <= FIRST_PAUSE_SECONDS


def test_audio_that_is_being_converted_is_asked_for_at_least_twice_a_minute() -> None:
    preparing = answer(202, {"status": "preparing"}, Retry_After="86400")
    content, effects = drive(audio("tr_0", timeout=None), preparing, httpx.Response(200, content=b"audio"))
    assert (content, pauses(effects)) == (b"audio", [LONGEST_PAUSE_SECONDS])
    _, effects = drive(audio("tr_0", timeout=5), preparing, httpx.Response(200, content=b"audio"))
    assert 0 < pauses(effects)[0] <= 5


def test_an_unsafe_request_is_sent_again_only_if_it_never_arrived() -> None:
    _, effects = drive(request(GET, safe=False), httpx.ConnectError("refused"), answer(200))
    assert len(effects) == 3
    with pytest.raises(ConnectionFailed):
        drive(request(GET, safe=False), httpx.ReadTimeout("no answer"))
    with pytest.raises(ApiError):
        drive(request(GET, safe=False), answer(500, PROBLEM))


def test_an_idempotent_request_keeps_its_key() -> None:
    busy = answer(409, {"code": "idempotency_key_in_use", "detail": "the first one is still running"})
    _, effects = drive(idempotent(Send("POST", "/x", json={})), httpx.ReadTimeout("no answer"), busy, answer(202))
    keys = [effect.headers["Idempotency-Key"] for effect in effects if isinstance(effect, Send)]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    _, other = drive(idempotent(Send("POST", "/x", json={})), answer(202))
    assert isinstance(other[0], Send)
    assert other[0].headers["Idempotency-Key"] != keys[0]


def test_the_client_says_how_often_to_try() -> None:
    with pytest.raises(ConnectionFailed, match="refused"):
        drive(request(GET), httpx.ConnectError("refused"), tries=1)
    _, effects = drive(request(GET), *[answer(503, PROBLEM)] * 8, answer(200), tries=9)
    assert len(pauses(effects)) == 8


def test_reaching_a_service_is_tried_once_and_any_answer_will_do() -> None:
    with pytest.raises(ConnectionFailed, match="refused"):
        drive(reach(), httpx.ConnectError("refused"))
    for status in (200, 404, 503):
        assert drive(reach(), answer(status)) == (None, [Send("GET", "/health/live", timeout=10.0)])
