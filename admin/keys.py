"""Commands for API keys. They require no API key, so they can create the first one and be used in scripts."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from admin import shown
from admin.connection import connected, reported
from common import ids, keys
from common.keys import DEFAULT_PRIORITY, ApiKey, NewKey, Scope
from common.models import DEFAULT_TENANT

app = typer.Typer(no_args_is_help=True, help="API keys.")
Id = Annotated[str, typer.Argument(metavar="KEY_ID", help="key_…")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name that says what the key is for.")],
    tenant: Annotated[str, typer.Option(help="Tenant whose jobs the key can access.")] = DEFAULT_TENANT,
    scope: Annotated[list[Scope] | None, typer.Option(help="Repeatable; default: submit and read.")] = None,
    expires_days: Annotated[float | None, typer.Option(min=0, help="Days until the key expires.")] = None,
    max_priority: Annotated[int, typer.Option(min=0, max=9, help="Highest priority of its jobs.")] = DEFAULT_PRIORITY,
) -> None:
    """Make a key. Only the key goes to standard output, so that a script can take it; it is shown this once."""
    scopes = frozenset(scope) if scope else frozenset({Scope.SUBMIT, Scope.READ})
    expires_at = datetime.now(UTC) + timedelta(days=expires_days) if expires_days is not None else None
    with reported(), connected() as (_, database):
        _show(*keys.create(database, NewKey(name, tenant, scopes, expires_at, max_priority=max_priority)))


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Show only this tenant's keys.")] = None, json: Json = False
) -> None:
    """List the keys, without their secrets."""
    with reported(), connected() as (_, database):
        api_keys = keys.all_keys(database, tenant=tenant)
        shown.as_json(api_keys) if json else shown.keys(api_keys)


@app.command()
def revoke(id: Id) -> None:
    """End a key for good."""
    with reported(), connected() as (_, database):
        print(f"{keys.revoke(database, ids.parsed(ids.KEY, id)).public_id} revoked")


@app.command()
def rotate(
    id: Id,
    grace_hours: Annotated[float, typer.Option(min=0, help="Hours that the old secret stays valid.")] = 24.0,
) -> None:
    """Make a new secret for a key; it is shown this once."""
    with reported(), connected() as (_, database):
        _show(*keys.rotate(database, ids.parsed(ids.KEY, id), grace_seconds=grace_hours * 3600))


def _show(key: ApiKey, secret: str) -> None:
    print(secret)
    print(f"{key.public_id}  {key.tenant}  {','.join(sorted(key.scopes))}  {key.name}", file=sys.stderr)
