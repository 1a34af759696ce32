"""What all tables share."""

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
# What belongs to nobody else: jobs from before there were tenants, and all of them where authentication is off.
DEFAULT_TENANT = "default"


class Row(DeclarativeBase):
    """What all tables share: the mapping of Python types to PostgreSQL's."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        str: Text,
        datetime: Timestamp,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        uuid.UUID: Uuid,
        bytes: LargeBinary,
    }
