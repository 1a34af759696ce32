"""Settings of model bundles, the engine and decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from common.options.segmentation import SegmentationName
from common.settings.types import GIBIBYTE, Count, Names, Seconds, SettingsGroup


class ModelSettings(SettingsGroup):
    """Models"""

    model: str = Field("paraformer-large-zh", description="Model bundle; `demo-zh` is in the repository.")
    model_source: Names = Field(
        ("modelscope", "huggingface"),
        description="Hubs to download a missing bundle from, tried in order; `local`: never download.",
    )
    model_repositories: str = Field(
        "",
        description="Repositories on the first hub instead of those in the bundle's definition: "
        "`asr=ORG/NAME@REVISION,vad=…,punc=…`.",
    )
    modelscope_url: str = Field("https://www.modelscope.cn", description="URL of ModelScope or a compatible mirror.")
    huggingface_url: str = Field("https://huggingface.co", description="URL of Hugging Face or a compatible mirror.")
    huggingface_token: SecretStr | None = Field(None, description="Token for private repositories on Hugging Face.")
    models_dir: Path = Field(Path("models"), description="Model bundles, one folder each, and your own definitions.")

    @field_validator("model_source")
    @classmethod
    def _known_hubs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = set(value) <= {"modelscope", "huggingface"} and len(set(value)) == len(value) > 0
        if not known and value != ("local",):
            raise ValueError("is not `local`, or a list of `modelscope` and `huggingface`")
        return value

    @property
    def model_hubs(self) -> tuple[str, ...]:
        """The hubs from which a bundle may be downloaded, in order; if empty, it is never downloaded."""
        return () if self.model_source == ("local",) else self.model_source


class WorkerSettings(SettingsGroup):
    """Worker"""

    device: str = Field("auto", description="`cpu`, `cuda:0`, or `auto`: the first GPU, otherwise the CPU.")
    precision: Literal["fp32", "int8", "bf16", "fp16"] = Field(
        "fp32", description="Numeric precision: `int8` for CPUs, `bf16` and `fp16` for GPUs."
    )
    gpu_networks: Literal["packed", "padded"] = Field(
        "packed",
        description="Recognition on a GPU: `packed` rows without padding, or FunASR's modules over `padded` batches.",
    )
    worker_slots: Count = Field(4, description="Jobs that a worker process runs concurrently.")
    fetch_slots: Count | None = Field(
        None,
        description="Links that a worker process downloads concurrently, beside its jobs; one tenant gets at most "
        "half. Unset: twice `PARAQUEUE_WORKER_SLOTS`.",
    )
    torch_threads: int = Field(0, ge=0, description="CPU threads per operation. 0: one per core.")
    batch_seconds: Seconds | None = Field(
        None, description="Batch budget in seconds of padded audio. Unset: measured at startup."
    )
    max_segment_seconds: Seconds = Field(30, description="Maximum length of a speech segment; longer ones are split.")
    segmentation: SegmentationName | None = Field(
        None,
        description="How speech is divided for jobs that do not say it: `fixed`, `dynamic`, `meeting`, `call` or "
        "`lecture` (docs/models.md). Unset: as the model's definition says.",
    )
    part_seconds: Seconds = Field(300, description="Approximate audio per committed part.")
    decode_cpu_seconds: Count = Field(3600, description="CPU time limit for decoding a file.")
    decode_memory_bytes: Count = Field(2 * GIBIBYTE, description="Address space limit of the decoding process.")
