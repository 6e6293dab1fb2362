"""The rules of what may be shown, as data: read from a file, the same for every recommender.

Hard rules are never broken, even where that leaves a list shorter: block and allow lists,
`explicit`, `heard`, and artists' `most` and `spacing`. Soft ones do what the candidates allow:
the shares of `released` and `unheard`, and `diversity`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Names = tuple[Annotated[str, msgspec.Meta(min_length=1)], ...]
Shown = Literal["allow", "hide"]


class RuleSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the rules file."""


class SongRules(RuleSection, frozen=True):
    """Songs by their ids. block: never shown. allow: see `ListRules.allows_some`."""

    block: Names = ()
    allow: Names = ()


class ArtistRules(RuleSection, frozen=True):
    """Artists by their names, as the catalogue has them; case is all one.

    block, allow: as of songs. most: songs of one artist in a list. spacing: songs of others
    between two of one artist. A song whose artist is unknown has one of its own.
    """

    block: Names = ()
    allow: Names = ()
    most: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    spacing: Count = 0


class HeardRules(RuleSection, frozen=True):
    """What was just heard is not shown.

    plays: the songs of the session's last so many plays; None: as the setting no_repeat_songs
    says. minutes: songs played at most so long before the listener's last play, in whatever
    session, as far back as their history reaches; a play whose time nobody knows counts.
    session: every song of the session.
    """

    plays: Count | None = None
    minutes: Annotated[float, msgspec.Meta(ge=0, le=5_256_000)] = 0.0
    session: bool = False


class ReleasedRules(RuleSection, frozen=True):
    """share: of the list, at least so much is of songs released in the last `days`."""

    share: Share = 0.0
    days: Annotated[float, msgspec.Meta(gt=0, le=36_500)] = 30.0


class UnheardRules(RuleSection, frozen=True):
    """share: of the list, at least so much is of songs not in the listener's history."""

    share: Share = 0.0


class DiversityRules(RuleSection, frozen=True):
    """mmr: strength of maximal marginal relevance; 0: by score alone, 1: by unlikeness alone."""

    mmr: Share = 0.0


class ListRules(RuleSection, frozen=True):
    """All of them. unknown_explicit: what "hide" does with songs for which it is unknown."""

    explicit: Shown = "allow"
    unknown_explicit: Shown = "allow"
    songs: SongRules = SongRules()
    artists: ArtistRules = ArtistRules()
    heard: HeardRules = HeardRules()
    released: ReleasedRules = ReleasedRules()
    unheard: UnheardRules = UnheardRules()
    diversity: DiversityRules = DiversityRules()

    @property
    def allows_some(self) -> bool:
        """Whether there is an allow list: then only songs on one, by id or artist, are shown."""
        return bool(self.songs.allow or self.artists.allow)

    def with_default(self, heard_plays: int) -> ListRules:
        """Return them with `heard.plays` filled in where the file does not say."""
        if self.heard.plays is not None:
            return self
        heard = msgspec.structs.replace(self.heard, plays=heard_plays)
        return msgspec.structs.replace(self, heard=heard)
