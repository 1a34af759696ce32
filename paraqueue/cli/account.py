"""Commands for API keys and for the client's configuration."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from paraqueue import config
from paraqueue.cli import exits, show
from paraqueue.cli.confirming import Yes, confirm

keys = typer.Typer(no_args_is_help=True, help="API keys (needs a key with the scope admin).")
settings = typer.Typer(no_args_is_help=True, help="Settings that this command stores about the service.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID")]


@keys.command("list")
def keys_list(json: Json = False) -> None:
    """List API keys."""
    with exits.connected() as client:
        keys = client.keys()
        if json:
            show.as_json(keys)
        else:
            show.table(("name", "id", "tenant", "scopes", "last_used_at", "expires_at"), keys)


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="A name that says what the key is for.")],
    scope: Annotated[list[str] | None, typer.Option("--scope", help="submit, read or admin; repeatable.")] = None,
    json: Json = False,
) -> None:
    """Make an API key; it is printed this once."""
    with exits.connected() as client:
        made = client.create_key(name, scopes=scope or ["submit", "read"])
        show.as_json(made) if json else print(made["key"])


@keys.command("rotate")
def keys_rotate(id: KeyId, json: Json = False) -> None:
    """Make a new secret for an API key; it is printed this once, the old one works for a day."""
    with exits.connected() as client:
        made = client.rotate_key(id)
        show.as_json(made) if json else print(made["key"])


@keys.command("revoke")
def keys_revoke(id: KeyId, yes: Yes = False) -> None:
    """End an API key."""
    confirm(f"Revoke {id} and all keys made with it?", yes)
    with exits.connected() as client:
        client.revoke_key(id)
        print(f"{id} revoked")


@settings.command("show")
def config_show() -> None:
    """Show where the service is taken to be; the key itself is not shown."""
    with exits.reported():
        now = config.load_config()
        path = config.config_file()
        print(f"url       {now.url}\napi_key   {'set' if now.api_key else 'not set'}\nprofile   {now.profile or '–'}")
        print(f"profiles  {', '.join(sorted(config.read_profiles(path))) or '–'}\nfile      {path}")


@settings.command("set")
def config_set(
    name: Annotated[str, typer.Argument(help="url or api_key.")],
    value: Annotated[str, typer.Argument(help="The value; - reads it from standard input.")],
) -> None:
    """Keep a setting in the configuration file, which only you can read; with --profile, in that profile."""
    with exits.reported():
        given = sys.stdin.readline().strip() if value == "-" else value
        config.change_file(config.config_file(), name, given, os.environ.get(config.PROFILE_VARIABLE) or None)
