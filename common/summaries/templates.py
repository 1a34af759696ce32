"""Templates: instructions for summaries that a tenant keeps.

Templates of other tenants are treated as missing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, update
from sqlalchemy.orm import Session

from common import ids, named_rows
from common.db import Database
from common.errors import SummaryTemplateChanged, SummaryTemplateNameTaken, TooManySummaryTemplates
from common.models import SummaryTemplateRow

MAX_TEMPLATES = 100
LONGEST_PROMPT = 4000


@dataclass(frozen=True, slots=True)
class Template:
    """A template; `revision` counts the changes from 1."""

    id: uuid.UUID
    created_at: datetime
    updated_at: datetime
    name: str
    revision: int
    prompt: str

    @property
    def public_id(self) -> str:
        """The public id of the template."""
        return ids.shown(ids.SUMMARY_TEMPLATE, self.id)


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """A page of templates, newest first, and the cursor of the next page; None if this is the last page."""

    templates: tuple[Template, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TemplateChange:
    """Changes to a template; None leaves a field unchanged. `revision`: the one that the caller has read."""

    name: str | None = None
    prompt: str | None = None
    revision: int | None = None


def create_template(database: Database, *, tenant: str, name: str, prompt: str) -> Template:
    """Create a template. Raises TooManySummaryTemplates, SummaryTemplateNameTaken."""
    with database.transaction() as session:
        named_rows.lock(session, SummaryTemplateRow, tenant)
        if named_rows.number_of(session, SummaryTemplateRow, tenant) >= MAX_TEMPLATES:
            raise TooManySummaryTemplates(f"the limit of {MAX_TEMPLATES} templates is reached; delete one first")
        _check_free(session, tenant, name)
        statement = insert(SummaryTemplateRow).values(id=ids.new_id(), tenant=tenant, name=name, prompt=prompt)
        return _template_of(session.scalars(statement.returning(SummaryTemplateRow)).one())


def get_template(database: Database, template_id: uuid.UUID, *, tenant: str) -> Template:
    """Return a template. Raises NotFound."""
    with database.transaction() as session:
        return _template_of(_own(session, template_id, tenant))


def template_page(database: Database, *, tenant: str, after: str | None = None, limit: int = 20) -> TemplatePage:
    """Return a page of a tenant's templates, newest first. Raises InvalidRequest for an invalid cursor."""
    statement = named_rows.newest(SummaryTemplateRow, tenant, after, limit)
    with database.transaction() as session:
        found = [_template_of(row) for row in session.scalars(statement)]
    return TemplatePage(*named_rows.cut(found, limit))


def change_template(database: Database, template_id: uuid.UUID, changes: TemplateChange, *, tenant: str) -> Template:
    """Change a template; summaries requested before keep the old one. Raises NotFound, SummaryTemplateNameTaken.

    Raises SummaryTemplateChanged if the caller has not read its newest revision.
    """
    with database.transaction() as session:
        named_rows.lock(session, SummaryTemplateRow, tenant)
        row = _own(session, template_id, tenant)
        if changes.revision not in (None, row.revision):
            raise SummaryTemplateChanged(f"revision {changes.revision} was changed meanwhile; it is {row.revision} now")
        if changes.name not in (None, row.name):
            _check_free(session, tenant, str(changes.name))
        given = {"name": changes.name, "prompt": changes.prompt}
        values = {field: value for field, value in given.items() if value not in (None, getattr(row, field))}
        if not values:
            return _template_of(row)
        statement = update(SummaryTemplateRow).where(SummaryTemplateRow.id == template_id)
        statement = statement.values(**values, revision=SummaryTemplateRow.revision + 1, updated_at=func.now())
        return _template_of(session.scalars(statement.returning(SummaryTemplateRow)).one())


def remove_template(database: Database, template_id: uuid.UUID, *, tenant: str) -> None:
    """Delete a template; summaries that were requested with it keep its text. Raises NotFound."""
    statement = delete(SummaryTemplateRow).where(
        SummaryTemplateRow.id == template_id, SummaryTemplateRow.tenant == tenant
    )
    with database.transaction() as session:
        named_rows.lock(session, SummaryTemplateRow, tenant)
        if session.scalar(statement.returning(SummaryTemplateRow.id)) is None:
            raise ids.missing(ids.SUMMARY_TEMPLATE, template_id)


def _own(session: Session, template_id: uuid.UUID, tenant: str) -> SummaryTemplateRow:
    row = session.get(SummaryTemplateRow, template_id)
    if row is None or row.tenant != tenant:
        raise ids.missing(ids.SUMMARY_TEMPLATE, template_id)
    return row


def _check_free(session: Session, tenant: str, name: str) -> None:
    if named_rows.is_taken(session, SummaryTemplateRow, tenant, name):
        raise SummaryTemplateNameTaken(f"there is already a template named {name!r}")


def _template_of(row: SummaryTemplateRow) -> Template:
    return Template(row.id, row.created_at, row.updated_at, row.name, row.revision, row.prompt)
