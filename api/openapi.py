"""`python -m api.openapi` prints the OpenAPI document; it needs no database and starts nothing."""

from __future__ import annotations

import json
import sys

from api.main import create_app
from common.settings import Settings


def main() -> int:
    """Print it as JSON."""
    nowhere = Settings(database_url="postgresql://127.0.0.1/none", redis_url="redis://127.0.0.1")
    json.dump(create_app(nowhere).openapi(), sys.stdout, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
