"""Check that the migrations match the models: `python -m dev.check_migrations` starts its own PostgreSQL."""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path

from dev.postgres import start_postgres
from dev.process import StackError
from dev.stack import REPOSITORY, alembic


def main() -> int:
    """Upgrade an empty database to the newest migration and compare it with the models; return 0 if they match."""
    with tempfile.TemporaryDirectory(prefix="paraqueue-migrations-") as folder:
        place = Path(folder)
        place.chmod(0o711)  # PostgreSQL runs as another user if we are root
        server = start_postgres(place / "postgres", place / "logs", secrets.token_urlsafe(16), durable=False)
        try:
            for arguments in (["upgrade", "head"], ["check"]):
                alembic(arguments, server.url(), place / "logs", REPOSITORY)
        except StackError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            server.child.stop(seconds=10)
    print("migrations and models agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
