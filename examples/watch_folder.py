"""Watch a folder: every recording that is put into it gets a transcript beside it.

    python examples/watch_folder.py recordings --format srt

Started again, it continues: recordings that already have a transcript are skipped.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from paraqueue import Client, JobEnded, ParaqueueError
from paraqueue.exports import FileFormat
from paraqueue.extensions import EXTENSIONS

EVERY_SECONDS = 10.0
# A file that changed more recently may still be being copied.
SETTLED_SECONDS = 10.0
AT_ONCE = 4


def waiting(folder: Path, form: FileFormat) -> list[Path]:
    """The recordings that have neither a transcript nor a failure beside them."""
    settled = time.time() - SETTLED_SECONDS
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower().removeprefix(".") in EXTENSIONS
        and path.stat().st_mtime < settled
        and not any(path.with_name(f"{path.name}.{ending}").exists() for ending in (form, "failed"))
    ]


def transcribe(client: Client, path: Path, form: FileFormat) -> None:
    """Write the transcript of a recording, or why there is none."""
    try:
        job = client.wait(client.submit(path, tags=["watched"], dedupe=True).id)
        if job.status != "completed":
            raise JobEnded(job)
        path.with_name(f"{path.name}.{form}").write_bytes(client.export(job.id, form))
        print(f"{path}: done", flush=True)
    except JobEnded as error:
        path.with_name(f"{path.name}.failed").write_text(f"{error}\n", encoding="utf-8")
        print(f"{path}: {error}", flush=True)
    except (ParaqueueError, OSError) as error:
        print(f"{path}: {error}; it is tried again", flush=True)


def main() -> None:
    """Watch until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Transcribe every recording in a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--format", default="txt")
    parser.add_argument("--once", action="store_true", help="transcribe what is there, and stop")
    options = parser.parse_args()
    with Client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
        while True:
            recordings = waiting(options.folder, options.format)
            list(pool.map(lambda path: transcribe(client, path, options.format), recordings))
            if options.once:
                return
            time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main()
