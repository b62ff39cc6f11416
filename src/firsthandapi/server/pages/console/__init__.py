"""The console: pages that show a service to the person who runs it, and forms that drive it.

The pages know the rules and the state of the service (`World`), and never how state is kept. What only a server for
tests can do, such as faults and a clock that jumps, is behind `Tools`: without them, these pages are missing.
"""

from .app import PREFIX, Console
from .tools import Tools

__all__ = ["PREFIX", "Console", "Tools"]
