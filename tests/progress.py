"""What a run says while it goes on: each failure at once, and at the end the files that cost the most.

A run that is ended from outside, by the time limit of a CI for example, prints no summary; without this nothing would
be known of it but rows of dots.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Generator

import pytest

SLOW_PHASE_SECONDS = 60.0
COSTLIEST_FILES = 25
PROCESSOR_SECONDS = "processor_seconds"


class ProcessorTime:
    """Adds to each report the processor time of its phase, that of processes which ended in it included.

    On a machine that does other work too, wall time says little. A server that serves several tests counts where it
    ends.
    """

    def __init__(self) -> None:
        self._before = _used_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Called after the set-up, the call and the tear-down of each test, where the test runs."""
        report = yield
        used = _used_seconds()
        report.user_properties.append((PROCESSOR_SECONDS, used - self._before))
        self._before = used
        return report


def _used_seconds() -> float:
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


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
        # The properties of a test are one list, which all of its phases share.
        mine = [value for name, value in report.user_properties if name == PROCESSOR_SECONDS][-1:]
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
