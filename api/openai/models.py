"""The models of this installation."""

from __future__ import annotations

from dataclasses import asdict

from api.deps import CallerDep, Service, ServiceDep, v1_router
from api.openai.forms import ALIASES
from api.transcriptions.schemas import ModelList, ModelOut
from common import jobs
from common.errors import NotFound
from common.jobs import Worker
from common.model_cards import ModelCard

router = v1_router("/v1/models", "models")


@router.get("")
def list_models(service: ServiceDep, _caller: CallerDep) -> ModelList:
    """The default model, and every model that a live worker serves."""
    return ModelList(data=_models(service))


@router.get("/{model}")
def get_model(service: ServiceDep, _caller: CallerDep, model: str) -> ModelOut:
    """One model. OpenAI's names of transcription models stand for the default one here."""
    models = {item.id: item for item in _models(service)}
    if model in models:
        return models[model]
    if model in ALIASES:
        return models[service.settings.model].model_copy(update={"id": model})
    raise NotFound(f"unknown model {model!r}; available: {', '.join(models)}")


def _models(service: Service) -> list[ModelOut]:
    default = service.settings.model
    workers = jobs.live_workers(service.database)
    cards = {worker.model: worker.card for worker in workers}
    cards.setdefault(default, jobs.known_card(service.database, default))
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
