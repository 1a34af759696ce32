"""Sentences get the tags of the segments that their words come from."""

from __future__ import annotations

from common.transcript.values import Sentence, Tags, Word, merged
from worker.engine.heard import Heard

ENGLISH, KOREAN = Tags("en", "happy", ("laughter",)), Tags("ko", None, ("bgm", "laughter"))


def words(*starts: int) -> list[Word]:
    return [Word("a", start, start + 60, 0.5) for start in starts]


def sentence(*starts: int) -> Sentence:
    own = tuple(words(*starts))
    return Sentence("a", own[0].start_ms, own[-1].end_ms, 0.5, own)


def test_a_segment_of_several_sentences_and_a_sentence_of_several_segments() -> None:
    heard = Heard()
    heard.add(words(0, 60, 120, 180), ENGLISH)
    assert heard.of(sentence(0, 60)) == ENGLISH
    heard.add(words(240, 300), KOREAN)
    again = Heard()
    again.restore(heard.state())
    for each in (heard, again):
        assert each.of(sentence(120, 180)) == ENGLISH
        assert each.of(sentence(240)) == KOREAN
        each.add(words(400), ENGLISH)
        assert each.of(sentence(300, 400)) == Tags("ko", "happy", ("bgm", "laughter"))
        assert each.state() == []


def test_a_word_without_length_belongs_to_its_segment() -> None:
    heard = Heard()
    heard.add([Word("a", 60, 60, 0.5)], ENGLISH)
    own = Word("a", 60, 60, 0.5)
    assert heard.of(Sentence("a", 60, 60, 0.5, (own,))) == ENGLISH
    assert heard.state() == []


def test_models_without_tags_and_segments_without_words_leave_none() -> None:
    heard = Heard()
    heard.add(words(0), None)
    heard.add([], ENGLISH)
    assert heard.of(sentence(0)) is None
    assert merged([None, None]) is None
    assert merged([None, Tags()]) == Tags()
