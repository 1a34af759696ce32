"""Checks of the servers that the service depends on, and of its own processes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import redis
from sqlalchemy import inspect, text

from admin.checks import Check, Found, Level
from common import jobs, webhooks
from common.db import Database, shares_sessions
from common.models import Row
from common.queue import make_app
from common.settings import Settings
from common.storage import make_storage

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
CONNECT_SECONDS = 5.0
PING_SECONDS = 3.0
SKEW_WARN_SECONDS = 2.0
# S3 rejects signatures that are 15 minutes off; sessions and tokens go wrong long before that.
SKEW_FAIL_SECONDS = 60.0
PROGRESS_SECONDS = 900.0
OVERDUE_SECONDS = 300.0
ROLE = text("""
SELECT rolname, rolsuper, EXISTS (
    SELECT FROM pg_class WHERE oid = to_regclass('jobs') AND pg_has_role(relowner, 'USAGE')
) FROM pg_roles WHERE rolname = current_user
""")
UNLIMITED = text("""
SELECT name FROM pg_settings WHERE setting = '0'
AND name IN ('idle_in_transaction_session_timeout', 'lock_timeout', 'statement_timeout')
""")


def database(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that PostgreSQL responds, has sessions of its own for those who need them, and limits every wait."""
    with _opened(settings) as opened, opened.transaction() as session:
        version = session.scalar(text("SHOW server_version"))
        unlimited = set(session.scalars(UNLIMITED))
    place = _place(settings.postgres_url)
    if shares_sessions(settings.direct_url):
        hint = "set PARAQUEUE_DATABASE_DIRECT_URL to PostgreSQL itself, or use session mode"
        return Found(
            Level.FAIL,
            f"{_place(settings.direct_url)} shares sessions between connections, like PgBouncer in transaction mode",
            hint,
        )
    if unlimited:
        hint = "does a pooler drop startup options? then set these timeouts on the role"
        return Found(Level.WARN, f"sessions at {place} run without {_list(unlimited)}", hint)
    return Found(Level.OK, f"PostgreSQL {version} at {place}")


