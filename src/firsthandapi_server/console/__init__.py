"""The console: pages that show a service to the person who runs it, and forms that control it.

The pages know the rules and the state of the service (`World`), but not how state is stored. `Face` is the frame of all
pages. `Bench` adds what only a server for tests has, such as faults and a clock that jumps;
`firsthandapi_server.serve` adds what only a server for people has, such as their tokens.
"""

from .app import Console
from .face import PREFIX
from .tools import Bench, Tools

__all__ = ["PREFIX", "Bench", "Console", "Tools"]
