"""The database roles of the processes; with `in_roles`, each operation runs with that of the process that calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import wraps
from types import ModuleType
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from admin import roles
from admin.roles import API, LIGHT, WORKER
from common import (
    idempotency,
    jobs,
    keys,
    renditions,
    sessions,
    shares,
    summaries,
    tenants,
    uploads,
    vocabularies,
    webhooks,
)
from common.db import Database
from dev.postgres import USER, Postgres

MODULES: tuple[ModuleType, ...] = (
    *(idempotency, jobs, keys, renditions, sessions, tenants, uploads),
    *(shares, summaries, vocabularies, webhooks),
)
# The API calls whatever is not listed. Dispatch, which all of them call, runs with the fewest rights.
CALLED_BY = {
    WORKER: {
        jobs: (
            *("abandon_claim", "claim", "claim_links", "claim_next", "commit_part", "complete"),
            *("complete_from_duplicate", "dispatch", "fail", "forgive_crash", "give_up_lease", "hand_over"),
            *("record_audio", "register_worker", "release", "renew", "restart", "speaker_windows"),
            *("stop_canceled", "try_again", "unregister_worker"),
        ),
        tenants: ("largest_upload",),
        webhooks: ("any_due",),
    },
    LIGHT: {
        idempotency: ("expire",),
        jobs: (
            *("delete_orphans", "expire_audio", "expire_batches", "expire_jobs", "expire_results", "expire_usage"),
            *("forget_dead_workers", "rescue_expired"),
        ),
        renditions: ("failed", "give_back", "keep", "ready", "take"),
        sessions: ("expire",),
        shares: ("expire",),
        summaries: (
            *("claim_next", "commit_section", "complete", "expire_usage", "fail", "give_back", "keep"),
            *("rescue_expired", "sections_done", "settle", "try_again"),
        ),
        uploads: ("expire",),
        webhooks: (
            *("claim_deliveries", "due", "expire_deliveries", "record_delivered", "record_failed", "record_gone"),
            "reseal",
        ),
    },
}
_role: ContextVar[str | None] = ContextVar("role", default=None)


def create(server: Postgres, database: str) -> None:
    """Create the roles, with the owner's password, and grant them their rights in the database and its copies."""
    opened = Database(server.url(database), 1)
    try:
        roles.set_up(opened, dict.fromkeys(roles.ROLES, server.password), _no_answer)
    finally:
        opened.close()


def _no_answer(role: str) -> str:
    raise AssertionError(f"asked for the password of {role}")


def as_role(url: str, role: str) -> str:
    """The URL of the same database for another role; other servers' URLs are left alone."""
    return url.replace(f"://{USER}:", f"://{role}:", 1)


def role_of(module: ModuleType, name: str) -> str:
    """The role of the process that calls this function."""
    return next((role for role, names in CALLED_BY.items() if name in names.get(module, ())), API)


@contextmanager
def in_roles() -> Iterator[None]:
    """Until the end, every function that takes a database runs with the role of the process that calls it.

    Statements of the tests themselves run as the owner.
    """
    event.listen(Session, "after_begin", _take_role)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Database, "_alone", _alone_in_role(Database._alone))
            for module in MODULES:
                for name, function in inspect.getmembers(module, inspect.isfunction):
                    first = next(iter(inspect.signature(function).parameters), None)
                    if first == "database" and not name.startswith("_"):
                        patch.setattr(module, name, _in_role(role_of(module, name), function))
            yield
    finally:
        event.remove(Session, "after_begin", _take_role)


def _in_role(role: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        token = _role.set(role)
        try:
            return function(*arguments, **named)
        finally:
            _role.reset(token)

    return call


def _alone_in_role(
    alone: Callable[[Database], AbstractContextManager[psycopg.Connection[Any]]],
) -> Callable[[Database], AbstractContextManager[psycopg.Connection[Any]]]:
    """Lend connections for single statements that run with the role of the process."""

    @contextmanager
    def in_role(database: Database) -> Iterator[psycopg.Connection[Any]]:
        role = _role.get()
        with alone(database) as connection:
            if role is None:
                yield connection
                return
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))  # an error closes the connection
            yield connection
            connection.execute("RESET ROLE")

    return in_role


def _take_role(session: Session, transaction: object, connection: Connection) -> None:  # noqa: ARG001
    role = _role.get()
    if role is not None:
        # Past SQLAlchemy, for the tests that look at its statements.
        driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
