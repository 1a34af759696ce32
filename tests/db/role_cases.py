"""What the tests of database roles share."""

from __future__ import annotations

from typing import Any

import psycopg

from admin import roles

ALL = tuple(roles.ROLES)
# Everything that `admin roles` could have changed.
STATE = """
SELECT relname, NULL AS attname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
UNION ALL SELECT 'schema', NULL, nspacl::text FROM pg_namespace WHERE nspname = 'public'
UNION ALL SELECT 'database', NULL, datacl::text FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 'function', proname, proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'role', rolname, to_jsonb(pg_authid)::text FROM pg_authid WHERE rolname LIKE 'paraqueue%'
ORDER BY 1, 2
"""


def state(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(STATE).fetchall()
