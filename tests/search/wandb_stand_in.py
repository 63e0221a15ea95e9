"""A stand-in of W&B's API on loopback: answers what wandb 0.30 asks for a sync, a sweep and an agent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API_KEY = "a" * 40
ENTITY = {"id": "e1", "name": "me"}
PROJECT = {"id": "p1", "name": "potstill", "entity": ENTITY}
VIEWER = {
    "id": "u1",
    "entity": "me",
    "username": "me",
    "email": "me@example.org",
    "flags": "{}",
    "teams": {"edges": []},
}


@dataclass
class StandIn:
    """What was asked of it: GraphQL variables by mutation, and file streams by run. `commands` wait for an agent."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    streamed: dict[str, list[str]] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    commands: list[dict[str, Any]] = field(default_factory=list)
    sweep_config: str = ""
    takes_nothing: threading.Event | None = None

    def calls(self, mutation: str) -> list[dict[str, Any]]:
        return [variables for name, variables in self.asked if name == mutation]

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        for name in (
            "upsertBucket",
            "upsertSweep",
            "createRunFiles",
            "createArtifact(",
            "createAgent",
            "agentHeartbeat",
        ):
            if name in query:
                self.asked.append((name.rstrip("("), variables))
                return {name.rstrip("("): self._answer_to(name.rstrip("("), variables)}
        if "viewer" in query:
            return {"viewer": VIEWER}
        if "sweep(" in query:
            node = {"id": "s1", "name": "sw1", "config": self.sweep_config, "state": "RUNNING", "method": "random"}
            return {"project": {"sweep": {**node, "runs": {"edges": []}}}}
        return {}

    def _answer_to(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        if name == "upsertBucket":
            bucket = {
                "id": "b1",
                "name": variables["name"],
                "displayName": variables["displayName"],
                "project": PROJECT,
            }
            return {"bucket": {**bucket, "config": None, "sweepName": None, "historyLineCount": 0}, "inserted": True}
        if name == "upsertSweep":
            return {"sweep": {"name": "sw1", "project": PROJECT}, "configValidationWarnings": []}
        if name == "createRunFiles":
            files = [{"name": f, "uploadUrl": f"{self.url}/store/{variables['run']}/{f}"} for f in variables["files"]]
            return {"runID": "b1", "uploadHeaders": [], "files": files}
        if name == "createArtifact":
            return {
                "artifact": {"id": "a1", "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": "a1"}}}
            }
        if name == "createAgent":
            return {"agent": {"id": "agent1"}}
        waiting, self.commands = self.commands[:1], self.commands[1:]
        if not waiting and not json.loads(variables["runState"]):
            waiting = [{"type": "exit", "id": "0"}]
        return {"agent": {"id": "agent1"}, "commands": json.dumps(waiting)}

    def put(self, path: str, body: bytes) -> None:
        if path.endswith("/file_stream"):
            lines = json.loads(body).get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
            self.streamed.setdefault(path.split("/")[-2], []).extend(lines)
        elif path.startswith("/store/"):
            self.stored[path.removeprefix("/store/")] = body


@contextmanager
def stand_in() -> Iterator[StandIn]:
    server = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if server.takes_nothing and self.command == "POST":
                server.takes_nothing.wait()
            data: dict[str, Any] = {}
            if self.path.endswith("/graphql"):
                asked = json.loads(body)
                data = {"data": server.answer(asked["query"], asked.get("variables") or {})}
            else:
                server.put(self.path, body)
            content = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            # wandb-core drops its connections when it ends.
            pass

    http = Server(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield server
    http.shutdown()
    http.server_close()
    thread.join()
