"""Settings: usage, vocabularies, keys, webhooks."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.console.conftest import Console, NewConsole
from tests.e2e.console.test_submit import FILES, MEETING, done
from tests.e2e.service import Service


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    """The URL of a webhook receiver, and the ids it received."""
    got: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            got.append(self.headers["webhook-id"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"thank you")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", got
        server.shutdown()


def test_usage_is_shown_by_day_and_key(console: Console, service: Service) -> None:
    # A key of its own: other tests' jobs may still end, and their keys' figures change.
    made = service.client.post("/v1/keys", json={"name": "counted", "scopes": ["submit", "read"]}).json()
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {made['key']}"}) as client:
        files = {"file": (MEETING.name, MEETING.read_bytes())}
        answer = client.post("/v1/transcriptions", files=files)
    service.finished(answer.raise_for_status().json()["id"])
    page = console.open("#/settings")
    row = page.get_by_role("row").filter(has_text="counted")
    expect(row).to_be_visible()
    expect(row.get_by_role("cell").nth(2)).to_have_text("1")
    assert page.locator(".chart rect.series-0").count() >= 1
    page.get_by_role("tab", name="7 days").click()
    expect(page.get_by_text("Audio per day").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert "audio_minutes" in download.value.path().read_text()


def test_the_table_of_usage_fits_on_a_small_phone(new_console: NewConsole, service: Service) -> None:
    name = "a key with a long name, " * 2 + "x" * 40
    made = service.client.post("/v1/keys", json={"name": name, "scopes": ["submit", "read"]}).json()
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {made['key']}"}) as client:
        files = {"file": (MEETING.name, MEETING.read_bytes())}
        answer = client.post("/v1/transcriptions", files=files)
    service.finished(answer.raise_for_status().json()["id"])
    page = new_console(viewport={"width": 320, "height": 640}).open("#/settings")
    expect(page.get_by_role("row").filter(has_text=name)).to_be_visible()
    for place in (".scroll", "body"):
        assert page.locator(place).first.evaluate("(box) => box.scrollWidth <= box.clientWidth"), place


def test_a_key_is_shown_once_and_works_until_it_is_revoked(console: Console, service: Service) -> None:
    page = console.open("#/settings/keys")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Create key").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Name").fill("nightly")
    form.get_by_label("Submit").uncheck()
    form.get_by_text("Limits", exact=True).click()
    form.get_by_label("Requests per minute").fill("77")
    form.get_by_role("button", name="Create key").click()
    secret = page.get_by_role("textbox", name="New key").input_value()
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="I have saved it").click()
    line = page.locator("li.setting").filter(has_text="nightly")
    expect(line).to_contain_text("77 requests per minute")
    assert secret not in page.content()
    answer = service.client.get("/v1/transcriptions", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert '"calls";q=77' in answer.headers["ratelimit-policy"]

    line.get_by_role("button", name="Rotate nightly").click()
    page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
    expect(page.get_by_role("textbox", name="New key")).not_to_have_value(secret)
    page.keyboard.press("Escape")
    line.get_by_role("button", name="Revoke nightly").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(line).to_contain_text("Revoked")
    [key] = [key for key in service.client.get("/v1/keys").json()["data"] if key["name"] == "nightly"]
    assert key["revoked_at"]


def test_a_webhook_endpoint_is_made_tested_and_its_log_replayed(
    console: Console, receiver: tuple[str, list[str]], service: Service
) -> None:
    url, got = receiver
    page = console.open("#/settings/webhooks")
    page.get_by_role("button", name="Add endpoint").click()
    page.get_by_label("URL").fill(url)
    page.get_by_label("Description").fill("the archive")
    page.get_by_role("dialog").get_by_role("button", name="Add endpoint").click()
    assert page.get_by_role("textbox", name="Signing secret").input_value().startswith("whsec_")
    page.get_by_role("button", name="I have saved it").click()
    page.get_by_role("link", name=url).click()
    page.get_by_role("button", name="Send test event").click()
    line = page.locator("li.setting").filter(has_text="Test event")
    expect(line).to_contain_text("Delivered")
    expect(line).to_contain_text("HTTP 200")
    line.get_by_text("Response").click()
    expect(line).to_contain_text("thank you")
    line.get_by_role("button", name="Resend").click()
    expect(line).to_contain_text("2 attempts")
    assert max(map(got.count, got)) == 2  # the same event, under the same id; others may have come between
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("Disabled", exact=True)).to_be_visible()
    page.get_by_role("button", name="Rotate secret").click()
    page.get_by_role("dialog").get_by_role("button", name="Rotate secret").click()
    expect(page.get_by_role("textbox", name="Signing secret")).to_be_visible()
    page.get_by_role("button", name="I have saved it").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Add endpoint")).to_be_visible()
    expect(page.get_by_role("link", name=url)).to_have_count(0)
    assert url not in service.client.get("/v1/webhooks").text


def test_a_receiver_that_is_not_there_is_said_in_words(
    console: Console, new_console: NewConsole, service: Service
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/hook"
    made = service.client.post("/v1/webhooks", json={"url": url}).raise_for_status().json()
    service.client.post(f"/v1/webhooks/{made['id']}/test").raise_for_status()
    for own, words in ((console, "connection failed"), (new_console(locale="zh-CN"), "连接失败")):
        line = own.open(f"#/settings/webhooks/{made['id']}").locator("li.setting").first
        expect(line).to_contain_text(words)
        expect(line).not_to_contain_text("ConnectError")
    service.client.delete(f"/v1/webhooks/{made['id']}").raise_for_status()


def test_an_address_that_is_none_is_refused_beside_the_form(console: Console) -> None:
    console.complaints.allow("422")
    page = console.open("#/settings/webhooks")
    page.get_by_role("button", name="Add endpoint").click()
    page.get_by_label("URL").fill("http://user:secret@example.com/hook")
    page.get_by_role("dialog").get_by_role("button", name="Add endpoint").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()


def test_a_vocabulary_is_made_filled_chosen_at_submit_and_remembered(
    console: Console, service: Service, tmp_path: Path
) -> None:
    page = console.open("#/settings/vocabularies")
    page.get_by_role("button", name="Create vocabulary").click()
    page.get_by_label("Name").fill("董事会")
    page.get_by_role("dialog").get_by_role("button", name="Create", exact=True).click()
    page.get_by_label("Hotwords").fill("王晓明：8，李四\n字")
    expect(page.get_by_text("“字” is not valid")).to_be_visible()
    page.get_by_label("Hotwords").fill("王晓明：8，李四")
    page.get_by_label("Masked words").fill("坏蛋")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Hotwords (2)")).to_have_value("王晓明:8\n李四")
    made = service.client.get("/v1/vocabularies").json()["data"][0]
    assert (made["name"], made["revision"], made["masked_word_count"]) == ("董事会", 2, 1)
    # Somebody else changes it meanwhile.
    service.client.patch(f"/v1/vocabularies/{made['id']}", json={"hotwords": ["张三"]})
    console.complaints.allow("409")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Somebody else has changed this vocabulary.")).to_be_visible()

    page.get_by_role("link", name="Transcribe", exact=True).click()
    page.get_by_label("Vocabulary").select_option(label="董事会")
    page.get_by_label("Hotwords").fill("Kubernetes, 吉特=>Git")
    name = "with-words.mp3"
    page.set_input_files(FILES, [shutil.copy(MEETING, tmp_path / name)])
    done(page, name)
    page.reload()
    expect(page.get_by_label("Hotwords")).to_have_value("Kubernetes, 吉特=>Git")
    expect(page.get_by_label("Vocabulary")).to_have_value(made["id"])
    jobs = service.client.get("/v1/transcriptions").json()["data"]
    [job] = [job for job in jobs if job["source"]["name"] == name]
    assert (job["vocabulary_id"], job["hotwords"]) == (made["id"], ["Kubernetes", "吉特=>Git"])

    page.goto(page.url.partition("#")[0] + f"#/settings/vocabularies/{made['id']}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Create vocabulary")).to_be_visible()
    expect(page.get_by_role("link", name="董事会")).to_have_count(0)
    page.get_by_role("link", name="Transcribe", exact=True).click()
    expect(page.get_by_label("Vocabulary")).to_have_value("")


def test_the_admin_of_a_tenant_switches_sharing_off_and_on(new_console: NewConsole, service: Service) -> None:
    made = service.client.post("/v1/keys", json={"name": "a", "tenant": "sharers", "scopes": ["admin", "read"]}).json()
    page = new_console(key=made["key"]).open("#/settings/keys")
    box = page.get_by_label("Transcripts may be shared by links")
    expect(box).to_be_checked()
    box.uncheck()
    expect(page.get_by_text("Share links are switched off.")).to_be_visible()
    assert service.client.get("/v1/tenants/sharers").json()["sharing"] is False
    page.reload()
    expect(box).not_to_be_checked()
    box.check()
    expect(page.get_by_text("Share links are switched on.")).to_be_visible()
    assert service.client.get("/v1/tenants/sharers").json()["sharing"] is True
