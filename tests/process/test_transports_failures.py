"""Servers over HTTP that cannot be reached, refuse, or answer with something else: a sentence, and what to check."""

import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.errors import CallUncertain, ServerProtocolError, ServerStartFailed
from agent.host import Host
from agent.settings import HttpTransport
from tests.fakes.eras import MODERN, speaking
from tests.fakes.hosting import HANGS_AFTER_S, Notes, call, settings_for

TOKEN = "s3cret-t0ken-of-the-team"
KINDS = pytest.mark.parametrize("kind", ["http", "sse"])

Send = Callable[[Any], Awaitable[None]]


@asynccontextmanager
async def serving(app: Callable[..., Awaitable[None]], **config: Any) -> AsyncIterator[int]:
    """Serve an ASGI application of this test on a port."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", **config))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: server.serve([listening]))
            try:
                yield listening.getsockname()[1]
            finally:
                server.should_exit = True


def answering(status: int, *headers: tuple[str, str], body: bytes = b"no") -> Callable[..., Awaitable[None]]:
    """Make an application that answers everything in the same way."""

    async def app(scope: Any, receive: Any, send: Send) -> None:
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    return app


async def start_fails(home: Path, url: str, kind: str = "http", **headers: str) -> str:
    """Return the sentence with which the server at this address does not start; it holds no secret."""
    transport = HttpTransport.model_validate({"type": kind, "url": url, "headers": headers})
    notes, frames = Notes(), list[str]()
    with anyio.fail_after(HANGS_AFTER_S), pytest.raises(ServerStartFailed) as failure:
        async with Host(
            settings_for(home, {"far": transport}), notes, trace=lambda *frame: frames.append(" ".join(frame))
        ):
            pytest.fail("it started")
    assert TOKEN not in " ".join([str(failure.value), *notes.notices, *frames])
    return str(failure.value)


@KINDS
@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (403, "these credentials do not suffice: see its `headers` in .mcp.json."),
        (405, 'there is no MCP server of this type at this address: an older one needs "type": "sse" in .mcp.json.'),
        (429, "it is asked too often: wait, or ask its operator for more."),
        (503, "it is out of order."),
    ],
)
async def test_a_status_says_what_to_check(home: Path, kind: str, status: int, sentence: str):
    async with serving(answering(status)) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        assert await start_fails(home, url, kind) == f"far did not start: {url} answers HTTP {status}: {sentence}"


@KINDS
async def test_a_page_for_people_is_no_answer(home: Path, kind: str):
    async with serving(answering(200, ("content-type", "text/html; charset=utf-8"), body=b"<html>")) as port:
        sentence = await start_fails(home, f"http://127.0.0.1:{port}/mcp", kind)
    assert sentence.endswith("answers HTTP 200 with text/html, as no MCP server does: check the `url`.")


@KINDS
async def test_a_redirect_to_another_host_is_not_followed(home: Path, kind: str):
    seen: list[str] = []

    async def elsewhere(scope: Any, receive: Any, send: Send) -> None:
        seen.append(scope["path"])

    async with serving(elsewhere) as other:
        target = f"http://127.0.0.1:{other}/mcp"
        async with serving(answering(307, ("location", f"{target}?state={TOKEN}"))) as port:
            url = f"http://127.0.0.1:{port}/mcp"
            sentence = await start_fails(home, url, kind, Authorization=f"Bearer {TOKEN}")
    assert sentence == (
        f"far did not start: {url} redirects to {target}, and credentials are not sent on: "
        "if that is right, make it the `url`."
    )
    assert seen == []


@KINDS
async def test_a_server_that_repeats_its_credentials_does_not_get_them_shown(home: Path, kind: str):
    async def app(scope: Any, receive: Any, send: Send) -> None:
        said = f'{{"jsonrpc": "2.0", "id": null, "error": {{"code": -32000, "message": "Who is {TOKEN}?"}}}}'
        if kind == "sse" and scope["method"] == "GET":
            await send(
                {"type": "http.response.start", "status": 401, "headers": [(b"www-authenticate", TOKEN.encode())]}
            )
        else:
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": said.encode()})

    async with serving(app) as port:
        url = f"http://user:{TOKEN}@127.0.0.1:{port}/mcp?key={TOKEN}"
        sentence = await start_fails(home, url, kind, Authorization=f"Bearer {TOKEN}")
    assert "far did not start" in sentence
    assert f"127.0.0.1:{port}/mcp answers HTTP 401" in sentence or "Who is •••?" in sentence


async def test_a_header_that_http_cannot_carry_is_a_sentence(home: Path):
    sentence = await start_fails(home, "http://127.0.0.1:9/mcp", Authorization=f"Bearer “{TOKEN}”")
    assert sentence == "far did not start: one of its `headers` in .mcp.json holds characters that HTTP cannot carry."


async def test_an_address_that_is_none_is_a_sentence(home: Path):
    assert await start_fails(home, "http://[::1/mcp") == (
        "far did not start: its `url` in .mcp.json is none: Invalid port: ':1'."
    )


@KINDS
async def test_a_connection_that_is_reset_is_a_sentence(home: Path, kind: str):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = Thread(target=reset_all, args=(listening,), daemon=True)
        thread.start()
        sentence = await start_fails(home, f"http://127.0.0.1:{port}/mcp", kind)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=HANGS_AFTER_S)
    assert f"http://127.0.0.1:{port}/mcp breaks off the connection (ReadError): is it an MCP server at all?" in sentence


def reset_all(listening: socket.socket) -> None:
    """Read a little of each connection, and reset it."""
    while True:
        try:
            taken, _ = listening.accept()
        except OSError:
            return
        taken.recv(10)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        taken.close()


# TLS.


@contextmanager
def certificate(folder: Path, name: str, *, days: int = 1) -> Iterator[tuple[Path, Path]]:
    """Make a certificate for this name that signs itself; yield the files of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    yield folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(
    ("name", "days", "reason"),
    [
        ("127.0.0.1", 1, "self-signed certificate"),
        ("127.0.0.1", -1, "certificate has expired"),
        ("127.0.0.2", 1, "IP address mismatch"),
    ],
)
@KINDS
async def test_a_certificate_that_is_not_trusted_is_a_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, days: int, reason: str
):
    with certificate(tmp_path, name, days=days) as (cert, key):
        if reason != "self-signed certificate":
            monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        async with serving(answering(404), ssl_certfile=str(cert), ssl_keyfile=str(key)) as port:
            url = f"https://127.0.0.1:{port}/mcp"
            sentence = await start_fails(home, url, kind, Authorization=TOKEN)
    assert sentence.startswith(f"far did not start: the certificate of {url} is not trusted ({reason}")
    assert sentence.endswith("): if it is the right one, let SSL_CERT_FILE name the authority that issued it.")


