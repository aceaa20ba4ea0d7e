"""Everything a person sees. The questions that a person answers are in `agent.render.questions`."""

from agent.render.live import LiveView
from agent.render.messages import Check, CheckState, show_checks, show_error, show_frame, show_notice
from agent.render.page import open_console
from agent.render.plain import PlainView, SilentView
from agent.render.plan import show_plan
from agent.render.queue import QueueRow, QueueView, show_queue
from agent.render.report import show_report
from agent.render.servers import NamedLine, ServerLine, ServerSheet, ToolLine, show_server, show_servers
from agent.render.tickets import TicketLine, show_ticket, show_tickets

__all__ = [
    "Check",
    "CheckState",
    "LiveView",
    "NamedLine",
    "PlainView",
    "QueueRow",
    "QueueView",
    "ServerLine",
    "ServerSheet",
    "SilentView",
    "TicketLine",
    "ToolLine",
    "open_console",
    "show_checks",
    "show_error",
    "show_frame",
    "show_notice",
    "show_plan",
    "show_queue",
    "show_report",
    "show_server",
    "show_servers",
    "show_ticket",
    "show_tickets",
]
