"""What a model can do, as its bundle says: told by workers, shown by `GET /v1/models`, checked at a submit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from common.errors import UnsupportedLanguage


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model's description. `languages` are ISO 639 codes; none are known of a model without a definition."""

    description: str = ""
    licence: str = ""
    languages: tuple[str, ...] = ()
    word_times: bool = True
    speakers: bool = False
    hotwords: bool = False

    def check_language(self, model: str, asked: str | None) -> None:
        """Raise UnsupportedLanguage for a language that the model does not know.

        `asked` may be a tag such as `zh-CN`: its first part counts. A model whose languages are not known takes any.
        """
        if asked is None or not self.languages:
            return
        if asked.replace("_", "-").partition("-")[0].lower() not in self.languages:
            raise UnsupportedLanguage(
                f"the model {model} does not recognise {asked!r}; it knows: {', '.join(self.languages)}"
            )


def card_of(stored: dict[str, Any] | None) -> ModelCard:
    """A card as it was stored as JSON; what this version does not know is left out."""
    known = {field.name for field in fields(ModelCard)}
    values = {name: value for name, value in (stored or {}).items() if name in known}
    if "languages" in values:
        values["languages"] = tuple(values["languages"])
    return ModelCard(**values)
