"""The peer of `bench.api`: FastAPI routes that do one INSERT or one SELECT each on the pool of the service.

No authentication, logging, request ids, links or jobs: the minimal cost of any API on this framework and pool.
"""

from __future__ import annotations

import sys
import uuid
from datetime import datetime
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import text

from common.db import Database
from common.settings import load_settings

CREATE = text(
    "CREATE TABLE IF NOT EXISTS bare (id uuid PRIMARY KEY, url text NOT NULL, created_at timestamptz DEFAULT now())"
)
INSERT = text("INSERT INTO bare (id, url) VALUES (:id, :url) RETURNING id, url, created_at")
SELECT = text("SELECT id, url, created_at FROM bare WHERE id = :id")
NEWEST = text("SELECT id, url, created_at FROM bare ORDER BY id DESC LIMIT 20")


class Asked(BaseModel):
    """The body of a submit."""

    audio_url: str


class Kept(BaseModel):
    """A row."""

    id: uuid.UUID
    url: str
    created_at: datetime


def create_app(database: Database) -> FastAPI:
    """Create the app with its three routes."""
    app = FastAPI()
    with database.transaction() as session:
        session.execute(CREATE)

    @app.post("/bare", status_code=202)
    def insert(body: Asked) -> Kept:
        with database.transaction() as session:
            row = session.execute(INSERT, {"id": uuid.uuid4(), "url": body.audio_url}).one()
        return Kept(id=row.id, url=row.url, created_at=row.created_at)

    @app.get("/bare/{row_id}")
    def select(row_id: uuid.UUID) -> Kept:
        with database.transaction() as session:
            row = session.execute(SELECT, {"id": row_id}).one()
        return Kept(id=row.id, url=row.url, created_at=row.created_at)

    @app.get("/bare")
    def newest() -> dict[str, Any]:
        with database.transaction() as session:
            rows = session.execute(NEWEST).all()
        return {"data": [Kept(id=row.id, url=row.url, created_at=row.created_at) for row in rows]}

    return app


def main() -> int:
    """Serve on the host and port of the settings, as the API does."""
    settings = load_settings()
    app = create_app(Database(settings.sqlalchemy_url, settings.database_pool_size))
    uvicorn.run(app, host=settings.host, port=settings.port, log_config=None, access_log=False, server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
