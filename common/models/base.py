"""The base of all tables."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    DateTime,
    LargeBinary,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase

Timestamp = DateTime(timezone=True)
# The tenant of everything that has no other: jobs from before tenants existed, and all jobs without authentication.
DEFAULT_TENANT = "default"


class Row(DeclarativeBase):
    """The base of all tables: maps Python types to PostgreSQL types."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        str: Text,
        datetime: Timestamp,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        uuid.UUID: Uuid,
        bytes: LargeBinary,
    }
