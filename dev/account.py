"""The user that PostgreSQL runs as: it refuses to run as root, which is often the only user in a container."""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """An unprivileged user with at most one capability: to traverse directories it has no permission for."""

    name: str
    uid: int
    gid: int
    capability: int | None = None

    def become(self) -> None:
        """Switch this process from root to that user; meant to be called between fork and exec."""
        if self.capability is not None:
            _call(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        if self.capability is not None:
            _keep_capability(self.capability)

    def can_reach(self, path: Path) -> bool:
        """Return whether the permission bits of `path` and the directories above it let this user through."""
        return all(self._may_pass(folder) for folder in [path, *path.parents] if folder.is_dir())

    def _may_pass(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == self.gid else stat.S_IXOTH))


def unprivileged(*paths: Path) -> Account | None:
    """Return the user for a server that refuses to run as root; None if this process is not root.

    If `paths` are under directories that are closed to that user, such as /root, it is given permission to traverse
    them. Raises OSError, with a readable message, if this machine does not allow that.
    """
    if os.geteuid() != 0:
        return None
    entry = next((entry for entry in map(_entry, ("nobody", "daemon")) if entry is not None), None)
    if entry is None:
        raise PermissionError("PostgreSQL refuses to run as root, and this machine has no user `nobody`")
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    closed = next((path for path in paths if not account.can_reach(path.resolve())), None)
    if closed is None:
        return account
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if _permitted() >> capability & 1:
            return Account(account.name, account.uid, account.gid, capability)
    raise PermissionError(
        f"PostgreSQL refuses to run as root, and the user {account.name} cannot reach {closed}: "
        "move the repository to a place that every user can enter"
    )


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _permitted() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def _keep_capability(capability: int) -> None:
    """Drop all capabilities but one, and let it survive exec (capabilities(7), ambient set)."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; then the upper 32 capabilities, all off
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _call(_libc.capset(header, data))
    _call(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _call(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "changing the user")
