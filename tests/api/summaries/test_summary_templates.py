"""Templates for summaries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.summaries import templates
from tests.api.api_cases import Api, problem_of
from tests.api.summaries.cases import PATH, template


def test_a_template_from_its_making_to_its_end(api: Api) -> None:
    answer = api.client.post(PATH, json={"name": " Letter ", "prompt": "Write\na letter. "})
    created = answer.json()
    here = f"{PATH}/{created['id']}"
    assert answer.headers["Location"].endswith(here)
    assert (created["name"], created["prompt"], created["revision"]) == ("Letter", "Write\na letter.", 1)
    assert api.client.get(here).json() == created
    changed = api.client.patch(here, json={"prompt": "Write two.", "revision": 1}).json()
    assert (changed["prompt"], changed["revision"]) == ("Write two.", 2)
    assert changed["updated_at"] > created["updated_at"]
    assert api.client.patch(here, json={"prompt": "Write two."}).json() == changed, "nothing has changed"
    problem_of(api.client.patch(here, json={"name": "x", "revision": 1}), 409, "summary_template_changed")
    assert api.client.delete(here).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        problem_of(api.client.request(method, here, json={"name": "x"}), 404, "not_found")


def test_templates_have_names_of_their_own_and_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [template(api, f"t{number}")["id"] for number in range(5)][::-1]
    first = api.client.get(PATH, params={"limit": 3}).json()
    second = api.client.get(PATH, params={"limit": 3, "after": first["next"]}).json()
    assert [item["id"] for item in first["data"] + second["data"]] == every
    problem_of(api.client.post(PATH, json={"name": "t0", "prompt": "p"}), 409, "summary_template_name_taken")
    problem_of(api.client.patch(f"{PATH}/{every[0]}", json={"name": "t0"}), 409, "summary_template_name_taken")
    monkeypatch.setattr(templates, "MAX_TEMPLATES", 7)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: api.client.post(PATH, json={"name": f"n{n}", "prompt": "p"}), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 4
    problem_of(api.client.post(PATH, json={"name": "more", "prompt": "p"}), 409, "too_many_summary_templates")


@pytest.mark.parametrize(
    "body", [{}, {"name": "a"}, {"name": "a", "prompt": " "}, {"name": "a", "prompt": "x" * 4001}, {"prompt": "p\x00"}]
)
def test_a_template_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any]) -> None:
    problem_of(api.client.post(PATH, json=body), 422, "invalid_request")
