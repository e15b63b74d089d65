"""A stand-in for the W&B service on loopback: the HTTP API that the real SDK and `wandb sync` use.

What it serves was read off the requests of wandb 0.31.0 (wandb-core), not off a specification.
It keeps what it is sent the way the service does, where that decides what a run looks like
afterwards: a row of the history lies at the line number that its sender gave it, `upsertBucket`
changes only what it names, a run resumed is told how many lines it has. It proves that a client
speaks this protocol, retries, resumes and uploads completely. It does not prove anything about
the service's own limits, permissions, user interface or later versions.

Start one for yourself: ``python wandb_server.py`` prints the two variables to set.
"""

import base64
import contextlib
import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

# The SDK refuses a shorter one before it asks the service.
API_KEY = "standin0" * 5
WRONG_KEY = "wrongkey" * 5
ENTITY = "the-team"

OPERATION = re.compile(r"\b(?:query|mutation)\b\s*(\w*)[^{]*\{\s*(\w+)")
FILE_STREAM = re.compile(r"^/files/([^/]+)/([^/]+)/([^/]+)/file_stream$")


@dataclass
class Bucket:
    """One run as the service keeps it."""

    id: str
    entity: str
    project: str
    group: str | None = None
    job_type: str | None = None
    display_name: str | None = None
    notes: str | None = None
    tags: list[str] = field(default_factory=list)
    raw_config: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, Any]] = field(default_factory=dict)
    """Per stream (wandb-history.jsonl, wandb-summary.json, output.log, …): line number -> text."""
    files: dict[str, bytes] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    state: str = "running"
    exit_code: int | None = None
    created_at: float = field(default_factory=time.time)

    @property
    def config(self) -> dict[str, Any]:
        """The config as the user gave it."""
        return {k: v["value"] for k, v in self.raw_config.items() if k != "_wandb"}

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every row with the SDK's own keys (_step, _runtime, _timestamp), in line order."""
        lines = self.lines.get("wandb-history.jsonl", {})
        return [json.loads(lines[number]) for number in sorted(lines)]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every row without the SDK's keys but `_step`."""
        return [
            {k: v for k, v in row.items() if k == "_step" or not k.startswith("_")}
            for row in self.history
        ]

    @property
    def summary(self) -> dict[str, Any]:
        """The summary without the SDK's own keys."""
        return {k: v for k, v in self.raw_summary.items() if not k.startswith("_")}

    @property
    def raw_summary(self) -> dict[str, Any]:
        """The summary with the SDK's own keys."""
        lines = self.lines.get("wandb-summary.json", {})
        return json.loads(lines[max(lines)]) if lines else {}

    def tail(self, stream: str) -> str:
        """The last line of a stream, as the resume query wants it: a JSON list in a string."""
        lines = self.lines.get(stream, {})
        return json.dumps([lines[max(lines)]] if lines else [])

    def as_node(self) -> dict[str, Any]:
        """Answer for every field that any of the SDK's queries asks of a run."""
        return {
            "id": f"id-{self.id}",
            "name": self.id,
            "displayName": self.display_name or self.id,
            "description": self.notes,
            "notes": self.notes,
            "tags": self.tags,
            "group": self.group,
            "jobType": self.job_type,
            "state": self.state,
            "config": json.dumps(self.raw_config),
            "summaryMetrics": json.dumps(self.raw_summary),
            "systemMetrics": "{}",
            "historyTail": self.tail("wandb-history.jsonl"),
            "eventsTail": self.tail("wandb-events.jsonl"),
            "historyLineCount": len(self.lines.get("wandb-history.jsonl", {})),
            "eventsLineCount": len(self.lines.get("wandb-events.jsonl", {})),
            "logLineCount": len(self.lines.get("output.log", {})),
            "wandbConfig": json.dumps({"t": {}}),
            "historyKeys": {},
            "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.created_at)),
            "heartbeatAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": None,
            "sweepName": None,
            "readOnly": False,
            "projectId": "1",
            "user": {"name": "somebody", "username": "somebody"},
            "project": {
                "id": "p1",
                "name": self.project,
                "entity": {"id": "e1", "name": self.entity},
            },
        }


