"""The models of this installation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, Field

from api.deps import CallerDep, DatabaseDep, SettingsDep, v1_router
from api.openai.forms import ALIASES
from common import jobs
from common.db import Database
from common.errors import NotFound
from common.jobs import Worker
from common.options.model_cards import ModelCard

router = v1_router("/v1/models", "models")


class ModelOut(BaseModel):
    """A model that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time since which the model has been served; 0 if no live worker serves it.")
    owned_by: str = "paraqueue"
    default: bool
    workers: int = Field(description="Live workers that serve the model.")
    slots: int = Field(description="Jobs that those workers run concurrently.")
    revisions: list[str]
    devices: list[str]
    description: str
    licence: str
    languages: list[str] = Field(description="ISO 639 codes; empty until a worker has reported them.")
    word_times: bool = Field(description="Whether the model itself times words; if false, their times are estimated.")
    speakers: bool = Field(description="Whether the model supports speaker diarization (the option `speakers`).")
    speaker_model: str | None = Field(
        description="What voice prints come from; known voices of another one must be enrolled again. Null if unknown."
    )
    segmentation: str = Field(description="How speech is divided for jobs that name no `segmentation`.")
    hotwords: bool = Field(description="Whether the model itself uses hotwords; the option works with every model.")


class ModelList(BaseModel):
    """The models of this installation."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


@router.get("")
def list_models(database: DatabaseDep, settings: SettingsDep, _caller: CallerDep) -> ModelList:
    """The default model, and every model that a live worker serves."""
    return ModelList(data=_models(database, settings.model))


@router.get("/{model}")
def get_model(database: DatabaseDep, settings: SettingsDep, _caller: CallerDep, model: str) -> ModelOut:
    """One model. OpenAI's names of transcription models refer to the default model."""
    models = {item.id: item for item in _models(database, settings.model)}
    if model in models:
        return models[model]
    if model in ALIASES:
        return models[settings.model].model_copy(update={"id": model})
    raise NotFound(f"unknown model {model!r}; available: {', '.join(models)}")


def _models(database: Database, default: str) -> list[ModelOut]:
    workers = jobs.live_workers(database)
    cards = {worker.model: worker.card for worker in workers}
    cards.setdefault(default, jobs.known_card(database, default))
    names = [default, *sorted({worker.model for worker in workers} - {default})]
    return [
        _model(name, default, cards[name], [worker for worker in workers if worker.model == name]) for name in names
    ]


def _model(name: str, default: str, card: ModelCard, serving: list[Worker]) -> ModelOut:
    started = [worker.started_at.timestamp() for worker in serving if worker.started_at is not None]
    return ModelOut(
        id=name,
        created=int(min(started, default=0)),
        default=name == default,
        workers=len(serving),
        slots=sum(worker.slots for worker in serving),
        revisions=sorted({worker.revision for worker in serving}),
        devices=sorted({worker.device for worker in serving}),
        **asdict(card),
    )
