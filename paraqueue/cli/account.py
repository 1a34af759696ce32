"""Commands for API keys and for the client's configuration."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from paraqueue import config
from paraqueue.cli import exits, show
from paraqueue.client import Client
from paraqueue.errors import ConfigurationError

keys = typer.Typer(no_args_is_help=True, help="API keys (needs a key with the scope admin).")
settings = typer.Typer(no_args_is_help=True, help="What this command keeps about the service.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID")]


@keys.command("list")
def keys_list(json: Json = False) -> None:
    """List API keys."""
    with exits.reported(), Client() as client:
        found = client.keys()
        if json:
            show.as_json(found)
        else:
            show.rows(found, ("id", "name", "tenant", "scopes", "last_used_at", "expires_at"))


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option("--scope", help="submit, read, admin; several times.")] = None,
    json: Json = False,
) -> None:
    """Make an API key; it is printed this once."""
    with exits.reported(), Client() as client:
        made = client.create_key(name, scopes=scope or ["submit", "read"])
        show.as_json(made) if json else print(made["key"])


@keys.command("rotate")
def keys_rotate(id: KeyId, json: Json = False) -> None:
    """Make a new secret for an API key; it is printed this once, the old one works for a day."""
    with exits.reported(), Client() as client:
        made = client.rotate_key(id)
        show.as_json(made) if json else print(made["key"])


@keys.command("revoke")
def keys_revoke(id: KeyId) -> None:
    """End an API key."""
    with exits.reported(), Client() as client:
        client.revoke_key(id)
        print(f"{id} revoked")


@settings.command("show")
def config_show() -> None:
    """Show where the service is taken to be; the key itself is not shown."""
    with exits.reported():
        now = config.load_config()
        print(f"url      {now.url}\napi_key  {'set' if now.api_key else 'not set'}\nfile     {config.config_file()}")


@settings.command("set")
def config_set(
    name: Annotated[str, typer.Argument(help="url or api_key.")],
    value: Annotated[str, typer.Argument(help="Its value; - reads it from standard input.")],
) -> None:
    """Keep a setting in the configuration file, which only you can read."""
    with exits.reported():
        if name not in config.KNOWN:
            raise ConfigurationError(f"there is no setting {name!r}; there are: {', '.join(config.KNOWN)}")
        given = sys.stdin.readline().strip() if value == "-" else value
        path = config.config_file()
        config.write_file(path, config.read_file(path) | {name: given})
