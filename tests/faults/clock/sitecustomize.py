"""A wall clock that is wrong, for every module of a Python process that is started with this directory on its path.

The operating system cannot give one process another wall clock (time namespaces shift only the monotonic ones), so
the readings of Python are shifted by `FAULTS_CLOCK_SKEW_SECONDS`: `time` and `datetime`, from which Celery, kombu,
boto3, our logs and our own code take the time. Intervals (`time.monotonic`) stay right, as on a real machine.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

SKEW_SECONDS = float(os.environ.get("FAULTS_CLOCK_SKEW_SECONDS", "0"))
SKEW_NS = int(SKEW_SECONDS * 1_000_000_000)
_real_datetime = datetime.datetime
_real_time, _real_time_ns = time.time, time.time_ns
_real_gmtime, _real_localtime = time.gmtime, time.localtime


class _AnyDatetime(type):
    """Values created by C code have the real class and must pass as instances of this one."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _real_datetime)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, _real_datetime)


class _Skewed(_real_datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _real_datetime.now(tz) + datetime.timedelta(seconds=SKEW_SECONDS)

    @classmethod
    def utcnow(cls) -> Any:
        return _real_datetime.fromtimestamp(_real_time() + SKEW_SECONDS, datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


if SKEW_SECONDS:
    _Skewed.__name__ = _Skewed.__qualname__ = "datetime"
    _Skewed.__module__ = "datetime"
    time.time = lambda: _real_time() + SKEW_SECONDS
    time.time_ns = lambda: _real_time_ns() + SKEW_NS
    time.gmtime = lambda seconds=None: _real_gmtime(time.time() if seconds is None else seconds)
    time.localtime = lambda seconds=None: _real_localtime(time.time() if seconds is None else seconds)
    datetime.datetime = _Skewed  # type: ignore[misc]
