"""Which user PostgreSQL runs as, and whether it gets to its files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dev.account import Account, unprivileged

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@root_only
def test_root_becomes_nobody_without_any_capability() -> None:
    account = unprivileged(Path("/"))
    assert account is not None
    status = _status_of(account)
    assert status["Uid"] == [str(account.uid)] * 4
    assert status["Groups"] == []
    assert status["CapEff"] == ["0000000000000000"]


@root_only
def test_a_closed_directory_above_costs_one_capability(tmp_path: Path) -> None:
    inside = tmp_path / "closed" / "inside"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    inside.chmod(0o755)
    account = unprivileged(inside)
    assert account is not None
    assert account.capability is not None
    status = _status_of(account)
    assert status["Uid"] == [str(account.uid)] * 4
    assert int(status["CapEff"][0], 16) == 1 << account.capability
    subprocess.run(["ls", inside], preexec_fn=account.become, check=True)


@root_only
def test_without_such_a_capability_the_closed_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    monkeypatch.setattr("dev.account._permitted", lambda: 0)
    with pytest.raises(PermissionError, match=f"cannot reach {tmp_path}/closed: move the repository"):
        unprivileged(tmp_path / "closed")


@pytest.mark.skipif(os.geteuid() == 0, reason="for ordinary users")
def test_an_ordinary_user_stays_itself(tmp_path: Path) -> None:
    assert unprivileged(tmp_path) is None


def _status_of(account: Account) -> dict[str, list[str]]:
    """What the kernel says of a process that became the account and then started a program."""
    shown = subprocess.run(
        ["cat", "/proc/self/status"],
        preexec_fn=account.become,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: value.split() for name, _, value in (line.partition(":") for line in shown.stdout.splitlines())}
