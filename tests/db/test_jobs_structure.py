"""Sentences split, merged and corrected at random, and compared with a model in memory."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from common import jobs
from common.db import Database
from common.errors import EditConflict, InvalidRequest, NotFound, NotReady
from common.jobs import Seen
from common.transcript.sentence_numbers import begins_at, number_at, place_of
from tests.db.job_cases import (
    NO_LIMIT,
    at_once,
    claimed,
    completed,
    execute,
    one,
    part,
    rows,
)
from tests.db.structure_cases import Machine, change, compare, recorded


@pytest.mark.parametrize("seed", range(6))
def test_every_reader_follows_what_people_did(database: Database, seed: int) -> None:
    machine = Machine(random.Random(seed))
    job = recorded(database, machine, 8)
    recognised = [replace(item, edit=None) for item in jobs.sentences(database, job)]
    for step in range(30):
        change(database, job, machine)
        if step % 6 == 5:
            compare(database, job, machine, recognised)
    # All in one, and apart again: what nobody corrected is what the machine made.
    while len(machine.shown) > 1:
        jobs.merge(database, job, machine.shown[0].number)
        machine.merge(0)
    compare(database, job, machine, recognised)
    jobs.correct(database, job, 0, None)
    for item in reversed(recognised[1:]):
        place = sum(len(before.words) for before in recognised if (before.number or 0) < (item.number or 0))
        jobs.split(database, job, 0, at_word=place)
    apart = list(jobs.sentences(database, job))
    assert [(item.text, item.number, item.start_ms, item.end_ms) for item in apart] == [
        (item.text, item.number, item.start_ms, item.end_ms) for item in recognised
    ]


def test_two_people_at_once(database: Database) -> None:
    job = completed(database, None, "一二三四五六七八。", "九十。")
    heard = "一二三四五六七八。"

    def cut(word: int) -> str:
        try:
            jobs.split(database, job, 0, at_word=word, seen=Seen(0, heard))
        except EditConflict:
            return "conflict"
        return "split"

    assert sorted(at_once([lambda word=word: cut(word) for word in range(1, 7)])) == [  # type: ignore[misc]
        *["conflict"] * 5,
        "split",
    ]
    assert len(list(jobs.sentences(database, job))) == 3
    # A correction of what was read before is refused, also of a sentence that is gone.
    with pytest.raises(EditConflict):
        jobs.correct(database, job, 0, "别的。", machine_text=heard)
    with pytest.raises(EditConflict):
        jobs.correct(database, job, 0, "别的。", seen=0)
    jobs.merge(database, job, 0)
    jobs.merge(database, job, 0)
    with pytest.raises(EditConflict, match="part of another"):
        jobs.correct(database, job, 1, "别的。", machine_text="九十。")
    with pytest.raises(NotFound):
        jobs.correct(database, job, 2, "别的。")
    with pytest.raises(NotFound):
        jobs.sentence(database, job, 1)


def test_merging_from_both_sides_ends(database: Database) -> None:
    """Neighbours merged and split and corrected by many at once: no deadlock, and no word is lost."""
    job = completed(database, None, *(f"{letter}一二三。" for letter in "甲乙丙丁"))

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            number = chance.choice([item.number or 0 for item in jobs.sentences(database, job)])
            try:
                if chance.random() < 0.5:
                    jobs.merge(database, job, number)
                else:
                    jobs.split(database, job, number, at_word=chance.randint(1, 4))
                jobs.correct_all(
                    database,
                    job,
                    [jobs.Correction(item.number or 0, None) for item in jobs.sentences(database, job)],
                )
            except (EditConflict, InvalidRequest, NotFound):
                continue

    at_once([lambda seed=seed: work(seed) for seed in range(4)])  # type: ignore[misc]
    assert "".join(item.text for item in jobs.sentences(database, job)) == "甲一二三。乙一二三。丙一二三。丁一二三。"
    places = [place_of(item.number or 0) for item in jobs.sentences(database, job)]
    assert places == sorted(places)


def test_what_cannot_be_split_or_merged(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "一二。"), first_sentence=0)
    with pytest.raises(NotReady):
        jobs.split(database, jobs.get(database, held.job.id), 0, at_word=1)
    job = completed(database, None, "一二。", "Ein Wort。")
    for word in (0, 2, 9):
        with pytest.raises(InvalidRequest):
            jobs.split(database, job, 0, at_word=word)
    for character in (0, 3, 99):
        with pytest.raises(InvalidRequest):
            jobs.split(database, job, 0, at_character=character)
    with pytest.raises(InvalidRequest, match="no sentence follows"):
        jobs.merge(database, job, 1)
    execute(database, "UPDATE sentences SET channel = 1 WHERE job_id = :id AND number = 1", id=job.id)
    with pytest.raises(InvalidRequest, match="channels"):
        jobs.merge(database, job, 0)
    jobs.correct(database, job, 0, "长" * 4_999)
    execute(database, "UPDATE sentences SET channel = 0 WHERE job_id = :id", id=job.id)
    with pytest.raises(InvalidRequest, match="more than"):
        jobs.merge(database, job, 0)
    assert rows(database, "SELECT * FROM machine_sentences") == []


def test_a_cut_in_a_corrected_text_follows_its_words(database: Database) -> None:
    job = completed(database, None, "今天天汽很好我们走。")
    jobs.correct(database, job, 0, "今天天气（真的）很好，我们走吧。")
    left, right = jobs.split(database, job, 0, at_character=11)
    assert (left.text, right.text) == ("今天天气（真的）很好，", "我们走吧。")
    assert [[word.text for word in item.words] for item in (left, right)] == [list("今天天汽很好"), list("我们走")]
    assert (left.end_ms, right.start_ms) == (600, 600)
    assert right.edit is not None
    assert (right.edit.machine_text, right.number) == ("我们走。", number_at(0, 6))
    left, middle = jobs.split(database, job, 0, at_word=4)
    assert (left.text, middle.text) == ("今天天气", "（真的）很好，")
    assert middle.edit is not None
    assert middle.edit.machine_text == "很好"


def test_the_history_tells_what_was_split_and_merged(database: Database) -> None:
    job = completed(database, None, "今天很好。", "再见。")
    _, second = jobs.split(database, job, 0, at_word=2)
    number = second.number or 0
    assert begins_at(number) == (0, 2)
    [first] = jobs.history(database, job, 0)
    assert (first.text_before, first.text, first.revision) == ("今天很好。", "今天", 1)
    assert first.structure is not None
    assert (first.structure.kind, first.structure.other) == ("split", number)
    [off] = jobs.history(database, job, number)
    assert off.structure is not None
    assert (off.structure.kind, off.structure.other, off.text_before) == ("split_off", 0, None)
    jobs.merge(database, job, 0)
    newest = jobs.history(database, job, 0)[0]
    assert (newest.text_before, newest.text, newest.revision) == ("今天", "今天很好。", 2)
    assert newest.structure is not None
    assert (newest.structure.at_word, newest.structure.at_character) == (2, 2)
    jobs.correct(database, job, 0, "今天真好。")
    newest = jobs.history(database, job, 0)[0]
    assert (newest.text_before, newest.structure) == ("今天很好。", None)


def test_merged_speakers_are_merged_in_words_too(database: Database) -> None:
    machine = Machine(random.Random(3))
    job = recorded(database, machine, 4)
    for item in machine.shown[1:]:
        jobs.assign_sentence(database, job, item.number, 2)
    jobs.assign_sentence(database, job, 0, 1)
    merged, gone = jobs.merge(database, job, 0)
    assert gone == 1
    assert {word.speaker for word in merged.words} == {None, 2}
    jobs.merge_speakers(database, job, 2, into=1)
    assert {word.speaker for word in jobs.sentence(database, job, 0).words} <= {None, 1}
    left, right = jobs.split(database, job, 0, at_word=len(machine.shown[0].tokens))
    assert (left.speaker, right.speaker) == (1, 1)


def test_the_machines_sentences_go_with_the_result(database: Database) -> None:
    job = completed(database, None, "一二。", "三四。")
    jobs.merge(database, job, 0)
    assert one(database, "SELECT count(*) FROM machine_sentences") == 2
    execute(database, "UPDATE jobs SET finished_at = now() - interval '9 days' WHERE id = :id", id=job.id)
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=3600) == 1
    assert one(database, "SELECT count(*) FROM machine_sentences") == 0


def test_the_list_shows_the_beginning_of_a_split_text(database: Database) -> None:
    job = completed(database, None, "一二。", "三四。", "五六。", "七八。")
    jobs.split(database, job, 0, at_word=1)
    jobs.merge(database, job, 1)
    previews = jobs.page(database, previews=True).previews
    assert previews is not None
    assert previews[job.id] == "一二。三四。五六。"


def test_sentences_too_many_to_be_split_are_read(database: Database) -> None:
    job = completed(database, None, "一二。", "三四。", "五六。")
    execute(database, "UPDATE sentences SET number = number + 150000 WHERE job_id = :id AND number > 0", id=job.id)
    numbers = [0, 150_001, 150_002]
    for place, number in enumerate(numbers):
        read = jobs.sentences_after(database, job, number)
        assert [item.number for item in read] == numbers[place + 1 :]
        assert jobs.sentence(database, job, number).number == number
    with pytest.raises(NotFound):
        jobs.sentence(database, job, 150_000)
    with pytest.raises(InvalidRequest, match="no sentence can begin"):
        jobs.split(database, job, 150_001, at_word=1)
    assert jobs.merge(database, job, 150_001)[0].text == "三四。五六。"
    with pytest.raises(InvalidRequest, match="no sentence can begin"):
        jobs.split(database, job, 150_001, at_word=1)
