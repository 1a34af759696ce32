"""Logs, metrics and traces."""

from common.telemetry.logs import bound, configure_logging, get_logger, warn_of_unknown_settings

__all__ = ["bound", "configure_logging", "get_logger", "warn_of_unknown_settings"]