async def test_the_authority_that_ssl_cert_file_names_is_trusted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with certificate(tmp_path, "127.0.0.1") as (cert, key):
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        async with serving(answering(404), ssl_certfile=str(cert), ssl_keyfile=str(key)) as port:
            sentence = await start_fails(home, f"https://127.0.0.1:{port}/mcp")
    assert "answers HTTP 404: there is no MCP server at this address" in sentence


async def test_an_address_that_does_not_speak_tls_is_a_sentence(home: Path):
    async with serving(answering(404)) as port:
        sentence = await start_fails(home, f"https://127.0.0.1:{port}/mcp")
    assert sentence.startswith(f"far did not start: https://127.0.0.1:{port}/mcp does not speak TLS as it should")
    assert sentence.endswith("is its `url` http:// instead?")


def test_the_certificates_of_these_tests_are_good_for_tls(tmp_path: Path):
    with certificate(tmp_path, "127.0.0.1") as (cert, key):
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)


# Proxies.


@KINDS
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_does_not_answer_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str, scheme: str
):
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:{TOKEN}@127.0.0.1:9")
    url = f"{scheme}://127.0.0.1:8/mcp"
    sentence = await start_fails(home, url, kind, Authorization=TOKEN)
    assert sentence.startswith(
        f"far did not start: nothing answers at the proxy http://127.0.0.1:9 on the way to {url}"
    )
    assert sentence.endswith("check HTTP_PROXY, HTTPS_PROXY and NO_PROXY.")


