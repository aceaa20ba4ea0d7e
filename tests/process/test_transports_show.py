"""`servers show` over every transport: what was agreed upon and what the server can, and no credentials on the way."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.settings import StdioTransport
from tests.conftest import CleanEnv
from tests.fakes.eras import MODERN, speaking
from tests.fakes.hosting import HANGS_AFTER_S

TOKEN = "s3cret-t0ken-of-the-team"


def shown(clean_env: CleanEnv, version: str, kind: str, folder: Path, *options: str) -> tuple[str, str]:
    """Show one server of this version; return what is on stdout and on stderr."""
    with speaking(version, kind, folder=folder, headers={"Authorization": f"Bearer {TOKEN}"}) as transport:
        entry: dict[str, Any] = transport.model_dump(mode="json", exclude={"type", "cwd"})
        entry |= {} if isinstance(transport, StdioTransport) else {"type": kind}
        Path(".mcp.json").write_text(json.dumps({"mcpServers": {"era": entry}}))
        run = subprocess.run(
            ["support-agent", "servers", "show", "era", *options],
            env=clean_env(),
            capture_output=True,
            text=True,
            timeout=HANGS_AFTER_S,
            check=True,
        )
    return run.stdout, run.stderr


@pytest.mark.parametrize(
    ("version", "kind"), [("2024-11-05", "sse"), ("2025-03-26", "http"), ("2025-06-18", "stdio"), (MODERN, "http")]
)
def test_the_version_and_the_transport_that_were_agreed_upon_are_shown(
    clean_env: CleanEnv, tmp_path: Path, version: str, kind: str
):
    out, err = shown(clean_env, version, kind, tmp_path)
    software = "" if version == MODERN else "era 1 · "  # the modern one does not say what it is
    assert out.startswith(f"era · {software}{kind} · {version} · ready\n")
    assert "\n  can: logging, resources (subscribe, listChanged), tools (listChanged)\n" in out
    assert err == ""


def test_what_a_server_can_is_part_of_the_document(clean_env: CleanEnv, tmp_path: Path):
    out, _ = shown(clean_env, "2025-11-25", "stdio", tmp_path, "--json")
    sheet = json.loads(out)
    assert (sheet["protocol_version"], sheet["transport"]) == ("2025-11-25", "stdio")
    assert sheet["capabilities"]["resources"] == {"subscribe": True, "listChanged": True}


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_trace_shows_frames_and_no_headers(clean_env: CleanEnv, tmp_path: Path, kind: str):
    out, err = shown(clean_env, "2025-11-25", kind, tmp_path, "--trace")
    assert '"method":"initialize"' in err
    assert TOKEN not in out + err
    assert "authorization" not in (out + err).lower()
