"""Access to PostgreSQL, its clock, and the cursors of lists."""

from common.db.connections import BoundedConnection, connection_parameters, session_of, shares_sessions
from common.db.database import Database, after_commit
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
