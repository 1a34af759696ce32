"""`python -m dev.openapi` lints the OpenAPI document with Redocly's rules; a part of `make check`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from dev.console import CONSOLE
from dev.node import NODE, environment, install

LINT = Path(__file__).with_name("openapi_lint.mjs")


def lint(document: Path) -> subprocess.CompletedProcess[str]:
    """Lint a document; its problems are the output."""
    command = [str(NODE), str(LINT), str(document)]
    return subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def main() -> int:
    """Lint the API's own document."""
    install(CONSOLE)
    with tempfile.TemporaryDirectory() as place:
        document = Path(place) / "openapi.json"
        with document.open("wb") as file:
            subprocess.run([sys.executable, "-m", "api.openapi"], cwd=CONSOLE.parent, check=True, stdout=file)
        done = lint(document)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
