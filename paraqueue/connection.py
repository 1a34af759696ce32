"""What both clients have in common: the connection to a service, and methods made of operations."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, Union

from paraqueue.config import Config, load_config
from paraqueue.errors import ConfigurationError
from paraqueue.exchange import Send
from paraqueue.options import SubmitOptions

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")
# A chunk of an upload may be slow on a slow connection; silence may not last longer than this.
TIMEOUT_SECONDS = 60.0
CONNECT_SECONDS = 10.0
CA = Union[str, os.PathLike[str], "ssl.SSLContext"]


class Connection:
    """What both clients have in common: where the service is, and how patiently it is asked."""

    def __init__(self, url: str | None, api_key: str | None, profile: str | None, max_retries: int) -> None:
        if max_retries < 0:
            raise ConfigurationError("`max_retries` is negative")
        self.config: Config = load_config(url=url, api_key=api_key, profile=profile)
        self.max_retries = max_retries

    def headers_with(self, more: dict[str, str]) -> dict[str, str]:
        """Return headers with the API key."""
        key = self.config.api_key
        return ({"Authorization": f"Bearer {key}"} if key else {}) | more

    def request_of(self, client: httpx.Client | httpx.AsyncClient, send: Send) -> httpx.Request:
        """Return the request that an operation wants to be sent."""
        extra: dict[str, Any] = {} if send.timeout is None else {"timeout": send.timeout}
        return client.build_request(
            send.method,
            self.config.url + send.path,
            params=dict(send.params),
            headers=self.headers_with(dict(send.headers)),
            json=send.json,
            content=send.content,
            **extra,
        )


def client_options(timeout: float | httpx.Timeout | None, ca: CA | None) -> dict[str, Any]:
    """Return the arguments of a client of our own."""
    import ssl

    import httpx

    if timeout is None:
        timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
    if ca is None:
        return {"timeout": timeout}
    try:
        trusted = ca if isinstance(ca, ssl.SSLContext) else ssl.create_default_context(cafile=os.fspath(ca))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{ca} is not a file of CA certificates: {error}") from None
    return {"timeout": timeout, "verify": trusted}


def check_only(http_client: object, timeout: object, ca: object) -> None:
    """Raise ConfigurationError if a client of the caller's own comes with options that it cannot take."""
    if http_client is not None and (timeout is not None or ca is not None):
        raise ConfigurationError("set `timeout` and `ca` in the `http_client` that you pass")


def documented(method: T, operation: Callable[..., Any], client: str) -> T:
    """Give a method the name, documentation and signature under which `help` and editors show it."""
    signature = inspect.signature(operation)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for parameter in signature.parameters.values():
        parameters += _options() if parameter.kind is inspect.Parameter.VAR_KEYWORD else [parameter]
    result = str(signature.return_annotation).removeprefix("Operation[").removesuffix("]")
    shown: Any = method
    shown.__name__ = operation.__name__
    shown.__qualname__ = f"{client}.{operation.__name__}"
    shown.__doc__ = operation.__doc__
    shown.__signature__ = signature.replace(parameters=parameters, return_annotation=result)
    return method


def _options() -> list[inspect.Parameter]:
    """The options of a submission, one by one, where an operation takes them as keyword arguments."""
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint.__forward_arg__)
        for name, hint in SubmitOptions.__annotations__.items()
    ]
