"""Files and environment → `agent.settings.Settings`; the only part of the host that reads either."""

from agent.configuration.loading import load, load_here

__all__ = ["load", "load_here"]
