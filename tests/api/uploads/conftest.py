"""An API for uploads, on a disk and on S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from common.storage import make_storage
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.api.upload_cases import bucket_settings
from tests.api.uploads.cases import LIMIT
from tests.db.job_cases import execute


@pytest.fixture(scope="module", params=["local", "s3"])
def shared(
    request: pytest.FixtureRequest, postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    place = tmp_path_factory.mktemp("api")
    more = bucket_settings(request.getfixturevalue("s3_server")) if request.param == "s3" else {}
    with shared_api(postgres, valkey, place, max_upload_bytes=LIMIT, upload_idle_seconds=2, **more) as api:
        yield replace(api, storage=make_storage(api.settings))


@pytest.fixture
def api(shared: Api) -> Api:
    execute(shared.database, "DELETE FROM uploads; DELETE FROM jobs")
    shared.storage.delete_all("audio/")
    return shared
