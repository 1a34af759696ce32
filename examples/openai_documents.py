"""Turn a recording into documents for a search index or a chain such as LangChain's, with OpenAI's own SDK.

    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=pq_live_…
    python examples/openai_documents.py meeting.mp3 > documents.jsonl

Each line is a document of some sentences, with the times at which they are said. Needs the package openai. Any program
that takes a base URL for OpenAI's speech-to-text works in this way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from openai import OpenAI

DOCUMENT_CHARACTERS = 400


def documents(source: str, segments: Iterable[Any], most: int) -> Iterator[dict[str, Any]]:
    """Group sentences into documents of up to `most` characters; times are seconds."""
    text, start, end = "", 0.0, 0.0
    for segment in segments:
        if text and len(text) + len(segment.text) > most:
            yield {"page_content": text, "metadata": {"source": source, "start": start, "end": end}}
            text = ""
        start = start if text else segment.start
        text, end = f"{text} {segment.text}".strip(), segment.end
    if text:
        yield {"page_content": text, "metadata": {"source": source, "start": start, "end": end}}


def main() -> None:
    """Print the documents of one recording as JSON, one per line."""
    parser = argparse.ArgumentParser(description="Turn a recording into documents.")
    parser.add_argument("recording", type=Path)
    parser.add_argument("--characters", type=int, default=DOCUMENT_CHARACTERS)
    options = parser.parse_args()
    spoken = OpenAI().audio.transcriptions.create(
        file=options.recording, model="whisper-1", response_format="verbose_json"
    )
    for document in documents(options.recording.name, spoken.segments or (), options.characters):
        print(json.dumps(document, ensure_ascii=False))


if __name__ == "__main__":
    main()
