"""The console: pages that show a service to the person who runs it, and forms that drive it.

The pages know the rules and the state of the service (`World`), and never how state is kept. `Face` is the frame of all
pages. What only a server for tests can do, such as faults and a clock that jumps, is in `Bench`; what only a server for
people has, such as their tokens, is in `firsthandapi.server.pages.serve`.
"""

from .app import Console
from .face import PREFIX
from .tools import Bench, Tools

__all__ = ["PREFIX", "Bench", "Console", "Tools"]