class WandbService:
    """The service, its store and its faults.

    Attributes
    ----------
    mode : str
        ``normal``; ``refuse`` (401 whatever the key); ``error`` (500); ``hang`` (accepts, never
        answers, or not the operations that `hang` was given). A key that is not `API_KEY` is
        refused in every mode. `down` closes the port.
    runs : dict of str to Bucket
        By run id, over all projects.
    requests : list of str
        The operations in order: the name of a GraphQL operation, else method and path.
    """

    def __init__(self) -> None:
        self.mode = "normal"
        self.hanging: tuple[str, ...] = ()
        self.runs: dict[str, Bucket] = {}
        self.requests: list[str] = []
        self.lock = threading.RLock()
        self.released = threading.Event()
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        """What WANDB_BASE_URL has to be."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send a client here, and nowhere else."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": API_KEY,
            "WANDB_ERROR_REPORTING": "false",
        }

    def up(self) -> None:
        """Listen, at the same port as before `down`."""
        service = self

        class Handler(_Handler):
            standin = service

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Stop listening: a connection is refused, as without a network."""
        self.release()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    close = down

    def hang(self, *operations: str) -> None:
        """From now on accept requests and do not answer them, or only not these of GraphQL."""
        self.released = threading.Event()
        self.hanging = operations
        self.mode = "hang"

    def release(self) -> None:
        """Let every held request end, and be normal again."""
        self.mode = "normal"
        self.released.set()

    # What it is sent -----------------------------------------------------------------------

    def graphql(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one operation; null when there is nothing to say about what it asks for."""
        name, asked = OPERATION.search(body["query"]).groups()  # type: ignore[union-attr]
        name = name or asked.capitalize()  # older versions ask for the viewer without a name
        variables = body.get("variables") or {}
        self.requests.append(name)
        answer = getattr(self, f"_on_{name}", None)
        return answer(variables) if answer is not None else {asked: None}

    def file_stream(self, run_id: str, body: dict[str, Any]) -> None:
        """Keep the lines, each at its number."""
        run = self.runs[run_id]
        for name, chunk in (body.get("files") or {}).items():
            lines = run.lines.setdefault(name, {})
            for number, text in enumerate(chunk["content"], chunk["offset"]):
                lines[number] = text
        if body.get("complete"):
            run.exit_code = body.get("exitcode")
            run.state = "finished" if run.exit_code == 0 else "failed"

    def upload(self, path: str, data: bytes) -> None:
        """Keep a file at the address that was given out for it."""
        kind, owner, name = path.removeprefix("/storage/").split("/", 2)
        if kind == "run":
            self.runs[owner].files[unquote(name)] = data
        else:
            self._artifacts[owner]["files"][unquote(name)] = data

    def _on_Viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "viewer": {
                "id": "v1",
                "entity": ENTITY,
                "username": "somebody",
                "name": "somebody",
                "email": "somebody@example.org",
                "flags": "{}",
                "admin": False,
                "teams": {"edges": [{"node": {"name": ENTITY}}]},
            }
        }

    _on_GetDefaultEntity = _on_Viewer
    _on_GetViewer = _on_Viewer

    def _on_ServerFeaturesQuery(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _on_RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["name"])
        if run is None:
            return {"model": None}
        entity = {"id": "e1", "name": run.entity}
        return {
            "model": {"id": "p1", "name": run.project, "entity": entity, "bucket": run.as_node()}
        }

    def _on_UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables.get("name") or str(variables.get("id")).removeprefix("id-")
        is_new = name not in self.runs
        if is_new:
            entity = variables.get("entity") or ENTITY
            project = variables.get("project") or "uncategorized"
            self.runs[name] = Bucket(name, entity, project)
        run = self.runs[name]
        run.group = variables.get("groupName") or run.group
        run.job_type = variables.get("jobType") or run.job_type
        run.display_name = variables.get("displayName") or run.display_name
        run.notes = variables.get("notes") or run.notes
        run.state = variables.get("state") or "running"
        if variables.get("tags") is not None:
            run.tags = variables["tags"]
        if variables.get("config"):
            run.raw_config = json.loads(variables["config"])
        if variables.get("summaryMetrics"):
            run.lines["wandb-summary.json"] = {0: variables["summaryMetrics"]}
        return {"upsertBucket": {"bucket": run.as_node(), "inserted": is_new}}

    def _on_CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = variables["run"]
        files = [
            {"name": name, "uploadUrl": f"{self.url}/storage/run/{run}/{name}"}
            for name in variables["files"]
        ]
        return {"createRunFiles": {"runID": f"id-{run}", "uploadHeaders": [], "files": files}}

    def _on_RunState(self, variables: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(variables["run"])
        return {"project": {"run": run.as_node() if run else None}}

    def _on_Run(self, variables: dict[str, Any]) -> dict[str, Any]:
        return self._on_RunState({"run": variables["name"]})

    def _on_Runs(self, variables: dict[str, Any]) -> dict[str, Any]:
        pattern = _group_pattern(json.loads(variables.get("filters") or "{}"))
        found = [
            run
            for run in self.runs.values()
            if run.project == variables["project"]
            and (pattern is None or (run.group and re.search(pattern, run.group)))
        ]
        start = int(variables.get("cursor") or 0)
        end = start + int(variables.get("perPage") or 50)
        edges = [
            {"node": run.as_node(), "cursor": str(number)}
            for number, run in enumerate(found[start:end], start + 1)
        ]
        page = {"endCursor": str(end), "hasNextPage": end < len(found)}
        return {
            "project": {
                "internalId": "1",
                "runCount": len(found),
                "readOnly": False,
                "runs": {"edges": edges, "pageInfo": page},
            }
        }

    def _on_CreateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        wanted = variables["input"]
        name = wanted["artifactCollectionName"]
        key = f"a{len(self._artifacts)}"
        files: dict[str, bytes] = {}
        self._artifacts[key] = {"name": name, "run": wanted["runName"], "files": files}
        artifact = {
            "id": key,
            "digest": wanted["digest"],
            "state": "PENDING",
            "artifactSequence": {"id": f"s-{name}", "latestArtifact": None},
        }
        return {"createArtifact": {"artifact": artifact}}

    def _on_CreateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        key = variables["artifactID"]
        upload = {
            "id": "f1",
            "uploadUrl": f"{self.url}/storage/artifact/{key}/.manifest",
            "uploadHeaders": [],
        }
        return {"createArtifactManifest": {"artifactManifest": {"id": f"m-{key}", "file": upload}}}

    def _on_UpdateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        key = variables["artifactManifestID"].removeprefix("m-")
        made = self._on_CreateArtifactManifest({"artifactID": key})["createArtifactManifest"]
        return {"updateArtifactManifest": made}

    def _on_CreateArtifactFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for file in variables["input"]["artifactFiles"]:
            key, name = file["artifactID"], file["name"]
            node = {
                "storagePath": f"{key}/{name}",
                "uploadUrl": f"{self.url}/storage/artifact/{key}/{name}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": key},
            }
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _on_CommitArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        key = variables["artifactID"]
        made = self._artifacts[key]
        files = {name: data for name, data in made["files"].items() if name != ".manifest"}
        self.runs[made["run"]].artifacts[made["name"]] = files
        return {"commitArtifact": {"artifact": {"id": key, "digest": "d"}}}


def _group_pattern(filters: Any) -> str | None:
    """The regular expression that a filter of runs asks of their group."""
    if isinstance(filters, list):
        return next(filter(None, map(_group_pattern, filters)), None)
    if not isinstance(filters, dict):
        return None
    if isinstance(filters.get("group"), dict):
        return str(filters["group"]["$regex"])
    return next(filter(None, map(_group_pattern, filters.values())), None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    standin: WandbService

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def do_any(self) -> None:
        body = self._body()
        path = urlsplit(self.path).path
        service = self.standin
        if service.mode == "hang" and self._is_hanging(path, body):
            service.released.wait()
            self.close_connection = True
            return
        if service.mode == "error":
            self._answer(500, {"error": "the stand-in fails, as it was told to"})
        elif not path.startswith("/storage/") and not self._is_known():
            self._answer(401, {"errors": [{"message": "user is not logged in"}]})
        else:
            with service.lock:
                self._serve(service, path, body)

    do_GET = do_POST = do_PUT = do_any

    def _serve(self, service: WandbService, path: str, body: bytes) -> None:
        stream = FILE_STREAM.match(path)
        if path == "/graphql":
            self._answer(200, {"data": service.graphql(json.loads(body))})
            return
        if not path.startswith("/sdk/otel/"):  # the SDK's measurements of itself
            service.requests.append(f"{self.command} {path}")
        if stream:
            service.file_stream(unquote(stream[3]), json.loads(body))
        elif path.startswith("/storage/"):
            service.upload(path, body)
        self._answer(200, {})

    def _is_hanging(self, path: str, body: bytes) -> bool:
        hanging = self.standin.hanging
        if not hanging:
            return True
        found = OPERATION.search(json.loads(body)["query"]) if path == "/graphql" else None
        return found is not None and (found[1] or found[2]) in hanging

    def _is_known(self) -> bool:
        if self.path.startswith("/sdk/otel/"):
            return True
        if self.standin.mode == "refuse":
            return False
        given = self.headers.get("authorization", "").removeprefix("Basic ")
        return base64.b64decode(given) == f"api:{API_KEY}".encode()

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
        return gzip.decompress(data) if self.headers.get("content-encoding") == "gzip" else data

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def serving() -> Iterator[WandbService]:
    """Serve for the block."""
    service = WandbService()
    try:
        yield service
    finally:
        service.close()


if __name__ == "__main__":
    with serving() as started:
        for variable in started.environment.items():
            print("export {}={}".format(*variable), flush=True)
        threading.Event().wait()
