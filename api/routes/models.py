"""The models of this installation."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import CallerDep, ServiceDep
from api.schemas import ModelList, ModelOut
from common import jobs

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def list_models(service: ServiceDep, _caller: CallerDep) -> ModelList:
    """The default model, and every model that a live worker serves."""
    default = service.settings.model
    workers = jobs.live_workers(service.database)
    names = [default, *sorted({worker.model for worker in workers} - {default})]
    served = {name: [worker for worker in workers if worker.model == name] for name in names}
    return ModelList(
        data=[
            ModelOut(
                id=name,
                default=name == default,
                workers=len(serving),
                slots=sum(worker.slots for worker in serving),
                revisions=sorted({worker.revision for worker in serving}),
                devices=sorted({worker.device for worker in serving}),
            )
            for name, serving in served.items()
        ]
    )
