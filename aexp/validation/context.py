"""What every check is given, and what a check is."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Literal

from aexp.campaigns.read import CampaignFiles, read_campaigns
from aexp.kb.artifacts import Artifact
from aexp.paths import Repo
from aexp.validation.evidence import Evidence
from aexp.validation.issue import Issue, Severity
from aexp.validation.notes import Notes

StrictRuns = Literal["error", "warn", "off"]
STRICT_RUNS: tuple[StrictRuns, ...] = ("error", "warn", "off")


class Context:
    """One validation: the repository, and what has been read of it, each once.

    Parameters
    ----------
    repo : Repo
        The repository.
    strict_runs : str
        How bad a citation of a run that nobody knows is: ``error``, ``warn`` or ``off``.
    """

    def __init__(self, repo: Repo, strict_runs: StrictRuns = "error") -> None:
        self.repo = repo
        self.strict_runs = strict_runs

    @cached_property
    def notes(self) -> Notes:
        """All notes of the kb."""
        return Notes(self.repo)

    @cached_property
    def evidence(self) -> Evidence:
        """All runs that any layer knows."""
        return Evidence.read(self.repo)

    @cached_property
    def campaigns(self) -> tuple[list[CampaignFiles], dict[str, str]]:
        """All campaigns, and by path what is wrong with files of theirs."""
        return read_campaigns(self.repo)

    @property
    def artifacts(self) -> list[Artifact]:
        """Hypotheses, experiments, findings and threads that can be read."""
        return self.notes.artifacts

    @cached_property
    def findings(self) -> list[Artifact]:
        """The findings among them."""
        return [artifact for artifact in self.artifacts if artifact.kind.letter == "F"]

    @property
    def existence(self) -> Severity | None:
        """How bad a run that nobody knows is; None when nobody asks, or nobody can tell."""
        if self.strict_runs == "off" or not self.evidence.has_authority:
            return None
        return "error" if self.strict_runs == "error" else "warning"

    def relative(self, path: str) -> str:
        """Return a path as issues have it."""
        return self.repo.relative(path).replace("\\", "/")


Check = Callable[[Context], Iterator[Issue]]
