"""An MCP server that speaks exactly one version of the protocol, frame by frame, over one of its transports.

    python era_server.py VERSION [--transport stdio|http|sse --fd FD] [--folder FOLDER]

It holds the client to its version: a question that the version does not know is refused, a message over HTTP without
the session or the version that it must name is answered with 400 or 404. It starts in 30 ms, on the standard library.

Its tools: `echo`; `sample`, `sample_with_tools`, `fill_form`, `visit`, `roots` ask the client and answer with what
they were told, as JSON; `count` reports progress; `log` logs a warning and some chatter; `grow` gains a tool; `touch`
changes the resource of its argument; `forget` ends every session over HTTP. FOLDER/frames holds every message that
arrived, FOLDER/teams the header X-Team of every one that came over HTTP.
"""

import argparse
import json
import queue
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
Message = dict[str, Any]
Send = Callable[[Message], None]

parser = argparse.ArgumentParser()
parser.add_argument("version")
parser.add_argument("--transport", choices=["stdio", "http", "sse"], default="stdio")
parser.add_argument("--fd", type=int)
parser.add_argument("--folder", type=Path)
options = parser.parse_args()
VERSION: str = options.version
IS_MODERN = VERSION == MODERN


class Refused(Exception):  # noqa: N818 - reads as the sentence it is
    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class NeedsInput(Exception):  # noqa: N818 - reads as the sentence it is
    """Since 2026-07-28: the call is answered with a question, and comes again with the answer."""

    def __init__(self, request: Message) -> None:
        super().__init__("needs input")
        self.request = request


