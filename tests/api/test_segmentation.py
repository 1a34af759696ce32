"""The option `segmentation` over HTTP: asked for in every way, shown, and reported by models."""

from __future__ import annotations

import asyncio
import json
from typing import get_args

import pytest

from common import jobs
from common.jobs import Worker
from common.options.model_cards import ModelCard
from common.options.segmentation import SEGMENTATION_NAMES, SEGMENTATIONS
from common.options.transcription import TranscriptionOptions
from paraqueue import AsyncClient, Client
from paraqueue.cli.channels import SegmentationChoice, segmentation_options
from paraqueue.statuses import Segmentation
from tests.api.api_cases import Api, problem_of
from tests.db.job_cases import MODEL, claimed, complete, submitted
from tests.servers import ADMIN_KEY

LINK = "https://example.com/a.mp3"


def newest(api: Api) -> str | None:
    return jobs.page(api.database).jobs[0].options.segmentation


def test_a_link_a_batch_and_a_form_take_it(api: Api) -> None:
    for name in SEGMENTATION_NAMES:
        answer = api.client.post("/v1/transcriptions", json={"audio_url": LINK, "segmentation": name})
        assert (answer.status_code, answer.json()["segmentation"]) == (202, name)
        assert newest(api) == name
    assert api.client.post("/v1/transcriptions", json={"audio_url": LINK}).json()["segmentation"] is None
    assert api.client.post("/v1/batches", json={"audio_urls": [LINK], "segmentation": "call"}).status_code == 202
    assert newest(api) == "call"
    answer = api.client.post("/v1/transcriptions", files={"file": ("a.wav", b"RIFF")}, data={"segmentation": "lecture"})
    assert answer.status_code == 202
    assert newest(api) == "lecture"


def test_the_client_and_the_command_send_it(api: Api) -> None:
    assert set(get_args(Segmentation)) == set(SegmentationChoice) == set(SEGMENTATION_NAMES) == set(SEGMENTATIONS)
    url = f"http://127.0.0.1:{api.port}"
    with Client(url, ADMIN_KEY) as client:
        assert client.submit(LINK, **segmentation_options(SegmentationChoice.MEETING)).segmentation == "meeting"
        assert client.submit(b"RIFF", name="a.wav", segmentation="dynamic").segmentation == "dynamic"
        assert newest(api) == "dynamic"
        client.submit_batch([LINK], segmentation="fixed")
        assert newest(api) == "fixed"

    async def submitted() -> str | None:
        async with AsyncClient(url, ADMIN_KEY) as client:
            return (await client.submit(LINK, segmentation="lecture")).segmentation

    assert asyncio.run(submitted()) == "lecture"


@pytest.mark.parametrize("wrong", ["", "adaptive", "FIXED", 1])
def test_others_are_refused(api: Api, wrong: object) -> None:
    answer = api.client.post("/v1/transcriptions", json={"audio_url": LINK, "segmentation": wrong})
    assert "segmentation" in problem_of(answer, 422, "invalid_request")["detail"]


def test_the_result_and_the_transcript_show_it(api: Api) -> None:
    claim = claimed(api.database, submitted(api.database, options=TranscriptionOptions(segmentation="fixed")))
    partial = json.loads(api.get(f"/{claim.job.public_id}/transcript?partial=true").text)
    assert partial["segmentation"] is None
    complete(api.database, claim, "好。")
    assert api.get(f"/{claim.job.public_id}").json()["result"]["segmentation"] == "fixed"
    assert json.loads(api.get(f"/{claim.job.public_id}/transcript").text)["segmentation"] == "fixed"
    with Client(f"http://127.0.0.1:{api.port}", ADMIN_KEY) as client:
        assert client.transcript(claim.job.public_id).segmentation == "fixed"


def test_models_report_their_default(api: Api) -> None:
    assert api.client.get("/v1/models").json()["data"][0]["segmentation"] == "fixed"
    card = ModelCard(segmentation="dynamic")
    jobs.register_worker(api.database, Worker("w", MODEL, "r1", "fp32", "cpu", 2, card=card))
    try:
        assert api.client.get("/v1/models").json()["data"][0]["segmentation"] == "dynamic"
    finally:
        jobs.unregister_worker(api.database, "w")
