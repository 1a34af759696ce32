"""`python -m dev.operate COMMAND …`: run `python -m admin COMMAND …` with the settings of the stack of `make run`.

`PARAQUEUE_DATA` names another data directory than `.paraqueue`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dev.stack import REPOSITORY


def main(arguments: list[str]) -> None:
    """Replace this process by the operator's command; exit with 1 if no stack has been started."""
    data = Path(os.environ.get("PARAQUEUE_DATA", REPOSITORY / ".paraqueue"))
    try:
        settings = json.loads((data / "settings.json").read_text(encoding="utf-8"))
    except OSError as error:
        sys.exit(f"There is no stack in {data} ({error.strerror}); start one with make run.")
    os.chdir(REPOSITORY)
    os.execve(sys.executable, [sys.executable, "-m", "admin", *arguments], dict(os.environ) | settings)


if __name__ == "__main__":
    main(sys.argv[1:])
