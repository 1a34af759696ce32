"""Commands for summaries, and the option that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from paraqueue.cli import exits, files, show
from paraqueue.cli.account import Json
from paraqueue.cli.confirming import Yes, confirm
from paraqueue.cli.jobs import Seconds
from paraqueue.cli.listing import PAGE, After, Limit, collected, id_of, tell_more
from paraqueue.cli.transcripts import Id
from paraqueue.errors import ParaqueueError
from paraqueue.statuses import COMPLETED

if TYPE_CHECKING:
    from paraqueue import Client
    from paraqueue.models import PreviousSummary, Summary, SummaryTemplate

KINDS = ("minutes", "decisions", "todos")
LANGUAGES = ("zh", "en")
PREFIX = "tpl_"
What = Annotated[str, typer.Option("--kind", "-k", help="minutes, decisions, todos, or the name or id of a template.")]


def _known_language(value: str | None) -> str | None:
    if value not in (None, *LANGUAGES):
        raise typer.BadParameter(f"{value!r} is neither zh nor en")
    return value


Tongue = Annotated[
    str | None, typer.Option("--language", help="zh or en. Default: that of the transcript.", callback=_known_language)
]
SummaryLanguageOption = Annotated[
    str | None,
    typer.Option(help="Language of the summary, zh or en. Default: that of the transcript.", callback=_known_language),
]
SummaryOption = Annotated[
    str | None,
    typer.Option("--summary", help="Also summarise it: minutes, decisions, todos, or the name or id of a template."),
]
Which = Annotated[str, typer.Argument(help="The name or id of a template.", metavar="TEMPLATE")]
Prompt = Annotated[str, typer.Argument(help="What to write; - is standard input.", metavar="INSTRUCTIONS")]


class Summaries(TyperGroup):
    """`paraqueue summary ID` is short for `paraqueue summary make ID`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command that was left out."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["make", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Summaries,
    no_args_is_help=True,
    help="Summaries by the language model of the service: `summary ID`, `summary show ID`, `summary delete ID`.",
)
templates = typer.Typer(no_args_is_help=True, help="Templates: your own instructions for summaries.")
app.add_typer(templates, name="templates")


def summary_options(client: Client, value: str | None) -> dict[str, Any]:
    """The options behind `--summary WHAT`. Raises ConfigurationError if there is no template of this name."""
    if value is None:
        return {}
    return {"summary": value if value in KINDS else _id_of(client, value)}


@app.command()
def make(
    id: Id,
    kind: What = "minutes",
    language: Tongue = None,
    wait: Annotated[bool, typer.Option(help="Wait for it, and print it.")] = True,
    timeout: Seconds = None,
    json: Json = False,
) -> None:
    """Summarise a transcript, which the language model of the service reads; replaces an earlier summary when done."""
    with exits.connected() as client:
        chosen = {"kind": kind} if kind in KINDS else {"template_id": _id_of(client, kind)}
        summary = client.summarize(id, language=language, **chosen)  # type: ignore[arg-type]
        _print(client.wait_for_summary(id, timeout=timeout) if wait else summary, json=json)


@app.command("show")
def show_(id: Id, json: Json = False) -> None:
    """Print the summary of a transcript; the previous one, while another is to replace it."""
    with exits.connected() as client:
        summary = client.summary(id)
        if summary.previous is not None and not json:
            exits.errors().print(f"paraqueue: a new summary is {summary.status}; this is the previous one")
            _print_text(summary.previous)
        else:
            _print(summary, json=json)


@app.command()
def delete(id: Id) -> None:
    """Cancel a summary that is being made, or delete one that has ended."""
    with exits.connected() as client:
        client.delete_summary(id)
        print(f"summary of {id} canceled or deleted")


def _print(summary: Summary, *, json: bool) -> None:
    """Print a summary. Raises ParaqueueError for one that failed or was canceled."""
    if json:
        show.as_json(summary)
        return
    if summary.status == COMPLETED:
        _print_text(summary)
    elif summary.ended:
        why = f": {summary.error.message}" if summary.error else ""
        raise ParaqueueError(f"the summary of {summary.transcription_id} is {summary.status}{why}")
    else:
        exits.errors().print(f"paraqueue: the summary is {summary.status}")


def _print_text(summary: Summary | PreviousSummary) -> None:
    if summary.stale:
        exits.errors().print("paraqueue: the transcript was changed after this summary was made")
    if summary.truncated:
        exits.errors().print("paraqueue: the summary is cut off: the model reached its limit")
    print(summary.text)


@templates.command("list")
def list_templates(limit: Limit = 20, after: After = None, json: Json = False) -> None:
    """List templates, newest first."""
    with exits.connected() as client:
        found, after = collected(lambda at, size: client.summary_templates(after=at, limit=size), after, limit, PAGE)
        show.as_json(found) if json else show.table(("name", "changed", "id"), map(_row, found))
        tell_more(after)


@templates.command("show")
def show_template(template: Which, json: Json = False) -> None:
    """Print the instructions of a template."""
    with exits.connected() as client:
        found = client.summary_template(_id_of(client, template))
        show.as_json(found) if json else print(found.prompt)


@templates.command("create")
def create_template(
    name: Annotated[str, typer.Argument(help="A name that says what is written.")], prompt: Prompt, json: Json = False
) -> None:
    """Create a template, and print its id."""
    with exits.connected() as client:
        made = client.create_summary_template(name, _text_of(prompt))
        show.as_json(made) if json else print(made.id)


@templates.command("update")
def update_template(template: Which, prompt: Prompt, json: Json = False) -> None:
    """Replace the instructions of a template."""
    with exits.connected() as client:
        changed = client.update_summary_template(_id_of(client, template), prompt=_text_of(prompt))
        show.as_json(changed) if json else print(changed.name)


@templates.command("delete")
def delete_template(template: Which, yes: Yes = False) -> None:
    """Delete a template; summaries that were made with it stay."""
    confirm(f"Delete the template {template}?", yes)
    with exits.connected() as client:
        client.delete_summary_template(_id_of(client, template))
        print(f"{template} deleted")


def _row(template: SummaryTemplate) -> dict[str, Any]:
    changed = (show.moment(template.updated_at), template.updated_at.isoformat())
    return {"name": template.name, "changed": changed, "id": template.id}


def _text_of(prompt: str) -> str:
    return "\n".join(files.lines(prompt)) if prompt == "-" else prompt


def _id_of(client: Client, name: str) -> str:
    missing = f"there is no template named {name!r}; see `paraqueue summary templates list`"
    return id_of(name, PREFIX, lambda after: client.summary_templates(after=after, limit=PAGE), missing=missing)