def role(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Report the rights of the role that these settings connect as. More rights than needed are not a fault."""
    with _opened(settings) as opened, opened.transaction() as session:
        name, superuser, owner = session.execute(ROLE).one()
    if not superuser and not owner:
        return Found(Level.OK, f"{name} cannot change the schema")
    what = "is a superuser" if superuser else "owns the tables"
    hint = "migrations need that; docs/deploy.md gives the services roles with fewer rights"
    return Found(Level.OK, f"{name} {what}", hint)


def schema(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that every table and column that the code reads exists, and the newest migration if its files are here."""
    hint = "run python -m alembic upgrade head"
    with _opened(settings) as opened:
        with opened.transaction() as session:
            inspector = inspect(session.connection())
            there = {
                name: {column["name"] for column in inspector.get_columns(name)} for name in inspector.get_table_names()
            }
        missing = [
            table.name if table.name not in there else f"{table.name}.{column.name}"
            for table in Row.metadata.sorted_tables
            for column in table.columns
            if column.name not in there.get(table.name, ())
        ]
        if missing:
            named = ", ".join(dict.fromkeys(missing[:20]))
            return Found(Level.FAIL, f"the database lacks {named}", hint)
        with opened.transaction() as session:
            stands = set(session.scalars(text("SELECT version_num FROM alembic_version")))
    newest = _newest_migration()
    if newest and stands != newest:
        return Found(Level.WARN, f"the database stands at {_list(stands)}, this code at {_list(newest)}", hint)
    return Found(Level.OK, f"at migration {_list(stands)}")


def clock(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Measure the offset between this machine's clock and PostgreSQL's, which leases are based on."""
    with _opened(settings) as opened, opened.transaction() as session:
        session.execute(text("SELECT 1"))  # so that the time to connect is not counted
        before = time.time()
        theirs = float(session.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)
        after = time.time()
    skew = theirs - (before + after) / 2
    difference = f"{abs(skew):.2f} s {'behind' if skew > 0 else 'before'} PostgreSQL's"
    hint = "synchronise both machines by NTP"
    if abs(skew) > SKEW_FAIL_SECONDS:
        return Found(Level.FAIL, difference, hint)
    return Found(Level.WARN, difference, hint) if abs(skew) > SKEW_WARN_SECONDS else Found(Level.OK, difference)


def broker(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that Redis or Valkey responds and does not evict messages."""
    url = settings.redis_url.get_secret_value()
    with redis.Redis.from_url(url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS) as client:
        info = client.info()
    assert isinstance(info, dict)
    name = "Valkey" if "valkey_version" in info else "Redis"
    server = f"{name} {info.get('valkey_version') or info['redis_version']} at {_place(url)}"
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        return Found(Level.WARN, f"{server} drops keys when full ({policy})", "set maxmemory-policy noeviction")
    return Found(Level.OK, server)


def storage(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that an object can be written, read and deleted."""
    make_storage(settings).check()
    return Found(Level.OK, f"{settings.storage_url}: written, read, deleted")


def workers(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that a live worker serves the configured model, and that all such workers have the same revision."""
    with _opened(settings) as opened:
        live = [item for item in jobs.live_workers(opened) if item.model == settings.model]
    if not live:
        return Found(
            Level.WARN, f"no live worker serves {settings.model}: jobs wait", "start python -m worker.transcription"
        )
    kinds = {(item.revision, item.precision) for item in live}
    summary = f"{len(live)} for {settings.model} with {sum(item.slots for item in live)} slots"
    if len(kinds) > 1:
        hint = "a job that goes from one to another begins anew; give all the same model and precision"
        return Found(Level.WARN, f"{summary}, of different revisions or precisions", hint)
    return Found(Level.OK, summary)


def light(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that a light worker responds."""
    with make_app(settings) as queue:
        queue.conf.broker_transport_options |= {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": CONNECT_SECONDS,
        }
        queue.conf.broker_connection_retry = False
        answers = queue.control.ping(timeout=PING_SECONDS, pattern="light@*", matcher="glob")
    if not answers:
        return Found(Level.FAIL, "none answers: nothing is swept, no webhook is sent", "start python -m worker.light")
    return Found(Level.OK, f"{len(answers)} answer")


def moving(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check that nothing is stuck; this also shows whether the sweep runs."""
    with _opened(settings) as opened:
        stuck = jobs.find_stuck(
            opened, progress_seconds=PROGRESS_SECONDS, redispatch_seconds=settings.redispatch_seconds
        )
        late = webhooks.overdue(opened, after_seconds=OVERDUE_SECONDS)
    if stuck or late:
        kinds = _list({item.kind.value for item in stuck} | ({"deliveries_overdue"} if late else set()))
        return Found(Level.WARN, f"something is stuck: {kinds}", "python -m admin stuck tells more")
    return Found(Level.OK, "nothing is stuck")


def api(settings: Settings, *, deep: bool) -> Found:  # noqa: ARG001
    """Check what responds at the API's port on this machine."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    try:
        answer = httpx.get(f"{url}/health/ready", timeout=CONNECT_SECONDS, trust_env=False)
    except httpx.ConnectError:
        return Found(Level.WARN, f"nobody listens at {url}; the port is free", "start python -m api.main, if here")
    body = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
    if "checks" not in body:
        hint = "choose another PARAQUEUE_PORT, or end that program"
        return Found(Level.FAIL, f"another program answers at {url}", hint)
    wrong = ", ".join(f"{name}: {result}" for name, result in body["checks"].items() if result != "ok")
    if wrong:
        return Found(
            Level.FAIL, f"the API at {url} is not ready: {wrong}", "the API may have other settings than these"
        )
    return Found(Level.OK, f"ready at {url}")


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    """Open a separate database for a check, because checks run in parallel."""
    database = Database(settings.sqlalchemy_url, 1)
    try:
        yield database
    finally:
        database.close()


def _newest_migration() -> set[str]:
    """Return the newest of the migrations that ship with this code; empty if they are not installed."""
    texts = [path.read_text("utf-8") for path in MIGRATIONS.glob("*.py")]
    named = {name for text in texts for name in re.findall(r'^revision\b.*= "(\w+)"', text, re.MULTILINE)}
    return named - {name for text in texts for name in re.findall(r'^down_revision\b.*= "(\w+)"', text, re.MULTILINE)}


def _place(url: str) -> str:
    """Return a URL's location, without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or '?'}:{parts.port or '?'}{parts.path}"


def _list(items: set[str]) -> str:
    return ", ".join(sorted(items)) or "nothing"


CHECKS = {
    "database": Check(database, "is PostgreSQL up, and PARAQUEUE_DATABASE_URL right?"),
    "role": Check(role, "is PostgreSQL up, and PARAQUEUE_DATABASE_URL right?"),
    "schema": Check(schema, "run python -m alembic upgrade head"),
    "clock": Check(clock, "is PostgreSQL up?"),
    "redis": Check(broker, "is Redis or Valkey up, and PARAQUEUE_REDIS_URL right?"),
    "storage": Check(storage, "see PARAQUEUE_STORAGE_URL and PARAQUEUE_S3_*; may this user write there?"),
    "workers": Check(workers, "is PostgreSQL up?"),
    "light": Check(light, "is Redis up?"),
    "moving": Check(moving, "is PostgreSQL up, and its schema at head?"),
    "api": Check(api, "see the API's log"),
}
