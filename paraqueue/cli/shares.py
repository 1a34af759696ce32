"""Commands for share links."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from paraqueue.cli import exits, show
from paraqueue.cli.account import Json
from paraqueue.cli.transcripts import Id

if TYPE_CHECKING:
    from paraqueue.models import Share

LIFETIME = re.compile(r"(\d{1,6})([hdw])")
DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


class Sharing(TyperGroup):
    """`paraqueue share ID` is short for `paraqueue share create ID`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command that was left out."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["create", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Sharing,
    no_args_is_help=True,
    help="Links with which anybody reads one transcript: `share ID`, `share list ID`, `share revoke ID SHARE_ID`.",
)


@app.command()
def create(
    id: Id,
    expires: Annotated[
        str | None, typer.Option(help="How long the link works: 12h, 7d or 2w. Default: as the service says.")
    ] = None,
    audio: Annotated[bool, typer.Option("--audio", help="Share the recording too.")] = False,
    json: Json = False,
) -> None:
    """Make a link to a transcript; it is printed this once."""
    days = None if expires is None else _days(expires)
    with exits.connected() as client:
        made = client.share(id, expires_in_days=days, audio=audio)
        show.as_json(made) if json else print(made.url)


@app.command("list")
def list_(id: Id, json: Json = False) -> None:
    """List the links to a transcript that work."""
    with exits.connected() as client:
        found = client.shares(id)
        if json:
            show.as_json(found)
        else:
            show.table(("id", "created", "expires", "used", "views", "audio"), map(_row, found))


@app.command()
def revoke(id: Id, share: Annotated[str, typer.Argument(help="The id of a link.", metavar="SHARE_ID")]) -> None:
    """End a link at once."""
    with exits.connected() as client:
        client.revoke_share(id, share)
        print(f"{share} revoked")


def _days(text: str) -> float:
    match = LIFETIME.fullmatch(text)
    if match is None or not int(match[1]):
        raise typer.BadParameter(f"{text!r} is no lifetime like 12h, 7d or 2w", param_hint="--expires")
    return int(match[1]) * DAYS[match[2]]


def _row(share: Share) -> dict[str, Any]:
    times = {"created": share.created_at, "expires": share.expires_at, "used": share.last_used_at}
    shown = {name: (show.moment(time), time.isoformat() if time else None) for name, time in times.items()}
    return shown | {"id": share.id, "views": share.views, "audio": "yes" if share.audio else "no"}
