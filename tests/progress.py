"""What a run says while it goes on: each failure at once, and at the end the files that cost the most.

A run that is ended from outside, by the time limit of a CI for example, prints no summary; without this nothing would
be known of it but rows of dots.
"""

from __future__ import annotations

import os
import resource
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

SLOW_PHASE_SECONDS = 60.0
COSTLIEST_FILES = 25
PROCESSOR_SECONDS = "processor_seconds"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ProcessorTime:
    """Adds to the last report of each test its processor time, with that of all processes below this one.

    On a machine that does other work too, wall time says little. What a server that serves several tests uses counts
    for the test that runs meanwhile.
    """

    def __init__(self) -> None:
        self._before = used_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Called after the set-up, the call and the tear-down of each test, where the test runs."""
        report = yield
        if call.when == "teardown":
            used = used_seconds()
            report.user_properties.append((PROCESSOR_SECONDS, used - self._before))
            self._before = used
        return report


def used_seconds() -> float:
    """Return the processor time of this process, of those that it waited for, and of all that run below it."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime + _used_below(os.getpid())


def _used_below(process: int | str) -> float:
    """Return the seconds of the processes below one, each with those that it waited for itself."""
    seconds = 0.0
    # A thread or process that has just ended has no files; its parent has its time.
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in listed.read_text().split():
                seconds += _used_by(child)
    return seconds


def _used_by(process: str) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS_PER_SECOND + _used_below(process)
    return 0.0


class Progress:
    """Prints: it belongs into the main process, not into the workers of pytest-xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started = time.monotonic()
        self._wall: defaultdict[str, float] = defaultdict(float)
        self._processor: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each report, from wherever the test ran."""
        path = report.nodeid.partition("::")[0]
        self._wall[path] += report.duration
        mine = [value for name, value in report.user_properties if name == PROCESSOR_SECONDS]
        self._processor[path] += sum(value for value in mine if isinstance(value, float))
        if report.failed:
            self._print(f"FAILED in {report.when} after {report.duration:.0f} s", report.nodeid)
            self._print_lines(report.longreprtext.splitlines()[-12:])
        elif report.duration > SLOW_PHASE_SECONDS:
            self._print(f"{report.when} took {report.duration:.0f} s", report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the files that cost the most."""
        terminalreporter.section("costliest files: seconds of processor time, of wall time")
        by_cost = sorted(self._processor.items(), key=lambda item: item[1], reverse=True)
        for path, seconds in by_cost[:COSTLIEST_FILES]:
            terminalreporter.write_line(f"{seconds:8.1f} {self._wall[path]:8.1f}  {path}")
        total = sum(self._processor.values())
        terminalreporter.write_line(f"{total:8.1f} {sum(self._wall.values()):8.1f}  all")

    def _print(self, what: str, nodeid: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        self._print_lines([f"[{minutes}:{seconds:02}] {what}: {nodeid}"])

    def _print_lines(self, lines: list[str]) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if isinstance(reporter, pytest.TerminalReporter):
            reporter.ensure_newline()
            for line in lines:
                reporter.write_line(line)
