"""What `help` and editors show of the clients' methods."""

from __future__ import annotations

import inspect
import pydoc

import pytest

from paraqueue import AsyncClient, Client, operations
from paraqueue.options import SubmitOptions

METHODS = [name for name, value in vars(Client).items() if inspect.isfunction(value) and not name.startswith("_")]


def test_both_clients_have_the_same_methods() -> None:
    names = {name for name, value in vars(AsyncClient).items() if inspect.isfunction(value) and name[0] != "_"}
    assert names == set(METHODS)
    assert len(METHODS) > 40


@pytest.mark.parametrize("name", METHODS)
def test_signatures_are_those_to_call(name: str) -> None:
    for kind in (Client, AsyncClient):
        method = getattr(kind, name)
        signature = inspect.signature(method)
        assert next(iter(signature.parameters)) == "self"
        assert "Operation" not in str(signature.return_annotation)
        assert (method.__name__, method.__qualname__) == (name, f"{kind.__name__}.{name}")
        assert method.__doc__
    assert inspect.iscoroutinefunction(getattr(AsyncClient, name)) is (name not in {"list", "sentences"})
    mine, other = inspect.signature(getattr(Client, name)), inspect.signature(getattr(AsyncClient, name))
    assert list(mine.parameters) == list(other.parameters)


def test_a_bound_method_takes_what_the_operation_takes() -> None:
    with Client("http://127.0.0.1:9", "pq_live_x") as client:
        bound = inspect.signature(client.submit)
    own = [name for name in inspect.signature(operations.submit).parameters if name != "options"]
    assert list(bound.parameters) == [*own, *SubmitOptions.__annotations__]
    assert bound.return_annotation == "Transcription"
    assert bound.parameters["source"].annotation == "AudioSource"


def test_an_option_that_does_not_exist_is_refused_as_by_any_call() -> None:
    for submit in (Client.submit, Client.transcribe):
        with Client("http://127.0.0.1:9", "pq_live_x") as client, pytest.raises(TypeError, match="no option 'colour'"):
            submit(client, "https://files.example.com/a.mp3", colour="red")  # type: ignore[call-arg]


def test_help_shows_signature_and_text() -> None:
    shown = pydoc.render_doc(Client.wait, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert "wait(self, id: 'str', *, timeout: 'float | None' = None" in shown
    assert "Raises WaitedTooLong" in shown
