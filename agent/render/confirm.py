"""A last question before something that cannot be undone."""

from rich.console import Console
from rich.text import Text

from agent.render.desk import Desk
from agent.render.page import Line
from agent.render.plain import SilentView

_YES = frozenset({"y", "yes"})


async def is_confirmed(console: Console, warning: str, question: str) -> bool:
    """Show what is about to happen and ask for it; whatever is not a clear yes is a no."""
    desk = Desk(console, SilentView())
    async with desk.attention():
        desk.show(Line(body=desk.page.text(warning)))
        try:
            answer = await desk.ask(Text.assemble(desk.page.text(question), " [y/N]"))
        except EOFError:
            return False
    return answer.casefold() in _YES
