"""Errors of jobs and processes that the service, its device or its settings cause."""

from __future__ import annotations

from common.errors.family import ParaqueueError


class OutOfMemory(ParaqueueError):
    """The device ran out of memory on a single segment."""

    code = "out_of_memory"
    retryable = True


class WorkerLost(ParaqueueError):
    """The worker stopped renewing its lease."""

    code = "worker_lost"
    retryable = True


class Poison(ParaqueueError):
    """The worker process died twice at the same part of this job, which ran alone."""

    code = "poison"


class ModelUnavailable(ParaqueueError):
    """Files of the model bundle are missing or invalid."""

    code = "model_unavailable"


class ConfigurationError(ParaqueueError):
    """A setting is invalid; reported at startup."""

    code = "configuration"