class Session:
    """What is known about one client: answers that it owes, resources and changes that it wants to hear about."""

    def __init__(self, tell: Send) -> None:
        self.tell = tell  # what belongs to no request of the client
        self.asked: dict[str, queue.Queue[Message]] = {}
        self.subscribed: set[str] = set()
        self.streams: dict[Any, tuple[Message, Send]] = {}  # since 2026-07-28, by id of the listening request
        self.level = "debug"
        self.has_grown = False

    def answered(self, message: Message) -> None:
        self.asked.pop(message["id"]).put(message)

    def ask(self, send: Send, method: str, params: Message) -> Message:
        id_ = f"ask-{uuid.uuid4()}"
        answers: queue.Queue[Message] = queue.Queue()
        self.asked[id_] = answers
        send({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
        answer = answers.get()
        if "error" in answer:
            raise Refused(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    def changed(self, method: str, params: Message, kind: str, uri: str | None = None) -> None:
        if not IS_MODERN:
            if uri is None or uri in self.subscribed:
                self.tell({"jsonrpc": "2.0", "method": method, "params": params})
            return
        for id_, (wanted, send) in list(self.streams.items()):
            if (uri in wanted.get("resourceSubscriptions", ())) if uri else wanted.get(kind):
                meta = {"_meta": {f"{META}subscriptionId": id_}}
                send({"jsonrpc": "2.0", "method": method, "params": params | meta})


def handle(session: Session, message: Message, send: Send) -> None:
    """Answer one request of the client; what belongs to it goes the same way as its result."""
    params = message.get("params", {})
    try:
        if IS_MODERN:
            check_envelope(params.get("_meta", {}))
        result = RESULTS.get(message["method"], unknown)(session, message, params, send)
    except NeedsInput as needs:
        result = {"resultType": "input_required", "inputRequests": {"it": needs.request}, "requestState": "kept"}
    except Refused as refused:
        send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": refused.code, "message": str(refused)}})
        return
    if IS_MODERN:
        result = {"resultType": "complete"} | result
    send({"jsonrpc": "2.0", "id": message["id"], "result": result})


def check_envelope(meta: Message) -> None:
    if meta.get(f"{META}protocolVersion") != VERSION:
        raise Refused(-32022, "Every request names the version.")
    if not isinstance(meta.get(f"{META}clientCapabilities"), dict):
        raise Refused(-32602, "Every request names what the client can do.")


def unknown(session: Session, message: Message, params: Message, send: Send) -> Message:
    raise Refused(-32601, "Method not found")


def initialize(session: Session, message: Message, params: Message, send: Send) -> Message:
    for needed in ("protocolVersion", "capabilities", "clientInfo"):
        if needed not in params:
            raise Refused(-32602, f"{needed} is missing")
    return {"protocolVersion": VERSION, "capabilities": CAPABILITIES, "serverInfo": {"name": "era", "version": "1"}}


def discover(session: Session, message: Message, params: Message, send: Send) -> Message:
    return cached({"supportedVersions": [VERSION], "capabilities": CAPABILITIES})


def set_level(session: Session, message: Message, params: Message, send: Send) -> Message:
    session.level = params["level"]
    return {}


def subscribe(session: Session, message: Message, params: Message, send: Send) -> Message:
    session.subscribed.add(params["uri"])
    return {}


def unsubscribe(session: Session, message: Message, params: Message, send: Send) -> Message:
    session.subscribed.discard(params["uri"])
    return {}


def listen(session: Session, message: Message, params: Message, send: Send) -> Message:
    wanted = params["notifications"]
    session.streams[message["id"]] = (wanted, send)
    meta = {"_meta": {f"{META}subscriptionId": message["id"]}}
    acknowledged = {"notifications": wanted} | meta
    send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": acknowledged})
    threading.Event().wait()  # the stream ends with the connection
    return {}


def list_tools(session: Session, message: Message, params: Message, send: Send) -> Message:
    names = [*TOOLS, *(["grown"] if session.has_grown else [])]
    return cached({"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]})


def list_resources(session: Session, message: Message, params: Message, send: Send) -> Message:
    return cached({"resources": [{"uri": "note://1", "name": "1"}]})


def list_templates(session: Session, message: Message, params: Message, send: Send) -> Message:
    return cached({"resourceTemplates": []})


def read(session: Session, message: Message, params: Message, send: Send) -> Message:
    return cached({"contents": [{"uri": params["uri"], "text": "a note"}]})


def call_tool(session: Session, message: Message, params: Message, send: Send) -> Message:
    tool = TOOLS.get(params["name"])
    if tool is None:
        raise Refused(-32602, f"There is no tool {params['name']}.")
    said = tool(session, params, send)
    return {"content": [{"type": "text", "text": said if isinstance(said, str) else json.dumps(said)}]}


def cached(body: Message) -> Message:
    return body | ({"ttlMs": 0, "cacheScope": "private"} if IS_MODERN else {})


def echo(session: Session, params: Message, send: Send) -> Any:
    return params["arguments"]["text"]


def asking(since: str, method: str, make: Callable[[str], Message]) -> Callable[[Session, Message, Send], Any]:
    """Make a tool that asks the client something, which its version knows or not."""

    def tool(session: Session, params: Message, send: Send) -> Any:
        if since > VERSION:
            raise Refused(-32602, f"{method} is asked so since {since}.")
        request = make(params["arguments"].get("about", ""))
        if not IS_MODERN:
            return session.ask(send, method, request)
        if "inputResponses" not in params:
            raise NeedsInput({"method": method, "params": request})
        if params.get("requestState") != "kept":
            raise Refused(-32602, "The state of the call did not come back.")
        return params["inputResponses"]["it"]

    return tool


def sampling(about: str) -> Message:
    message = {"role": "user", "content": {"type": "text", "text": about}}
    return {"messages": [message], "maxTokens": 50, "systemPrompt": "Be brief."}


def sampling_with_tools(about: str) -> Message:
    tools = [{"name": "look", "inputSchema": {"type": "object"}}]
    return sampling(about) | {"tools": tools, "toolChoice": {"mode": "auto"}}


def form(about: str) -> Message:
    schema = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
    asked: Message = {"message": f"Which colour for {about}?", "requestedSchema": schema}
    return asked if VERSION < "2025-11-25" else {"mode": "form"} | asked


def link(about: str) -> Message:
    shown = {"mode": "url", "message": f"Confirm {about}.", "url": "https://example.com/confirm"}
    return shown if IS_MODERN else shown | {"elicitationId": "e-1"}


def nothing(about: str) -> Message:
    return {}


def count(session: Session, params: Message, send: Send) -> Any:
    token = params["_meta"]["progressToken"]
    for number in (1, 2):
        said = {"progressToken": token, "progress": number, "total": 2}
        message = {} if VERSION < "2025-03-26" else {"message": f"number {number}"}
        send({"jsonrpc": "2.0", "method": "notifications/progress", "params": said | message})
    return "counted"


def log(session: Session, params: Message, send: Send) -> Any:
    level = params.get("_meta", {}).get(f"{META}logLevel") if IS_MODERN else session.level
    for name, is_asked_for in (("info", level in {"debug", "info"}), ("warning", level is not None)):
        if is_asked_for:
            said = {"level": name, "data": f"this is {name}"}
            send({"jsonrpc": "2.0", "method": "notifications/message", "params": said})
    return level


def grow(session: Session, params: Message, send: Send) -> Any:
    session.has_grown = True
    session.changed("notifications/tools/list_changed", {}, "toolsListChanged")
    return "grown"


def touch(session: Session, params: Message, send: Send) -> Any:
    uri = params["arguments"]["uri"]
    session.changed("notifications/resources/updated", {"uri": uri}, "", uri)
    return "touched"


def forget(session: Session, params: Message, send: Send) -> Any:
    SESSIONS.clear()
    return "forgotten"


SESSIONS: dict[str, Session] = {}
ASKED_SINCE = "2024-11-05"
TOOLS: dict[str, Callable[[Session, Message, Send], Any]] = {
    "echo": echo,
    "sample": asking(ASKED_SINCE, "sampling/createMessage", sampling),
    "sample_with_tools": asking("2025-11-25", "sampling/createMessage", sampling_with_tools),
    "fill_form": asking("2025-06-18", "elicitation/create", form),
    "visit": asking("2025-11-25", "elicitation/create", link),
    "roots": asking(ASKED_SINCE, "roots/list", nothing),
    "count": count,
    "log": log,
    "grow": grow,
    "touch": touch,
    "forget": forget,
}
CAPABILITIES: Message = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "logging": {},
}
SHARED: dict[str, Callable[[Session, Message, Message, Send], Message]] = {
    "tools/list": list_tools,
    "tools/call": call_tool,
    "resources/list": list_resources,
    "resources/templates/list": list_templates,
    "resources/read": read,
}
RESULTS = SHARED | (
    {"server/discover": discover, "subscriptions/listen": listen}
    if IS_MODERN
    else {
        "initialize": initialize,
        "logging/setLevel": set_level,
        "resources/subscribe": subscribe,
        "resources/unsubscribe": unsubscribe,
    }
)


def note(name: str, value: object) -> None:
    if options.folder:
        with (options.folder / name).open("a") as file:
            file.write(json.dumps(value) + "\n")


def serve_stdio() -> None:
    lock = threading.Lock()

    def send(message: Message) -> None:
        with lock:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    session = Session(send)
    for line in sys.stdin:
        message = json.loads(line)
        note("frames", message)
        if "method" not in message:
            session.answered(message)
        elif "id" in message:
            threading.Thread(target=handle, args=(session, message, send), daemon=True).start()


class Exchange(BaseHTTPRequestHandler):
    """One HTTP request; a stream of events stays open until its last message or the end of the process."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def body(self) -> Message:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        note("frames", message)
        note("teams", self.headers.get("X-Team"))
        return message

    def refuse(self, status: int, code: int | None = None, sentence: str = "") -> None:
        error = (
            b""
            if code is None
            else json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": sentence}}).encode()
        )
        self.send_response(status)
        if error:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(error)))
        self.end_headers()
        self.wfile.write(error)

    def begin_stream(self, **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.close_connection = True
        self.lock = threading.Lock()

    def event(self, data: str, kind: str = "message") -> None:
        with self.lock:
            self.wfile.write(f"event: {kind}\ndata: {data}\n\n".encode())
            self.wfile.flush()

    def send(self, message: Message) -> None:
        self.event(json.dumps(message))

    def pass_on(self, messages: "queue.Queue[Message]") -> None:
        while True:
            self.send(messages.get())


class Streamable(Exchange):
    """Streamable HTTP: one address; sessions before 2026-07-28, every request for itself since."""

    def do_POST(self) -> None:
        message = self.body()
        if IS_MODERN:
            if (
                self.headers.get("MCP-Protocol-Version") != VERSION
                or self.headers.get("Mcp-Method") != message["method"]
            ):
                self.refuse(400, -32020, "The headers say something else than the message.")
                return
            self.answer(MODERN_SESSION, message)
        elif message.get("method") == "initialize":
            id_ = uuid.uuid4().hex
            waiting: queue.Queue[Message] = queue.Queue()
            session = Session(waiting.put)
            SESSIONS[id_] = session
            WAITING[id_] = waiting
            self.answer(session, message, Mcp_Session_Id=id_)
        elif (known := self.session()) is not None:
            self.take(known, message)

    def take(self, session: Session, message: Message) -> None:
        if "id" in message and "method" in message:
            self.answer(session, message)
            return
        if "method" not in message:
            session.answered(message)
        self.refuse(202)

    def answer(self, session: Session, message: Message, **headers: str) -> None:
        self.begin_stream(**headers)
        handle(session, message, self.send)

    def do_GET(self) -> None:
        if IS_MODERN:
            self.refuse(405)
        elif self.session() is not None:
            self.begin_stream()
            self.pass_on(WAITING[self.headers["Mcp-Session-Id"]])

    def do_DELETE(self) -> None:
        SESSIONS.pop(self.headers.get("Mcp-Session-Id", ""), None)
        self.refuse(200)

    def session(self) -> Session | None:
        id_ = self.headers.get("Mcp-Session-Id")
        if id_ is None:
            self.refuse(400)
            return None
        if VERSION >= "2025-06-18" and self.headers.get("MCP-Protocol-Version") != VERSION:
            self.refuse(400)
            return None
        if id_ not in SESSIONS:
            self.refuse(404)
        return SESSIONS.get(id_)


class WithEvents(Exchange):
    """HTTP with SSE, as 2024-11-05 has it: one stream of events, and an address for messages."""

    def do_GET(self) -> None:
        id_ = uuid.uuid4().hex
        waiting: queue.Queue[Message] = queue.Queue()
        SESSIONS[id_] = Session(waiting.put)
        self.begin_stream()
        self.event(f"/messages?session_id={id_}", "endpoint")
        self.pass_on(waiting)

    def do_POST(self) -> None:
        session = SESSIONS.get(self.path.rpartition("=")[2])
        message = self.body()
        if session is None:
            self.refuse(404)
            return
        self.refuse(202)
        if "method" not in message:
            session.answered(message)
        elif "id" in message:
            # Not here: the client's next message may come over this same connection.
            threading.Thread(target=handle, args=(session, message, session.tell), daemon=True).start()


WAITING: dict[str, "queue.Queue[Message]"] = {}
MODERN_SESSION = Session(lambda message: None)


class Quiet(ThreadingHTTPServer):
    """A client that goes is no error."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def serve_http(handler: type[Exchange]) -> None:
    server = Quiet(("127.0.0.1", 0), handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=options.fd)
    server.serve_forever()


if __name__ == "__main__":
    if options.transport == "stdio":
        serve_stdio()
    else:
        serve_http(Streamable if options.transport == "http" else WithEvents)
