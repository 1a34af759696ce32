"""Known voices in the console: remembered with consent, recognised, renamed, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect

from common.db import Database
from common.jobs import Job
from common.settings import Settings
from dev.postgres import Postgres
from tests.db.job_cases import execute, one, submitted
from tests.db.voice_cases import ASKED, CONSENT, names, spoken, switched_on, voice
from tests.db.webhook_cases import KEY
from tests.e2e.console.axe import violations
from tests.e2e.console.conftest import NewConsole
from tests.e2e.console.transcripts import MODEL
from tests.e2e.service import Service, fresh_service


@pytest.fixture(scope="module")
def knowing(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that permits known voices; the others do not. Its jobs are put together by hand."""
    place = tmp_path_factory.mktemp("voices")
    with fresh_service(postgres, place, only_api=True, secret_key=KEY, voices="on") as service:
        yield service


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    database = Database(settings.sqlalchemy_url, 2)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def database(knowing: Service) -> Iterator[Database]:
    """The service's database, without voices, and switched off for the tenant."""
    with opened(knowing.settings) as database:
        execute(database, "DELETE FROM voices")
        switched_on(database, on=False)
        yield database


def meeting(database: Database, *degrees: float) -> Job:
    """A transcript whose speakers have voice prints, if the tenant keeps these."""
    job = submitted(database, model=MODEL, options=ASKED)
    return spoken(database, *[voice(angle) for angle in degrees], job=job)


def test_a_voice_is_remembered_with_consent_renamed_and_deleted(
    new_console: NewConsole, knowing: Service, database: Database
) -> None:
    console = new_console(at=knowing, bypass_csp=True)
    console.complaints.allow("410")  # there is no recording
    page = console.open("#/settings/voices")
    expect(page.get_by_text("No voices yet")).to_be_visible()
    expect(page.locator(".notice")).to_contain_text("Known voices are switched off")
    page.get_by_role("button", name="Switch on").click()
    page.get_by_role("dialog").get_by_role("button", name="Switch on").click()
    expect(page.locator(".notice")).to_have_count(0)
    job = meeting(database, 0, 90)
    page.goto(f"{knowing.url}/#/t/{job.public_id}")
    page.get_by_role("button", name="Remember the voice of Speaker 1…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("王芳")
    dialog.get_by_label("How and when").fill(CONSENT)
    dialog.get_by_role("button", name="Remember").click()
    agreed = dialog.get_by_label("This person has agreed")
    assert agreed.evaluate("box => box.validity.valueMissing")
    assert one(database, "SELECT count(*) FROM voices") == 0
    assert not violations(page)
    agreed.check()
    dialog.get_by_role("button", name="Remember").click()
    expect(page.locator(".speaker-name")).to_have_text(["王芳", "Speaker 2"])
    page.goto(f"{knowing.url}/#/settings/voices")
    line = page.locator("li.setting")
    expect(line).to_contain_text("王芳")
    expect(line).to_contain_text("1 sample")
    expect(line).to_contain_text(f"Consent: {CONSENT}")
    assert not violations(page)
    rename_and_delete(page, line)
    assert knowing.client.get("/v1/voices").json()["data"] == []
    assert one(database, "SELECT count(*) FROM voice_samples") == 0
    assert names(database, job) == ["王芳", None], "names in transcripts stay"


def rename_and_delete(page: Page, line: Locator) -> None:
    """Rename the only voice, and delete it, once with second thoughts."""
    page.get_by_role("button", name="Rename 王芳").click()
    page.get_by_role("dialog").get_by_label("Name").fill("王小芳")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(line.locator(".job-name")).to_have_text("王小芳")
    page.get_by_role("button", name="Delete 王小芳").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(line).to_have_count(1)
    page.get_by_role("button", name="Delete 王小芳").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No voices yet")).to_be_visible()
    expect(line).to_have_count(0)


def test_a_known_voice_is_recognised_and_gets_more_samples_in_chinese(
    new_console: NewConsole, knowing: Service, database: Database
) -> None:
    switched_on(database)
    first = meeting(database, 0)
    console = new_console(at=knowing, locale="zh-CN")
    console.complaints.allow("410")  # there is no recording
    page = console.open(f"#/t/{first.public_id}")
    page.get_by_role("button", name="记住说话人 1的声音…").click()
    dialog = page.get_by_role("dialog", name="记住这个声音")
    dialog.get_by_label("姓名").fill("李四")
    dialog.get_by_label("本人已同意保存并识别其声音。").check()
    dialog.get_by_label("同意的方式和时间").fill("书面同意")
    dialog.get_by_role("button", name="记住").click()
    expect(page.locator(".speaker-name")).to_have_text(["李四"])
    expect(page.locator(".speaker-known")).to_have_count(0)
    second = meeting(database, 90, 20)
    page.goto(f"{knowing.url}/#/t/{second.public_id}")
    expect(page.locator(".speaker-name")).to_have_text(["说话人 1", "李四"])
    expect(page.locator(".speaker-known")).to_have_text(["自动识别"])
    page.get_by_role("button", name="记住李四的声音…").click()
    expect(dialog.get_by_label("人员").locator("option:checked")).to_have_text("李四")
    expect(dialog.get_by_label("姓名")).to_have_count(0)
    dialog.get_by_role("button", name="记住").click()
    expect(dialog).to_have_count(0)
    page.goto(f"{knowing.url}/#/settings/voices")
    expect(page.locator("li.setting")).to_contain_text("2 个样本")
    expect(page.locator("li.setting")).to_contain_text("同意说明：书面同意")
    assert one(database, "SELECT count(*) FROM voice_samples") == 2
