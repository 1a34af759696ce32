"""The client's wheel in an environment of its own; with a service it is tried in test_client.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dev.stack import REPOSITORY
from tests.e2e.installed import environment, run

SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
# What the services are made of has no place in a client.
HEAVY = ("torch", "fastapi", "sqlalchemy", "celery", "numpy", "imageio_ffmpeg", "api", "worker", "common", "admin")
COMMANDS = "submit transcribe status wait get watch list cancel retry delete models usage keys config"


def test_it_is_small_and_brings_nothing_of_the_service(installed: Path, tmp_path: Path) -> None:
    code = "import json, sys, importlib.util as u, paraqueue.cli.app; "
    code += f"print(json.dumps([name for name in {HEAVY} if name in sys.modules or u.find_spec(name)]))"
    ran = run(installed / "python", "-c", code, cwd=tmp_path, env=environment(tmp_path))
    assert (ran.returncode, json.loads(ran.stdout or "null")) == (0, []), ran.stderr
    size = sum(path.stat().st_size for path in installed.parent.rglob("*") if path.is_file())
    assert size < 100 * 2**20


def test_the_command_helps_and_completes(installed: Path, tmp_path: Path) -> None:
    known = environment(tmp_path)
    helped = run(installed / "paraqueue", "--help", cwd=tmp_path, env=known)
    assert helped.returncode == 0, helped.stderr
    for command in COMMANDS.split():
        assert re.search(rf"\b{command}\b", helped.stdout), command
    version = run(installed / "paraqueue", "--version", cwd=tmp_path, env=known)
    assert re.fullmatch(r"paraqueue \d+\.\d+\.\d+\n", version.stdout)
    for shell in ("bash", "zsh", "fish"):
        variables = {"_PARAQUEUE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "paraqueue su"}
        variables |= {"COMP_WORDS": "paraqueue su", "COMP_CWORD": "1", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        completed = run(installed / "paraqueue", cwd=tmp_path, env=known | variables)
        assert "submit" in completed.stdout, (shell, completed.stderr)
        assert "usage" not in completed.stdout


def test_without_the_engine_local_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    ran = run(installed / "paraqueue", "transcribe", SAMPLE, "--local", cwd=tmp_path, env=environment(tmp_path))
    assert (ran.returncode, "checkout" in ran.stderr) == (2, True), ran.stderr
    here = run(installed / "paraqueue", "transcribe", SAMPLE, "--local", cwd=REPOSITORY, env=environment(tmp_path))
    assert (here.returncode, "torch" in here.stderr) == (2, True), here.stderr
