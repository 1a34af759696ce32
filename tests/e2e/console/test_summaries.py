"""Summaries in the console: made, shown as plain text, stale after a correction, with a template, canceled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from dev.postgres import Postgres
from tests.chat_server import MODEL, ChatServer, running_chat_server, writes
from tests.db.webhook_cases import KEY
from tests.e2e.console.axe import violations
from tests.e2e.console.conftest import NewConsole
from tests.e2e.console.transcripts import put, spoken
from tests.e2e.console.voice import MEETING
from tests.e2e.service import Service, fresh_service

HOSTILE = "<img src=x onerror=\"document.title='hacked'\">\n- 周五发布\n<script>document.title='hacked'</script>"


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    with running_chat_server(tmp_path_factory.mktemp("chat")) as server:
        yield server


@pytest.fixture(scope="module")
def summarizing(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, chat: ChatServer) -> Iterator[Service]:
    """A service with a chat endpoint; the others have none."""
    settings = {"summary_url": chat.base_url, "summary_model": MODEL, "summary_allowed_private": ("127.0.0.1",)}
    with fresh_service(postgres, tmp_path_factory.mktemp("summaries"), secret_key=KEY, **settings) as service:
        yield service


def test_a_summary_from_its_request_to_its_end(new_console: NewConsole, summarizing: Service, chat: ChatServer) -> None:
    job = put(summarizing.settings, spoken(12, 5), MEETING, name="董事会.mp3")
    console = new_console(at=summarizing, bypass_csp=True)
    page = console.open(f"#/t/{job.public_id}")
    panel = page.get_by_role("region", name="Summary")
    chat.answers = [writes(HOSTILE)]
    panel.get_by_label("What to write").select_option("decisions")
    panel.get_by_role("button", name="Summarize").click()
    text = panel.locator(".summary-text")
    expect(text).to_contain_text("<img src=x")
    assert text.inner_text() == HOSTILE
    assert "hacked" not in page.title()
    assert text.locator("*").count() == 0
    expect(panel).to_contain_text("Decisions")
    expect(panel).to_contain_text(MODEL)
    assert not violations(page)
    answer = summarizing.client.patch(f"/v1/transcriptions/{job.public_id}/sentences/0", json={"text": "改过的。"})
    assert answer.status_code == 200
    page.reload()
    expect(panel).to_contain_text("was changed after this summary")
    panel.get_by_role("button", name="Delete summary").click()
    expect(panel.get_by_role("button", name="Summarize")).to_be_visible()


def test_a_template_is_made_and_used_and_a_summary_canceled(
    new_console: NewConsole, summarizing: Service, chat: ChatServer
) -> None:
    job = put(summarizing.settings, spoken(5, 5), MEETING, name="例会.mp3")
    page = new_console(at=summarizing, bypass_csp=True).open("#/settings/templates")
    page.get_by_role("button", name="New template").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Letter")
    dialog.get_by_label("Instructions").fill("Write a letter.")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_label("Instructions")).to_have_value("Write a letter.")
    assert not violations(page)
    page.goto(f"{summarizing.url}/#/t/{job.public_id}")
    panel = page.get_by_role("region", name="Summary")
    chat.answers = [chat.hang]
    panel.get_by_label("What to write").select_option("Letter")
    panel.get_by_role("button", name="Summarize").click()
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("The summary was canceled.")
    panel.get_by_role("button", name="Make another").click()
    panel.get_by_label("What to write").select_option("Letter")
    panel.get_by_role("button", name="Summarize").click()
    expect(panel.locator(".summary-text")).to_be_visible()
    assert "Write a letter." in chat.asked[-1].system


def test_without_an_endpoint_nothing_is_offered(new_console: NewConsole, service: Service) -> None:
    job = put(service.settings, spoken(5, 5), MEETING, name="没有摘要.mp3")
    page = new_console().open(f"#/t/{job.public_id}")
    page.locator("[data-row]").first.wait_for()
    expect(page.get_by_role("region", name="Summary")).to_have_count(0)
