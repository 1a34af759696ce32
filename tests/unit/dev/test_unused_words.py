"""What the console no longer uses is found, and what a template makes of a name is not."""

from __future__ import annotations

from pathlib import Path

from dev.unused_words import unused_classes, unused_words

WORDS = """export default {
  'jobs.title': 'Jobs',
  'jobs.count.one': '{n} job',
  'jobs.count.other': '{n} jobs',
  'error.no_speech.do': 'Check the file.',
  'jobs.old': 'Old',
  'errors.old.do': 'Old',
};
"""
CODE = "t('jobs.title'); t('jobs.count', { n }); t(`error.${code}.do`); html`<p class=\"notice pill-${kind}\"></p>`;"
STYLE = "/* .gone { } */\n.notice, .pill-good:hover { top: 0; }\n@media (max-width: 46.5rem) { .old-card { top: 0; } }"


def test_unused_words_and_classes_are_found(tmp_path: Path) -> None:
    for name, content in {
        "js/lang/en/jobs.js": WORDS,
        "js/page.js": CODE,
        "css/a.css": STYLE,
        "index.html": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert unused_words(tmp_path) == ["errors.old.do", "jobs.old"]
    assert unused_classes(tmp_path) == ["old-card"]
