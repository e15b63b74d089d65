"""The errors a user can meet: one tree, each with a message and a hint.

``message`` says what is wrong, ``hint`` says what to do about it. The command line
prints both and exits with :attr:`AexpError.exit_code`; it never shows a traceback for
an error of this tree.
"""

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 70
EXIT_TEMPFAIL = 75


class AexpError(Exception):
    """Base of every error that aexp raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    hint : str, optional
        What to do about it, usually a command to type.
    """

    exit_code = EXIT_FAILED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # seen where nobody catches it, in a user's own script


class UsageError(AexpError):
    """The call itself is malformed: a bad id, label, option or combination of options."""

    exit_code = EXIT_USAGE


class SweepSyntaxError(UsageError):
    """A ``--sp``, ``--sweep``, ``--zip`` or ``--exclude`` text does not parse."""


class ParameterError(UsageError):
    """A state-point key or value contradicts the experiment's ``parameters:`` schema."""


class RunnerCommandMissing(UsageError):
    """Neither the experiment nor the run says which command to run."""


class RunnerCommandError(UsageError):
    """The runner command cannot be rendered safely with this run's values."""


class InstallRefused(UsageError):
    """The folder is not one that aexp may set up."""


class RepoNotFound(AexpError):
    """No git repository or aexp marker above the current folder."""


class NotInstalled(AexpError):
    """The repository has no aexp run store yet."""


class RunStoreNotInitialized(NotInstalled):
    """The run store that the marker names does not exist."""


class GitError(AexpError):
    """git is missing, too slow or refuses."""


class RemoteUnreachable(GitError):
    """The git remote does not answer; the same command can be called again."""

    exit_code = EXIT_TEMPFAIL


class MergeConflict(GitError):
    """What the remote has and what is here cannot be merged without a person."""


class ArtifactNotFound(AexpError):
    """No hypothesis, experiment, finding or thread of that id."""


class ArtifactReadError(AexpError):
    """A markdown artifact's frontmatter cannot be read."""


class ArtifactCreateError(UsageError):
    """An artifact cannot be made as it was asked for; nothing was written."""


class RunNotFound(AexpError):
    """No run of that id, or more than one begins with that prefix."""


class CorruptFile(AexpError):
    """A file of ours holds something else than we wrote."""


class MetricError(UsageError, TypeError):
    """A value that training code gives cannot be kept; nothing was written."""


class StatusError(AexpError):
    """The run's present status does not allow this."""


class StopJobError(StatusError):
    """The run cannot be stopped from here."""


class NotReproducible(AexpError):
    """What is recorded and present here does not suffice to run an attempt again."""


class StoreReadOnly(AexpError):
    """The store or the ledger cannot be written."""


class TrackerInitError(AexpError):
    """A tracker's SDK is missing, or it cannot open a run."""


class EngineFailed(AexpError):
    """Snakemake or Slurm could not be started or answered with an error."""


class DuplicatePendingJobWarning(UserWarning):
    """A queued run with the same configuration exists already; it was returned instead."""


class CorruptFileWarning(UserWarning):
    """One record could not be read and was left out; the command went on."""


class LedgerWarning(UserWarning):
    """A ledger entry could not be written; the run's own record is complete."""


SweepParseError = SweepSyntaxError
ArtifactNotFoundError = ArtifactNotFound
