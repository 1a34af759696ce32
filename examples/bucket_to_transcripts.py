"""Transcribe the recordings in an S3 bucket, and put the transcripts beside them.

    python examples/bucket_to_transcripts.py recordings --prefix 2026/ --format srt

The service reads the recordings itself: allow the bucket in PARAQUEUE_SOURCE_S3_BUCKETS. This program needs the usual
variables of AWS (`AWS_ACCESS_KEY_ID`, …, and `AWS_ENDPOINT_URL` for another store), and the package boto3.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import boto3

from paraqueue import Client
from paraqueue.exports import FileFormat
from paraqueue.extensions import EXTENSIONS

MOST_LINKS = 100


def keys_in(store: Any, bucket: str, prefix: str) -> Iterator[str]:
    """The keys of all objects in a bucket."""
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            yield item["Key"]


def waiting(keys: set[str], form: FileFormat) -> list[str]:
    """The keys of recordings that have no transcript beside them."""
    recordings = sorted(key for key in keys if key.rpartition(".")[2].lower() in EXTENSIONS)
    return [key for key in recordings if f"{key}.{form}" not in keys]


def transcribe(client: Client, store: Any, bucket: str, keys: list[str], form: FileFormat) -> int:
    """Transcribe up to 100 recordings in one batch; return how many of them have no transcript."""
    links = [f"s3://{bucket}/{quote(key)}" for key in keys]
    missing = 0
    for item in client.submit_batch(links, tags=["bucket"]).items:
        key = keys[item.index]
        job = client.wait(item.id) if item.id is not None else None
        error = item.error if job is None else job.error
        if job is None or job.status != "completed":
            missing += 1
            print(f"{key}: {error.message if error else 'canceled'}", file=sys.stderr)
            continue
        store.put_object(Bucket=bucket, Key=f"{key}.{form}", Body=client.export(job.id, form))
        print(f"{key}.{form}")
    return missing


def main() -> int:
    """Transcribe all of a bucket; the exit status is 1 if some recording could not be transcribed."""
    parser = argparse.ArgumentParser(description="Transcribe the recordings in an S3 bucket.")
    parser.add_argument("bucket")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--format", default="txt")
    options = parser.parse_args()
    store = boto3.client("s3")
    keys = waiting(set(keys_in(store, options.bucket, options.prefix)), options.format)
    with Client() as client:
        batches = [keys[start : start + MOST_LINKS] for start in range(0, len(keys), MOST_LINKS)]
        missing = sum(transcribe(client, store, options.bucket, batch, options.format) for batch in batches)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
