"""An explanation as people read it in a terminal, and as machines read it in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from segue.models.bundles.bundle import Bundle, Titles
from segue.models.recommenders.base import Request
from segue.offline.inspection.explanation import Candidate, Explanation, Opinion
from segue.offline.inspection.song_lookup import show

BAR_WIDTH = 20
INDENT = 4


def view(bundle: Bundle, request: Request, told: Explanation, *, everything: bool) -> Group:
    """Draw an explanation. everything: the candidates outside the list, too."""
    shown = told.candidates if everything else told.listed
    titles = bundle.titles
    parts: list[RenderableType] = [_heading(bundle, request, told), _table(titles, shown, told)]
    parts += [_reasons(titles, each) for each in shown]
    if told.removed:
        parts += ["", Text("Left out by a rule", style="bold"), *_removed(titles, told.removed)]
    if not everything and told.known:
        rest = len(told.candidates) - len(shown) - len(told.removed)
        parts += ["", f"{rest} more candidates fell short of the list; --all shows them."]
    return Group(*parts)


def figures(
    bundle: Bundle, request: Request, told: Explanation, *, everything: bool
) -> dict[str, Any]:
    """Give an explanation as plain figures: what `view` shows, and in full."""
    shown = told.candidates if everything else [*told.listed, *told.removed]
    return {
        "model": bundle.manifest.version,
        "known": told.known,
        "history": [_entry(bundle.titles, song_id) for song_id in request.history],
        "session": [_entry(bundle.titles, song_id) for song_id in request.session],
        "listener": dict(told.listener),
        "songs": [_figures(bundle.titles, each) for each in shown],
    }


def _heading(bundle: Bundle, request: Request, told: Explanation) -> RenderableType:
    lines = [Text(f"Recommended by {bundle.manifest.version}", style="bold")]
    for name, songs in (("history", request.history), ("session", request.session)):
        if songs:
            names = " → ".join(show(bundle.titles, song_id) for song_id in songs)
            lines.append(Text(f"{name}: {names}"))
    if told.listener:
        lines.append(Text(f"listener: {_features(told.listener)}", style="dim"))
    if not told.known:
        lines.append(Text("The bundle knows none of these songs: the list is what is played most."))
    return Group(*lines)


def _table(titles: Titles, shown: Sequence[Candidate], told: Explanation) -> Table:
    """Draw each candidate's score beside what every model made of it."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", justify="right")
    table.add_column("Song", overflow="fold", ratio=1)
    for column in ("Score", *told.models):
        table.add_column(column, justify="right", no_wrap=True)
    for each in shown:
        # Text, as a title may hold what rich would take for markup.
        table.add_row(
            _place(each),
            Text(show(titles, each.song.song_id)),
            f"{each.song.score:.3f}",
            *(_opinion(each.opinions[name]) for name in told.models),
        )
    return table


def _place(candidate: Candidate) -> str:
    if candidate.rule is not None:
        return "x"
    return "" if candidate.place is None else str(candidate.place)


def _opinion(opinion: Opinion) -> str:
    rank = "-" if opinion.rank is None else f"#{opinion.rank}"
    return f"{opinion.share:.1%}\n{rank}"  # one above the other, as a terminal is 80 wide


def _reasons(titles: Titles, candidate: Candidate) -> RenderableType:
    """Draw who put a song forward, the songs that carried it, and what the ranker saw of it."""
    song = candidate.song
    head = Text.assemble(
        f"{_place(candidate):>{INDENT - 1}} ",
        (show(titles, song.song_id), "bold"),
        f" ({song.song_id})" if song.song_id in titles else "",
        f" by {', '.join(song.sources)}",
    )
    lines = [Text("because " + line) for line in _bars(titles, candidate)]
    if candidate.features:
        lines.append(Text(_features(candidate.features), style="dim"))
    return Group(head, *(Padding(line, (0, 0, 0, INDENT)) for line in lines))


def _bars(titles: Titles, candidate: Candidate) -> Iterator[str]:
    for reason in candidate.song.because:
        full = round(BAR_WIDTH * reason.weight)
        bar = "█" * full + "░" * (BAR_WIDTH - full)
        yield f"{bar} {reason.weight:5.1%} {show(titles, reason.song_id)}"


def _features(features: Mapping[str, float]) -> str:
    # No space within a pair, so that no line ends between a name and its value.
    return "  ".join(f"{name}={value:.3g}" for name, value in features.items())


def _removed(titles: Titles, removed: Sequence[Candidate]) -> Iterator[Text]:
    for each in removed:
        told = f"{show(titles, each.song.song_id)}, score {each.song.score:.3f}"
        yield Text(f"  x {told}: {each.rule}")


def _entry(titles: Titles, song_id: str) -> dict[str, str]:
    title, artist = titles.get(song_id, ("", ""))
    return {"song_id": song_id, "title": title, "artist": artist}


def _figures(titles: Titles, candidate: Candidate) -> dict[str, Any]:
    song = candidate.song
    return {
        "place": candidate.place,
        **_entry(titles, song.song_id),
        "score": song.score,
        "sources": list(song.sources),
        "because": [{"song_id": each.song_id, "weight": each.weight} for each in song.because],
        "removed_by": candidate.rule,
        "models": {
            name: {"share": opinion.share, "rank": opinion.rank}
            for name, opinion in candidate.opinions.items()
        },
        "features": dict(candidate.features),
    }
