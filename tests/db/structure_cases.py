"""A model in memory of sentences that people split, merge and correct: it knows only words and texts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

from common import jobs
from common.db import Database
from common.jobs import Attributed, Job, Seen
from common.options.transcription import TranscriptionOptions
from common.transcript.formats import Format, encoded
from common.transcript.realign import realigned
from common.transcript.sentence_numbers import number_at
from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import Edit, Sentence, Transcript, Word
from tests.db.job_cases import (
    FINISHED,
    claimed,
    part,
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
