"""Receive webhooks: check the signature, answer at once, then write the transcript to a folder.

    export PARAQUEUE_WEBHOOK_SECRET=whsec_…    # the service has the same one
    python examples/webhook_receiver.py texts --port 9000
    paraqueue submit meeting.mp3 --webhook http://127.0.0.1:9000/

Register an endpoint (docs/webhooks.md) to hear of all transcriptions; then the secret is that of the endpoint.
"""

from __future__ import annotations

import argparse
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from paraqueue import Client, Event, NotFound, UnverifiedWebhook, verify_webhook

MOST_BYTES = 1024 * 1024
events: SimpleQueue[Event] = SimpleQueue()


class Receiver(BaseHTTPRequestHandler):
    """Accepts an event and leaves the work to another thread: the service waits at most 15 seconds for an answer.

    Events wait in memory here. A program that must miss none stores an event before it answers.
    """

    timeout = 15

    def do_POST(self) -> None:
        """Answer one event."""
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= MOST_BYTES:
            self.send_error(413)
            return
        try:
            body = self.rfile.read(length)
            event = verify_webhook(body, dict(self.headers), os.environ["PARAQUEUE_WEBHOOK_SECRET"])
        except UnverifiedWebhook:
            self.send_error(401)
            return
        self.send_response(204)
        self.end_headers()
        events.put(event)


def main() -> None:
    """Receive until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Write transcripts to a folder when webhooks announce them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    print(f"receiving at http://127.0.0.1:{server.server_port}/", flush=True)
    with Client() as client:
        while True:
            event = events.get()
            if event.type != "transcription.completed" or event.transcription_id is None:
                print(f"{event.type}: {event.transcription_id}", flush=True)
                continue
            # An event may arrive twice; the second one writes the same file again.
            path = options.folder / f"{event.transcription_id}.txt"
            try:
                path.write_text(client.text(event.transcription_id), encoding="utf-8")
            except NotFound:
                print(f"{event.transcription_id} was deleted", flush=True)
            else:
                print(path, flush=True)


if __name__ == "__main__":
    main()
