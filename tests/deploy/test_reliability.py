"""What docs/reliability.md says was measured is what the soak wrote down."""

from __future__ import annotations

import json
import re

from tests.deploy.images import path_of

PROMISED = {"lost", "differing", "webhooks_lost", "orphans", "left_behind", "stuck"}


def test_the_numbers_are_those_of_the_run() -> None:
    measured = json.loads(path_of("bench/results/soak.json").read_text("utf-8"))
    figures = dict(
        re.findall(r"^\| [^|]+ \| `(\w+)` \| ([\d,.]+) \|", path_of("docs/reliability.md").read_text("utf-8"), re.M)
    )
    assert figures.keys() >= PROMISED | {"jobs", "faults", "recovery_p50_s", "recovery_max_s", "audio_twice_share"}
    assert {key: float(value.replace(",", "")) for key, value in figures.items()} == {
        key: measured[key] for key in figures
    }


def test_the_run_lost_nothing_and_caused_every_fault() -> None:
    measured = json.loads(path_of("bench/results/soak.json").read_text("utf-8"))
    assert {key: measured[key] for key in PROMISED} == dict.fromkeys(PROMISED, 0)
    (table,) = measured["tables"]
    assert all(row["times"] >= 1 for row in table["rows"])
    assert len(table["rows"]) >= 14
