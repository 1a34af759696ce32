"""Logs, metrics and traces."""

from common.telemetry.logs import bound, configure_logging, get_logger

__all__ = ["bound", "configure_logging", "get_logger"]
