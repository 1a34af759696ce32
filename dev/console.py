"""The checks of the console: types, lint, format, unused words and styles, and whether the API's types are current.

`python -m dev.console check` is a part of `make check`. `types` writes console/types/api.d.ts anew, after a schema of
the API has changed; `format` lets prettier rewrite the files.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from dev.node import install, run
from dev.unused_words import unused_classes, unused_words

CONSOLE = Path(__file__).resolve().parent.parent / "console"
TYPES = CONSOLE / "types" / "api.d.ts"
PRETTIER = "prettier/bin/prettier.cjs"
# These texts change more often than the schemas that they describe.
SAID = ("description", "title", "examples")


def document() -> dict[str, Any]:
    """Return the API's schemas without descriptive text."""
    command = [sys.executable, "-m", "api.openapi"]
    document = json.loads(subprocess.run(command, cwd=CONSOLE.parent, check=True, stdout=subprocess.PIPE).stdout)
    schemas = {name: _silent(schema) for name, schema in document["components"]["schemas"].items()}
    return {"openapi": document["openapi"], "info": document["info"], "paths": {}, "components": {"schemas": schemas}}


def _silent(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_silent(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may have such a name; its value is then a schema.
    return {name: _silent(value) for name, value in schema.items() if name not in SAID or isinstance(value, dict)}


def write_types(target: Path) -> None:
    """Write the types of the API's schemas to a declaration file."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "openapi.json"
        source.write_text(json.dumps(document()))
        script = "openapi-typescript/bin/cli.js"
        if run(CONSOLE, script, str(source), "--output", str(target), "--alphabetize").returncode:
            raise SystemExit(1)


def types_are_current() -> bool:
    """Return whether the committed types match the current OpenAPI document."""
    with tempfile.TemporaryDirectory() as place:
        fresh = Path(place) / "api.d.ts"
        write_types(fresh)
        if fresh.read_text() == TYPES.read_text():
            return True
    print("console/types/api.d.ts differs from the OpenAPI document: run python -m dev.console types", file=sys.stderr)
    return False


def nothing_is_unused() -> bool:
    """Return whether the code uses all words and style classes."""
    unused = [f"the word {key}" for key in unused_words(CONSOLE)]
    unused += [f"the class {name}" for name in unused_classes(CONSOLE)]
    for what in unused:
        print(f"console: nothing uses {what}", file=sys.stderr)
    return not unused


def check() -> bool:
    """Run all checks; each reports its own problems."""
    typed = run(CONSOLE, "typescript/bin/tsc", "--project", ".").returncode == 0
    linted = run(CONSOLE, "eslint/bin/eslint.js", ".").returncode == 0
    formatted = run(CONSOLE, PRETTIER, "--check", "--log-level", "warn", ".").returncode == 0
    return all([types_are_current(), typed, linted, formatted, nothing_is_unused()])


def main() -> int:
    """Run the command line."""
    doing = sys.argv[1] if len(sys.argv) == 2 else ""
    if doing not in {"check", "types", "format"}:
        print(__doc__, file=sys.stderr)
        return 2
    install(CONSOLE)
    if doing == "types":
        write_types(TYPES)
    elif doing == "format":
        return run(CONSOLE, PRETTIER, "--write", "--log-level", "warn", ".").returncode
    else:
        return 0 if check() else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
