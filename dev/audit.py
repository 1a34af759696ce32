"""`python -m dev.audit`: checks all pinned packages for known vulnerabilities.

Queries a vulnerability service with pip-audit about everything in `requirements/`. Exit status 1: a vulnerability is
known, or the audit was interrupted. If the service is unreachable, it reports that in one line and succeeds, because
`make check` must work without internet.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx

from dev.stack import REPOSITORY

# Together these contain all pins: dev/lock.sh derives the other files from dev.lock.
LOCKS = ("dev.lock", "bench.lock", "docs.lock", "openapi.lock")
OSV_URL = "https://api.osv.dev/v1/query"
# A name lookup can hang far longer than any connection timeout.
REACH_SECONDS = 4.0
ANSWER_SECONDS = 15
WHOLE_SECONDS = 600.0


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.audit", description=__doc__)
    parser.add_argument("--osv-url", default=OSV_URL, help="URL of a service with OSV's API")
    parser.add_argument("locks", nargs="*", type=Path, help="files of pinned packages (requirements/*.lock)")
    options = parser.parse_args()
    locks = options.locks or [REPOSITORY / "requirements" / name for name in LOCKS]
    reason = _unreachable(options.osv_url)
    if reason:
        print(f"dependency audit: NOT DONE, nothing was audited: {reason}")
        return 0
    return _audit(locks, options.osv_url)


def _unreachable(url: str) -> str:
    """Return why the service cannot be reached; empty if it sends any response."""
    outcome = [f"{httpx.URL(url).host} does not answer within {REACH_SECONDS:.0f} s"]

    def ask() -> None:
        query = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "1.0"}
        try:
            httpx.post(url, json=query, timeout=REACH_SECONDS)
            outcome[0] = ""
        except httpx.HTTPError as error:
            outcome[0] = f"{httpx.URL(url).host} cannot be reached ({error})"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    return outcome[0]


def _audit(locks: list[Path], url: str) -> int:
    packages: dict[tuple[str, str], dict[str, Any]] = {}
    for lock in locks:  # one at a time: they may pin different versions of a package
        reported = _asked(lock, url)
        if reported is None:
            return 1
        packages |= {(package["name"], package.get("version", "")): package for package in reported}
    wrong = [line for package in packages.values() for line in _findings(package)]
    for line in wrong:
        print(line)
    print(f"dependency audit: {len(packages)} packages, {len(wrong)} findings")
    return 1 if wrong or not packages else 0


def _asked(lock: Path, url: str) -> list[dict[str, Any]] | None:
    """Return pip-audit's report on the packages of one file; None, after printing a line, if it failed."""
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--strict", "--format=json"]
    command += [
        "--progress-spinner=off",
        f"--timeout={ANSWER_SECONDS}",
        "--vulnerability-service=osv",
        f"--osv-url={url}",
        "--requirement",
        str(lock),
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE_SECONDS, check=False)
        packages: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"dependency audit: broke off after {WHOLE_SECONDS:.0f} s")
        return None
    except ValueError:
        print(f"dependency audit: broke off: {ended.stderr.strip()[-2000:]}")
        return None
    if ended.returncode != 0 and not any(_findings(package) for package in packages):
        print(f"dependency audit: broke off with exit code {ended.returncode}: {ended.stderr.strip()[-2000:]}")
        return None
    return packages


def _findings(package: dict[str, Any]) -> list[str]:
    """Return one line per vulnerability of a package, and one line if the package was skipped."""
    if "skip_reason" in package:
        return [f"{package['name']}: not audited: {package['skip_reason']}"]
    return [
        f"{package['name']} {package['version']}: {vulnerability['id']} {' '.join(vulnerability['aliases'])}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version'}"
        for vulnerability in package["vulns"]
    ]


if __name__ == "__main__":
    sys.exit(main())
