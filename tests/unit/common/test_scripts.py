"""Which language a text is in."""

from __future__ import annotations

from common.transcript.scripts import language_of


def test_the_language_is_that_of_the_text() -> None:
    assert language_of("今天我们讨论 Kubernetes 的升级。") == "zh"
    assert language_of("We met Mr 王 about the upgrade of the cluster yesterday.") == "en"
    assert language_of("你好，世界。Hello world. Goodbye.") == "zh"
    assert language_of("123") == "en"
