"""`python -m dev`: start the whole stack, transcribe the sample, serve until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx

from dev.demo import problems, reference_of, transcribe
from dev.process import StackError, Stop, adopt_orphans, end_with_parent, heed_signals, kill_orphans, pause
from dev.stack import REPOSITORY, Options, Stack
from dev.terminal import Terminal

SAMPLES = REPOSITORY / "samples"


def main() -> int:
    """Run the command line; the exit code is 0 unless something is wrong or `--once` was interrupted."""
    options = _arguments()
    if options.end_with_parent:
        end_with_parent()
    adopt_orphans()
    terminal = Terminal()
    heed_signals()
    stack = Stack(
        Options(
            options.data.resolve(),
            options.port,
            options.flower_port,
            options.postgres_port,
            options.valkey_port,
            options.ready_seconds,
        )
    )
    try:
        return _run(stack, options, terminal)
    except Stop as stop:
        terminal.step("stopping (once more to end at once)")
        return 0 if stack.ready and not options.once else 128 + stop.number
    except (StackError, httpx.HTTPError) as error:
        terminal.error(str(error))
        return 1
    except OSError as error:
        terminal.error(_in_words(error))
        return 1
    finally:
        stack.close()
        kill_orphans()  # only here: in a process that has other children this would end them too


def _run(stack: Stack, options: argparse.Namespace, terminal: Terminal) -> int:
    audio = _audio(options.audio) if not options.no_demo else None
    stack.start(terminal.step)
    terminal.step("ready")
    right = True
    if audio is not None:
        right = _demo(stack, audio, terminal)
    if options.once:
        return 0 if right else 1
    terminal.addresses(stack)
    terminal.step("serving; Ctrl-C ends everything")
    while True:
        stack.check()
        pause(0.5)


def _demo(stack: Stack, audio: Path, terminal: Terminal) -> bool:
    """Transcribe the sample, print it, and say whether it is right."""
    reference = reference_of(audio)
    with terminal.progress(audio.name) as show:
        outcome = transcribe(stack.url, stack.api_key, audio, show, stack.check)
    terminal.transcript(outcome, reference)
    wrong = problems(outcome, reference)
    for problem in wrong:
        terminal.error(f"the transcript of {audio.name} is wrong: {problem}")
    return not wrong


def _audio(chosen: Path | None) -> Path:
    """The file to transcribe: the chosen one, or the sample that has a reference."""
    if chosen is not None:
        if not chosen.is_file():
            raise StackError(f"there is no audio file {chosen}")
        return chosen
    for reference in sorted(SAMPLES.glob("*.json")):
        for audio in sorted(SAMPLES.glob(f"{reference.stem}.*")):
            if audio != reference:
                return audio
    raise StackError(f"no sample audio in {SAMPLES}; choose a file with --audio, or start with --no-demo")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="exit after printing the transcript, with status 0 if it is correct"
    )
    parser.add_argument("--no-demo", action="store_true", help="do not transcribe the sample")
    parser.add_argument("--audio", type=Path, help="transcribe this file instead of the sample")
    parser.add_argument("--data", type=Path, default=REPOSITORY / ".paraqueue", help="directory for all data")
    parser.add_argument("--port", type=_port, default=8000, help="port of the API (8000)")
    parser.add_argument("--flower-port", type=_port, help="port of Flower (5555, or a free one)")
    parser.add_argument("--postgres-port", type=_port, help="port of PostgreSQL (a free one)")
    parser.add_argument("--valkey-port", type=_port, help="port of Valkey (a free one)")
    parser.add_argument("--ready-seconds", type=float, help="time limit for the start (600; longer for a download)")
    parser.add_argument("--end-with-parent", action="store_true", help="exit when the calling process exits")
    return parser.parse_args()


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


def _in_words(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{what}: {error.filename}" if error.filename else what


if __name__ == "__main__":
    sys.exit(main())
