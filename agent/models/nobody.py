"""The model of runs that ask none."""

from collections.abc import Callable

from agent.errors import ModelRejected
from agent.records import ModelRequest, Reply


class Nobody:
    """Stands where a model would; whoever asks it after all is told so."""

    @property
    def name(self) -> str:
        """What the report and the screen call it."""
        return "none"

    async def reply(self, request: ModelRequest, on_text: Callable[[str], None]) -> Reply:  # noqa: ARG002 - the seam's
        """Give none.

        Raises:
            ModelRejected: always.
        """
        raise ModelRejected("The model `none` gives no replies: it is for applying plans.")

    async def aclose(self) -> None:
        """Hold nothing."""
