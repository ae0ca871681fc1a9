"""Whether a pull request can be merged, as its page says it."""

from __future__ import annotations

from dataclasses import dataclass

from contributions import access
from contributions.merging import Obstacle, obstacles_of
from contributions.models import Discussion
from contributions.pulls import merge_state
from hub.auth import Actor

_MAX_PATHS = 20


@dataclass(frozen=True)
class MergeBox:
    """What stands in the way of a merge, and whether this reader could press the button."""

    obstacles: list[Obstacle]
    may_merge: bool
    head_sha: str

    @property
    def is_ready(self) -> bool:
        return not self.obstacles

    @property
    def has_conflicts(self) -> bool:
        return any(obstacle.paths for obstacle in self.obstacles)

    @property
    def reasons(self) -> list[Obstacle]:
        """Obstacles, each with the first paths it names."""
        return [Obstacle(o.code, o.message, o.paths[:_MAX_PATHS]) for o in self.obstacles]


def merge_box(actor: Actor, pull: Discussion) -> MergeBox:
    return MergeBox(
        obstacles=obstacles_of(merge_state(pull)),
        may_merge=access.may_merge(actor, pull),
        head_sha=pull.head_sha,
    )
