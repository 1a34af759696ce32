"""API keys at a terminal, for the first key and for scripts: `python -m api.keys create --name first`."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

from common import ids, keys
from common.db import Database
from common.errors import ParaqueueError
from common.keys import ApiKey, NewKey, Scope
from common.models import DEFAULT_TENANT
from common.settings import load_settings


def main(arguments: list[str]) -> int:
    """Run the command line; what went wrong is one line on stderr."""
    options = _arguments(arguments)
    try:
        settings = load_settings()
        database = Database(settings.sqlalchemy_url, 1)
        try:
            return _run(options, database)
        finally:
            database.close()
    except ParaqueueError as error:
        print(f"paraqueue: {error.message}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, database: Database) -> int:
    if options.command == "create":
        days = options.expires_days
        expires_at = datetime.now(UTC) + timedelta(days=days) if days is not None else None
        key, secret = keys.create(database, NewKey(options.name, options.tenant, options.scopes, expires_at))
        _show_secret(key, secret)
    elif options.command == "list":
        for key in keys.all_keys(database, tenant=options.tenant):
            print(_line(key))
    elif options.command == "revoke":
        print(_line(keys.revoke(database, ids.parsed(ids.KEY, options.id))))
    else:
        grace_seconds = options.grace_hours * 3600
        key, secret = keys.rotate(database, ids.parsed(ids.KEY, options.id), grace_seconds=grace_seconds)
        _show_secret(key, secret)
    return 0


def _show_secret(key: ApiKey, secret: str) -> None:
    """The secret alone on stdout, so that a script can take it; all else on stderr."""
    print(secret)
    print(f"{_line(key)}\nThe key is shown this once.", file=sys.stderr)


def _line(key: ApiKey) -> str:
    state = "revoked" if key.revoked_at else f"expires {key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "valid"
    scopes = ",".join(sorted(key.scopes))
    return f"{key.public_id}  {key.hint}…  {key.tenant}  {scopes}  {state}  {key.name}"


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api.keys", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a key and print it")
    create.add_argument("--name", required=True, help="what it is for")
    create.add_argument("--tenant", default=DEFAULT_TENANT, help="whose jobs it sees (default)")
    create.add_argument("--scopes", type=_scopes, default=_scopes("submit,read"), help="of submit, read, admin")
    create.add_argument("--expires-days", type=float, help="after so many days it stops to work (never)")
    listing = commands.add_parser("list", help="print all keys, without their secrets")
    listing.add_argument("--tenant", help="only those of this tenant")
    revoke = commands.add_parser("revoke", help="end a key")
    revoke.add_argument("id", help="key_…")
    rotate = commands.add_parser("rotate", help="make a new secret for a key and print it")
    rotate.add_argument("id", help="key_…")
    rotate.add_argument("--grace-hours", type=float, default=24.0, help="the old secret works for so long (24)")
    return parser.parse_args(arguments)


def _scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(item.strip()) for item in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"scopes are {', '.join(Scope)}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
