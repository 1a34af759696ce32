"""Settings of the HTTP API."""

from __future__ import annotations

from pydantic import Field

from common.settings.types import GIBIBYTE, Count, NetworkNames, Origins, Seconds, SettingsGroup


class ApiSettings(SettingsGroup):
    """API"""

    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the API listens on.")
    openai_wait_seconds: Seconds = Field(
        600,
        description="How long an OpenAI-compatible call waits for its job, or a stream for the next text, before it "
        "returns `still_running`.",
    )
    openai_priority: int = Field(9, ge=0, le=9, description="Priority of jobs of OpenAI-compatible calls.")
    request_head_seconds: Seconds = Field(10, description="Time limit for receiving request headers.")
    request_idle_seconds: Seconds = Field(
        30, description="Time limit without progress while receiving a request body or sending a response."
    )
    public_url: str | None = Field(None, description="Public base URL, for links. Unset: derived from each request.")
    trusted_proxies: NetworkNames = Field(
        ("127.0.0.1", "::1"),
        description="Networks of trusted proxies, e.g. `10.0.0.0/8`. Their `X-Forwarded-For` and `X-Forwarded-Proto` "
        "headers are honoured, so failed authentication counts against the client they report.",
    )
    cors_origins: Origins = Field(
        (), description="Origins whose web pages may call the API, e.g. `https://app.corp.example`."
    )


class LimitSettings(SettingsGroup):
    """Limits"""

    max_upload_bytes: Count = Field(4 * GIBIBYTE, description="Maximum size of an uploaded or linked audio file.")
    upload_idle_seconds: Seconds = Field(
        30,
        description="An upload that receives no data for this long is disconnected; received bytes are kept.",
    )
    max_audio_hours: Seconds = Field(24, description="Maximum audio duration.")

    @property
    def max_audio_ms(self) -> int:
        """The duration limit in milliseconds."""
        return int(self.max_audio_hours * 3_600_000)
