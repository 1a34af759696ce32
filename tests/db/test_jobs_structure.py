"""Sentences split, merged and corrected at random, against a model in memory that knows only words and texts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

import pytest

from common import jobs
from common.db import Database
from common.errors import EditConflict, InvalidRequest, NotFound, NotReady
from common.jobs import Attributed, Job, Seen
from common.options.transcription import TranscriptionOptions
from common.transcript.formats import Format, encoded
from common.transcript.realign import realigned
from common.transcript.sentence_numbers import begins_at, number_at, place_of
from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import Edit, Sentence, Transcript, Word
from tests.db.job_cases import (
    FINISHED,
    NO_LIMIT,
    at_once,
    claimed,
    completed,
    execute,
    one,
    part,
    rows,
    submitted,
)

OPTIONS = TranscriptionOptions(speakers=True)
LETTERS = "天地人你我他大小上下"
LATIN = ("plan", "GPU", "We", "it's")


@dataclass
class Token:
    """A word of the machine, with the punctuation behind it."""

    word: Word
    behind: str
    sentence: int
    place: int
    speaker: int
    confirmed: bool = False


@dataclass
class Shown:
    """A sentence of the model; `text` is a person's."""

    tokens: list[Token]
    speaker: int
    text: str | None = None
    revision: int = 0

    @property
    def number(self) -> int:
        return number_at(self.tokens[0].sentence, self.tokens[0].place)

    @property
    def recognised(self) -> str:
        pieces: list[str] = []
        for number in dict.fromkeys(token.sentence for token in self.tokens):
            piece = "".join(token.word.text + token.behind for token in self.tokens if token.sentence == number)
            pieces.append(piece.strip())
        return together(*pieces)

    @property
    def shown(self) -> str:
        return self.recognised if self.text is None else self.text

    def value(self) -> Sentence:
        words = tuple(
            replace(
                token.word,
                speaker=token.speaker if token.speaker != self.speaker else None,
                confidence=1.0 if token.confirmed else token.word.confidence,
                confirmed=token.confirmed,
            )
            for token in self.tokens
        )
        confidence = round(sum(word.confidence for word in words) / len(words), 4)
        edit = None
        if self.revision:
            timed = realigned(self.text, tuple(token.word for token in self.tokens)) if self.text is not None else None
            edit = Edit(self.text, self.recognised, self.revision, None, None, timed)  # type: ignore[arg-type]
        return Sentence(
            self.shown, words[0].start_ms, words[-1].end_ms, confidence, words, edit=edit, speaker=self.speaker
        )


def together(*pieces: str) -> str:
    text = ""
    for piece in pieces:
        latin = text[-1:].isascii() and piece[:1].isascii() and piece[:1].isalnum()
        text += (" " if text and latin else "") + piece
    return text


@dataclass
class Machine:
    """A recording of some sentences, and what people make of it."""

    chance: random.Random
    shown: list[Shown] = field(default_factory=list)

    def speak(self, count: int) -> list[Sentence]:
        now_ms, said = 0, list[Sentence]()
        for number in range(count):
            speaker = number + 1 if number < 2 else self.chance.choice((1, 2))
            length = self.chance.randint(1, 7)
            tokens: list[Token] = []
            for place in range(length):
                latin = self.chance.random() < 0.3
                heard = self.chance.choice(LATIN if latin else LETTERS)
                behind = "。" if place == length - 1 else self.chance.choice((" ", ", ")) if latin else ""
                behind = behind or self.chance.choice(("", "", "，"))
                word = Word(heard, now_ms, now_ms + 80 + place, self.chance.choice((0.5, 0.9)))
                tokens.append(Token(word, behind, number, place, speaker))
                now_ms += 100 + self.chance.choice((0, 0, 700))
            self.shown.append(Shown(tokens, speaker))
            said.append(replace(self.shown[-1].value(), edit=None))
        return said

    def split(self, place: int, word: int, character: int | None) -> None:
        left = self.shown[place]
        right = Shown(left.tokens[word:], left.tokens[word].speaker)
        left.tokens = left.tokens[:word]
        if left.text is not None:
            assert character is not None
            left.text, right.text = left.text[:character].strip(), left.text[character:].strip()
        left.revision = right.revision = left.revision + 1
        for item in (left, right):
            item.text = None if item.text == item.recognised else item.text
        self.shown.insert(place + 1, right)

    def merge(self, place: int) -> None:
        left, right = self.shown[place], self.shown.pop(place + 1)
        text = together(left.shown, right.shown) if (left.text, right.text) != (None, None) else None
        left.tokens = left.tokens + right.tokens
        left.text = None if text == left.recognised else text
        left.revision = max(left.revision, right.revision) + 1

    @property
    def values(self) -> list[Sentence]:
        return [item.value() for item in self.shown]

    def speech_ms(self) -> Counter[int]:
        total = Counter[int]()
        for item in self.values:
            total[item.speaker or 0] += item.end_ms - item.start_ms
        return total


def recorded(database: Database, machine: Machine, count: int) -> Job:
    held = claimed(database, submitted(database, options=OPTIONS))
    attributed = Attributed([[item] for item in machine.speak(count)])
    jobs.complete(database, held, part(0, last=True), FINISHED, first_sentence=0, stage_ms={}, attributed=attributed)
    return jobs.get(database, held.job.id)


def timeless(sentences: list[Sentence]) -> list[Sentence]:
    """Sentences without the times and authors of their edits."""
    return [
        replace(item, edit=item.edit and replace(item.edit, edited_at=None, edited_by=None))  # type: ignore[arg-type]
        for item in sentences
    ]


