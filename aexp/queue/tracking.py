"""Where added runs are tracked: the experiment's setting under the caller's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aexp.errors import UsageError
from aexp.kb.tracker import OFF, read_tracker

if TYPE_CHECKING:
    from aexp.kb.experiments import Experiment


def tracker_settings(
    experiment: "Experiment",
    tracker: str | Mapping[str, Any] | None,
    project: str | None,
    offline: bool | None,
) -> dict[str, Any] | None:
    """Return the tracker settings to freeze in added runs, None for no tracker.

    Parameters
    ----------
    experiment : Experiment
        Its ``tracker:`` is the default.
    tracker : str or mapping, optional
        A backend's name, ``none``, or whole settings. Another backend than the
        experiment's takes over its project and offline only.
    project, offline : optional
        Over both.

    Raises
    ------
    UsageError
        If there is no such tracker, or it does not take these settings.
    """
    own = experiment.tracker
    if isinstance(tracker, str) and tracker != OFF:
        given = read_tracker(tracker) or {}
        if own is not None and own["backend"] == tracker:
            given = own
        elif own is not None:
            given |= {key: own[key] for key in ("project", "offline") if key in own}
    elif tracker is None:
        given = own or {}
    else:
        given = read_tracker(tracker) or {}
    if not given:
        if project is not None or offline is not None:
            raise UsageError(
                "a project or offline was given, but these runs have no tracker",
                "add --tracker wandb, or tracker: to the experiment's frontmatter",
            )
        return None
    more = {"project": project, "offline": offline}
    settings = {**given, **{key: value for key, value in more.items() if value is not None}}
    from aexp.trackers.binding import check_settings

    return check_settings(settings)
