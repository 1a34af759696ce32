"""`python -m bench [NAME] [OPTIONS]`: run a benchmark, by default that of the engine; `--help` after its name."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {"engine": "bench.engine", "bundles": "bench.bundles"}
"""Name → module with `main(arguments) -> exit status`; a further benchmark adds its line here."""


def main(arguments: list[str]) -> int:
    """Run the named benchmark and return its exit status."""
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "engine"
    if name not in BENCHMARKS:
        print(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    status: int = importlib.import_module(BENCHMARKS[name]).main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
