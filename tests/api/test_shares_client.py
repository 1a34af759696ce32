"""Share links with the client and the command."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest
from typer.testing import CliRunner, Result

from common import ids
from paraqueue import ApiError, AsyncClient, Client, NotFound
from paraqueue.cli.app import app
from paraqueue.config import KEY_VARIABLE, URL_VARIABLE
from tests.api.api_cases import Api
from tests.db.job_cases import completed, submitted
from tests.servers import ADMIN_KEY


def works(api: Api, token: str | None) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{api.client.base_url}/v1/shared", headers=headers, trust_env=False)
    return answer.status_code == 200


def test_the_client_makes_lists_and_ends_links(api: Api) -> None:
    job = completed(api.database).public_id
    with Client(str(api.client.base_url), ADMIN_KEY) as client:
        made = client.share(job, expires_in_days=0.5, audio=True)
        assert made.expires_at - made.created_at == timedelta(hours=12)
        assert made.audio
        assert made.url is not None
        assert made.url.endswith(f"#/shared/{made.token}")
        assert works(api, made.token)
        [listed] = client.shares(job)
        assert (listed.id, listed.views, listed.token, listed.url) == (made.id, 1, None, None)
        client.revoke_share(job, made.id)
        assert not works(api, made.token)
        with pytest.raises(NotFound):
            client.revoke_share(job, made.id)
        with pytest.raises(ApiError) as refused:
            client.share(submitted(api.database).public_id)
        assert refused.value.code == "not_ready"


def test_the_client_for_asyncio_does_the_same(api: Api) -> None:
    job = completed(api.database).public_id

    async def used() -> int:
        async with AsyncClient(str(api.client.base_url), ADMIN_KEY) as client:
            made = await client.share(job)
            assert works(api, made.token)
            await client.revoke_share(job, made.id)
            return len(await client.shares(job))

    assert asyncio.run(used()) == 0


def test_the_command_makes_lists_and_ends_links(api: Api) -> None:
    job = completed(api.database).public_id
    environment = {URL_VARIABLE: str(api.client.base_url), KEY_VARIABLE: ADMIN_KEY}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env=environment)

    url = run("share", job).stdout.strip()
    assert works(api, url.rpartition("/")[2])
    made = run("share", "--audio", job, "--expires", "2w")
    assert made.exit_code == 0, made.output
    [first, second] = [line.split("\t") for line in run("share", "list", job).stdout.splitlines()]
    assert [first[5], second[5]] == ["yes", "no"]
    assert (first[4], second[4]) == ("0", "1")
    assert ids.parsed(ids.SHARE, second[0])
    assert run("share", "revoke", job, second[0]).stdout == f"{second[0]} revoked\n"
    assert not works(api, url.rpartition("/")[2])
    assert run("share", "revoke", job, second[0]).exit_code == 5
    for wrong in ("7", "0d", "soon", "-1d"):
        assert run("share", job, f"--expires={wrong}").exit_code == 2
    assert "--expires" in run("share", "create", "--help").stdout
    assert "revoke" in run("share", "--help").stdout
