"""Links and webhooks against a lying DNS server, through the system's own resolver.

The system reads /etc/resolv.conf, where name servers have port 53 only. So lying_names.py runs in its own mount and
network namespace: it needs no privileges, and the only network in it is loopback.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from dev.stack import REPOSITORY

INSIDE = """\
set -e
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
mount --bind "$1/hosts" /etc/hosts
shift
exec "$@"
"""
LEAST_TESTS = 150


def test_names_that_lie_lead_to_nothing_private(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    (tmp_path / "hosts").write_text("127.0.0.2 localhost\n")
    tests = Path(__file__).with_name("lying_names.py")
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}"]
    command = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c", INSIDE, "sh", str(tmp_path)]
    ended = subprocess.run(
        [*command, *pytest, str(tests)], cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None, ended.stdout[-500:]
    assert int(passed[1]) >= LEAST_TESTS, ended.stdout[-500:]
