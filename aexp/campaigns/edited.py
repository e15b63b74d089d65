"""Whether what a campaign says of itself was changed after it had been written: git knows.

A question or a conclusion that is rewritten when the results are there is what campaigns are
to make visible. Nothing in the files themselves could tell.
"""

from aexp.campaigns.read import CAMPAIGN, CONCLUSION, FOLDER
from aexp.errors import AexpError
from aexp.git import run_git
from aexp.paths import Repo

_NAMES = (CAMPAIGN, CONCLUSION)


def edited_files(repo: Repo, campaign_id: str | None = None) -> list[str]:
    """Return the ``campaign.json`` and ``conclusion.json`` that are not as first committed.

    A commit has changed or removed them, or the working tree has; that a merge took one of
    two sides is no change. What was never committed cannot be told, and neither without git.

    Parameters
    ----------
    repo : Repo
        The repository.
    campaign_id : str, optional
        Only of this campaign.
    """
    place = FOLDER if campaign_id is None else f"{FOLDER}/{campaign_id}"
    options = ("--name-only", "-z", "--relative", "--no-renames")
    # Not even git's index is written.
    compare = ("-c", "diff.autoRefreshIndex=false", "diff", "--diff-filter=MT", "HEAD")
    found: set[str] = set()
    for words in (("log", "--diff-filter=MDT", "--format="), compare):
        try:
            done = run_git(repo, *words, *options, "--", place)
        except AexpError:
            continue
        if done.code == 0:
            found.update(name.strip("\n") for name in done.names)
    return sorted(name for name in found if name.rpartition("/")[2] in _NAMES)
