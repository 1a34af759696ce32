"""Two spellings of one bucket."""

from __future__ import annotations

import pytest

from common.storage import same_bucket

OURS = ("https://minio.corp.example", "audio")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://minio.corp.example",
        "https://MINIO.corp.example/",
        "https://minio.corp.example:443",
        "https://minio.corp.example.",
        "minio.corp.example",
        "https://audio.minio.corp.example",
        "https://user@minio.corp.example/path?query",
    ],
)
def test_spellings_of_one_endpoint(endpoint: str) -> None:
    assert same_bucket((endpoint, "audio"), OURS)
    assert not same_bucket((endpoint, "other"), OURS)


def test_names_of_one_address() -> None:
    assert same_bucket(("http://localhost:9000", "audio"), ("http://127.0.0.1:9000", "audio"))
    assert not same_bucket(("http://localhost:9001", "audio"), ("http://127.0.0.1:9000", "audio"))


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "https://s3.amazonaws.com",
        "https://s3.eu-west-1.amazonaws.com",
        "https://s3-us-west-2.amazonaws.com",
        "https://s3.dualstack.eu-west-1.amazonaws.com",
        "https://audio.s3.eu-west-1.amazonaws.com",
        "http://s3.us-east-1.amazonaws.com:80",
    ],
)
def test_amazon_has_one_name_space(endpoint: str | None) -> None:
    assert same_bucket((endpoint, "audio"), (None, "audio"))
    assert not same_bucket((endpoint, "audio"), OURS)


def test_alibaba_inside_and_outside() -> None:
    inside = ("https://oss-cn-hangzhou-internal.aliyuncs.com", "audio")
    assert same_bucket(inside, ("https://oss-cn-hangzhou.aliyuncs.com", "audio"))
