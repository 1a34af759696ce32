"""Model capabilities, from the bundle: reported by workers, listed by `GET /v1/models`, checked on submission."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from common.errors import SpeakersUnsupported, UnsupportedLanguage
from common.options.segmentation import FIXED


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model's description; `languages` are ISO 639 codes, empty (unknown) for a model without a definition.

    `segmentation` is what jobs get that name none.
    """

    description: str = ""
    licence: str = ""
    languages: tuple[str, ...] = ()
    word_times: bool = True
    speakers: bool = False
    hotwords: bool = False
    segmentation: str = FIXED

    def check_speakers(self, model: str, requested: bool) -> None:
        """Raise SpeakersUnsupported if speakers are requested of a model that cannot tell them apart.

        A model of which nothing is known accepts them.
        """
        if requested and not self.speakers and self != ModelCard():
            raise SpeakersUnsupported(f"the model {model} does not tell speakers apart on the workers that serve it")

    def check_language(self, model: str, language: str | None) -> None:
        """Raise UnsupportedLanguage for a language that the model does not support.

        Of a tag such as `zh-CN`, only the first part counts. A model whose languages are unknown accepts any.
        """
        if language is None or not self.languages:
            return
        if primary_language(language) not in self.languages:
            raise UnsupportedLanguage(
                f"the model {model} does not recognise {language!r}; it knows: {', '.join(self.languages)}"
            )


def primary_language(language: str) -> str:
    """Return the language of a tag without its region or script: `zh` for `zh-CN`, `ZH` and `zh_Hant`."""
    return language.replace("_", "-").partition("-")[0].lower()


def card_of(stored: dict[str, Any] | None) -> ModelCard:
    """Parse a card stored as JSON; fields that this version does not know are ignored."""
    known = {field.name for field in fields(ModelCard)}
    values = {name: value for name, value in (stored or {}).items() if name in known}
    if "languages" in values:
        values["languages"] = tuple(values["languages"])
    return ModelCard(**values)
