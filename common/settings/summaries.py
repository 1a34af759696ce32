"""Settings of summaries."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from common.settings.types import Count, HostList, Seconds, SettingsGroup

# A step that merges needs room for several earlier results beside the instructions and its own.
LEAST_CONTEXT_SHARE = 6


class SummarySettings(SettingsGroup):
    """Summaries"""

    summary_url: str | None = Field(
        None,
        description="Base URL of an OpenAI-compatible chat API, e.g. `https://api.openai.com/v1` or "
        "`http://vllm.internal:8000/v1`; `/chat/completions` is added. It receives the texts of transcripts. Unset: no "
        "summaries.",
    )
    summary_model: str | None = Field(None, description="Model of that API; must be set with the URL.")
    summary_api_key: SecretStr | None = Field(None, description="Key of that API. Unset: none is sent.")
    summary_allowed_private: HostList = Field(
        (),
        description="Private hosts and networks that the URL may lead to, in the form of "
        "`PARAQUEUE_FETCH_ALLOWED_PRIVATE`; a public host needs no entry.",
    )
    summary_timeout_seconds: Seconds = Field(300, description="Time limit of one call of that API.")
    summary_context_tokens: Count = Field(
        16_000,
        description="Tokens that the model reads and writes in one call, by estimate: one per Chinese character, one "
        "per three other characters. A longer transcript is summarised in sections.",
    )
    summary_max_tokens: Count = Field(
        2000, description="Tokens that the model may write in one call; at most a sixth of the context."
    )
    summary_concurrency: Count = Field(2, description="Summaries that a light worker makes at once.")

    @field_validator("summary_url", "summary_model", "summary_api_key", mode="before")
    @classmethod
    def _unset_if_empty(cls, value: object) -> object:
        return None if value == "" else value  # Compose passes unset variables as empty strings

    @field_validator("summary_url")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http or https URL without a query")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not contain a user name or password")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _whole_endpoint(self) -> Self:
        if self.summary_url is not None and not self.summary_model:
            raise ValueError("PARAQUEUE_SUMMARY_URL needs PARAQUEUE_SUMMARY_MODEL")
        if self.summary_context_tokens < LEAST_CONTEXT_SHARE * self.summary_max_tokens:
            raise ValueError(
                f"PARAQUEUE_SUMMARY_CONTEXT_TOKENS must be at least {LEAST_CONTEXT_SHARE} times "
                "PARAQUEUE_SUMMARY_MAX_TOKENS"
            )
        return self

    @property
    def summaries(self) -> bool:
        """Whether this installation makes summaries."""
        return self.summary_url is not None
