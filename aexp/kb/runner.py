"""What executing a run needs of its experiment, without parsing YAML for every run."""

import json
from typing import NamedTuple

from aexp.errors import AexpError, CorruptFile, ParameterError
from aexp.files import read_bytes, read_object, write_atomic
from aexp.kb.declared_files import DeclaredFiles, read_declared_files
from aexp.kb.experiments import Experiment, find_experiment
from aexp.kb.frontmatter import read_frontmatter
from aexp.paths import Repo


class Runner(NamedTuple):
    """The experiment's command, what precedes it, and the files that it declares."""

    command: str | None
    prelude: str | None
    files: DeclaredFiles = DeclaredFiles()


def load_runner(repo: Repo, experiment_id: str, *, remember: bool = False) -> Runner:
    """Return an experiment's runner, from its file as it is now.

    Parameters
    ----------
    repo : Repo
        The repository.
    experiment_id : str
        The experiment.
    remember : bool, default False
        Keep the answer in the cache folder, beside the text it was parsed from. It holds
        only while the experiment's file is that text, byte for byte.

    Raises
    ------
    ArtifactNotFound
        If there is no such experiment.
    ArtifactReadError
        If its frontmatter cannot be read.
    """
    path = find_experiment(repo, experiment_id)
    text = (read_bytes(path) or b"").decode("latin-1")
    memory = repo.cache("runners", experiment_id + ".json")
    known = _recall(memory, text)
    if known is not None:
        return known
    experiment = Experiment(experiment_id, path, read_frontmatter(path))
    runner = Runner(experiment.runner_command, experiment.prelude, experiment.files)
    if remember and (read_bytes(path) or b"").decode("latin-1") == text:  # still
        _remember(memory, text, runner)
    return runner


def _recall(memory: str, text: str) -> Runner | None:
    try:
        content = read_object(memory)
    except CorruptFile:
        return None
    if content is None or content.get("text") != text:
        return None
    values = content.get("command"), content.get("prelude")
    command, prelude = (value if isinstance(value, str) else None for value in values)
    if not isinstance(content.get("files"), dict):
        return None  # an older version wrote it
    try:
        return Runner(command, prelude, read_declared_files(content["files"]))
    except ParameterError:
        return None


def _remember(memory: str, text: str, runner: Runner) -> None:
    try:
        content = {"text": text, **runner._asdict(), "files": runner.files._asdict()}
        write_atomic(memory, json.dumps(content).encode())
    except AexpError:
        return  # a cache that cannot be written costs the next run some milliseconds