def change(database: Database, job: Job, machine: Machine) -> None:
    """One change, in the database and in the model; some are undone at once."""
    chance = machine.chance
    place = chance.randrange(len(machine.shown))
    changes = (split, split, merge, merge, correct, restore, confirm, assign)
    chance.choice(changes)(database, job, machine, place)


def split(database: Database, job: Job, machine: Machine, place: int) -> None:
    chance, item = machine.chance, machine.shown[place]
    if len(item.tokens) < 2:
        return
    word = chance.randrange(1, len(item.tokens))
    character = None
    if item.text is not None:
        character = chance.randrange(len(item.text))
        if not _cuts(item.text, character) or character == 0:
            return
    recognised, seen = item.recognised, Seen(item.revision, item.recognised)
    both = jobs.split(database, job, item.number, at_word=word, at_character=character, seen=seen)
    machine.split(place, word, character)
    assert [one.number for one in both] == [one.number for one in machine.shown[place : place + 2]]
    if chance.random() < 0.3:
        jobs.merge(database, job, item.number)
        machine.merge(place)
        assert machine.shown[place].recognised == recognised


def merge(database: Database, job: Job, machine: Machine, place: int) -> None:
    if place + 1 == len(machine.shown):
        return
    left, right = machine.shown[place : place + 2]
    words, text = len(left.tokens), right.shown
    seen, following = Seen(left.revision, left.recognised), Seen(right.revision, right.recognised)
    jobs.merge(database, job, left.number, following=right.number, seen=seen, following_seen=following)
    machine.merge(place)
    if machine.chance.random() < 0.5:
        seam = jobs.history(database, job, left.number)[0].structure
        assert seam is not None
        assert seam.at_word == words
        jobs.split(database, job, left.number, at_word=words, at_character=seam.at_character)
        machine.split(place, words, len(left.shown) - len(text))
        assert machine.shown[place + 1].shown == text


def correct(database: Database, job: Job, machine: Machine, place: int) -> None:
    item = machine.shown[place]
    words = machine.chance.choices((*LETTERS, "，", "plan "), k=machine.chance.randint(1, 8))
    text = "".join(words).strip()
    before = item.text
    jobs.correct(database, job, item.number, text, seen=item.revision)
    item.text = None if text == item.recognised else text
    item.revision += item.text != before


def restore(database: Database, job: Job, machine: Machine, place: int) -> None:
    item = machine.shown[place]
    jobs.correct(database, job, item.number, None, seen=item.revision)
    item.revision += item.text is not None
    item.text = None


def confirm(database: Database, job: Job, machine: Machine, place: int) -> None:
    item = machine.shown[place]
    token = machine.chance.choice(item.tokens)
    item.revision += not token.confirmed
    token.confirmed = True
    places = tuple(place for place, one in enumerate(item.tokens) if one.confirmed)
    jobs.correct_all(database, job, [jobs.Correction(item.number, None, confirmed=places, keeps_text=True)])


def assign(database: Database, job: Job, machine: Machine, place: int) -> None:
    item = machine.shown[place]
    item.speaker = machine.chance.choice((1, 2))
    for token in item.tokens:
        token.speaker = item.speaker
    jobs.assign_sentence(database, job, item.number, item.speaker)


def _cuts(text: str, character: int) -> bool:
    return bool(text[:character].strip() and text[character:].strip())


def compare(database: Database, job: Job, machine: Machine, recognised: list[Sentence]) -> None:
    wanted = machine.values
    got = list(jobs.sentences(database, job))
    for one_got, one_wanted in zip(timeless(got), wanted, strict=True):
        assert asdict(one_got) | {"number": None} == asdict(one_wanted)
    assert [item.number for item in got] == [item.number for item in machine.shown]
    assert [jobs.sentence(database, job, item.number) for item in machine.shown] == got
    for limit in (1, 3):
        assert list(paged(database, job, limit)) == got
    # Whose a sentence is may change.
    original = [replace(item, edit=None, speaker=None) for item in jobs.sentences(database, job, machine=True)]
    assert original == [replace(item, speaker=None) for item in recognised]
    told = jobs.speakers(database, job)
    assert told is not None
    spoken = machine.speech_ms()
    assert {item.number: item.speech_ms for item in told} == {item.number: spoken[item.number] for item in told}
    head = Transcript(job.public_id, "m", "r", "fp32", 60_000, 1, 1, False, speakers=told)
    numbered = [replace(item, number=one.number) for item, one in zip(wanted, machine.shown, strict=True)]
    for form in Format:
        if form is not Format.JSON:  # it has the times of edits
            assert file(form, head, got) == file(form, head, numbered), form
    for query in ("天", "地人", "plan", "新"):
        hits = jobs.search(database, query, tenant=job.tenant, limit=100).hits
        ours = [hit.number for hit in hits if hit.job_id == job.id]
        assert ours == [item.number for item in machine.shown if query in item.shown.casefold()], query


def file(form: Format, head: Transcript, sentences: list[Sentence]) -> bytes:
    pieces = b"".join(encoded(form, head, sentences, SubtitleOptions()))
    # The times of a zip are those of its making.
    return pieces if form is not Format.DOCX else str(len(pieces)).encode()


def paged(database: Database, job: Job, limit: int) -> Iterator[Sentence]:
    after = -1
    while page := jobs.sentences_after(database, job, after, limit=limit):
        yield from page
        after = jobs.last_number(page)


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
