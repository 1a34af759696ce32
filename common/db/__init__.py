"""Access to PostgreSQL, its clock, and the cursors of lists."""

from common.db.database import (
    BoundedConnection,
    Database,
    after_commit,
    connection_parameters,
    session_of,
    shares_sessions,
)
from common.db.prepared import Prepared

__all__ = [
    "BoundedConnection",
    "Database",
    "Prepared",
    "after_commit",
    "connection_parameters",
    "session_of",
    "shares_sessions",
]
