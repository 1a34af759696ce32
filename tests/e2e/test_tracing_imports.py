"""Tracing costs no import where it is off."""

from __future__ import annotations

import os
import subprocess
import sys

from dev.stack import REPOSITORY


def test_tracing_costs_no_import_where_it_is_off() -> None:
    code = (
        "import sys, worker.light\n"
        "from common.settings import Settings\n"
        "from common.telemetry.tracing import configure_tracing\n"
        "configure_tracing(Settings(), service='test')\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
        # FastAPI and the Redis client import the parts of it that they find, but nothing that sends.
        "import api.main\n"
        "sending = ('opentelemetry.sdk.trace', 'opentelemetry.exporter')\n"
        "print([name for name in sys.modules if name.startswith(sending)])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=REPOSITORY
    )
    assert completed.stdout.split() == ["[]", "[]"], completed.stdout + completed.stderr