async def test_a_proxy_that_refuses_to_connect_is_named(home: Path, monkeypatch: pytest.MonkeyPatch):
    async with serving(answering(403)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        sentence = await start_fails(home, "https://127.0.0.1:8/mcp")
    assert f"the proxy http://127.0.0.1:{port} does not lead to https://127.0.0.1:8/mcp (403 Forbidden)" in sentence


async def test_a_proxy_that_is_none_is_a_sentence_without_its_password(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", f"gopher://user:{TOKEN}@127.0.0.1:9")
    sentence = await start_fails(home, "http://127.0.0.1:8/mcp")
    assert sentence == (
        "far did not start: the environment names a proxy that cannot be used: "
        "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY."
    )


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_proxy_is_not_asked_for_what_no_proxy_names(home: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    version = "2025-11-25"
    with speaking(version, kind) as transport, anyio.fail_after(HANGS_AFTER_S):
        async with Host(settings_for(home, {"far": transport}), Notes()) as host:
            assert host.servers["far"].protocol_version == version


# While a server is used.


@asynccontextmanager
async def turning(home: Path, response: Callable[..., Awaitable[None]], **server: Any) -> AsyncIterator[Host]:
    """Connect to a modern server that answers every call of a tool, and every read, with this application."""
    capabilities = '{"tools": {}, "resources": {}}'
    envelope = '"resultType": "complete", "ttlMs": 0, "cacheScope": "private"'
    results = {
        b'"server/discover"': f'{{{envelope}, "supportedVersions": ["{MODERN}"], "capabilities": {capabilities}}}',
        b'"tools/list"': f'{{{envelope}, "tools": [{{"name": "act", "inputSchema": {{"type": "object"}}}}]}}',
        b'"resources/list"': f'{{{envelope}, "resources": []}}',
        b'"resources/templates/list"': f'{{{envelope}, "resourceTemplates": []}}',
    }

    async def app(scope: Any, receive: Any, send: Send) -> None:
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part["body"]
            if not part.get("more_body"):
                break
        known = [result for method, result in results.items() if b'"method":' + method in body]
        if not known:
            await response(scope, receive, send)
            return
        id_ = body.partition(b'"id":')[2].partition(b",")[0].decode()
        said = f'{{"jsonrpc": "2.0", "id": {id_}, "result": {known[0]}}}'
        await answering(200, ("content-type", "application/json"), body=said.encode())(scope, receive, send)

    async with serving(app) as port:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        transport = HttpTransport(type="http", url=f"http://127.0.0.1:{port}/mcp", headers=headers)
        with anyio.fail_after(HANGS_AFTER_S):
            async with Host(settings_for(home, {"far": transport}, **server), Notes()) as host:
                yield host


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_a_call_that_is_refused_comes_back_with_what_to_check(home: Path, status: int):
    async with turning(home, answering(status)) as host:
        result = await call(host, "act", server="far")
        assert result.is_error
        assert result.content[0].text.startswith("far: http://127.0.0.1")
        assert f"answers HTTP {status}: " in result.content[0].text
        with pytest.raises(ServerProtocolError, match=f"far does not give note://1: far: .* answers HTTP {status}"):
            await host.read_resource("far", "note://1")


@pytest.mark.parametrize(
    "response",
    [
        answering(500),
        answering(200, ("content-type", "text/html")),
        answering(202),
        answering(200, ("content-type", "application/json"), body=b'{"jsonrpc": "2.0", "id": 3, "res'),
        answering(200, ("content-type", "application/json"), ("content-length", "900"), body=b'{"jsonrpc": '),
        answering(200, ("content-type", "text/event-stream"), body=b'event: message\ndata: {"jsonrpc": "2.0"'),
        answering(200, ("content-type", "text/event-stream"), body=b"event: message\ndata: {nonsense\n\n"),
    ],
    ids=["500", "html", "accepted", "half-json", "cut-json", "cut-stream", "garbage"],
)
async def test_a_call_that_may_have_been_made_is_uncertain(home: Path, response: Callable[..., Awaitable[None]]):
    async with turning(home, response, restarts=0) as host:
        for _ in range(3):  # and the connection goes on: nothing of it is lost
            with pytest.raises(CallUncertain, match=r"whether (the call|far\.act) took effect is not known"):
                await call(host, "act", server="far")


async def test_a_stream_that_ends_within_a_result_is_that_calls_failure_alone(home: Path):
    waiting, ended = anyio.Event(), anyio.Event()
    bodies: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Send) -> None:
        bodies.append(b"")
        if len(bodies) == 1:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
            waiting.set()
            await ended.wait()
            said = b'{"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "content": []}}'
            await send({"type": "http.response.body", "body": b"data: " + said + b"\n\n"})
            return
        head = [(b"content-type", b"application/json"), (b"content-length", b"1000000")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b'{"jsonrpc": "2.0", "id": 1, "result": {"content": ['})

    results: list[Any] = []
    async with turning(home, app, restarts=0) as host, anyio.create_task_group() as calls:

        async def keep() -> None:
            results.append(await call(host, "act", server="far"))

        calls.start_soon(keep)
        await waiting.wait()
        with pytest.raises(CallUncertain, match="far ended its response too early"):
            await call(host, "act", server="far")
        ended.set()
    assert [result.is_error for result in results] == [False]
