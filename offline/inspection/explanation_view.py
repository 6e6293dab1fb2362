"""An explanation as text for a terminal, and as JSON."""

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
from segue.offline.inspection.explanation import Candidate, Explanation, ModelScore
from segue.offline.inspection.song_lookup import show, song_entry

BAR_WIDTH = 20
INDENT = 4


def view(bundle: Bundle, request: Request, explanation: Explanation, *, everything: bool) -> Group:
    """Render an explanation. everything: also the candidates that are not in the list."""
    shown = explanation.candidates if everything else explanation.listed
    titles = bundle.titles
    parts: list[RenderableType] = [
        _heading(bundle, request, explanation),
        _table(titles, shown, explanation),
    ]
    parts += [_reasons(titles, each) for each in shown]
    if explanation.excluded:
        parts += ["", Text("Excluded by a rule", style="bold")]
        parts += _excluded(titles, explanation.excluded)
    if not everything and explanation.known:
        rest = len(explanation.candidates) - len(shown) - len(explanation.excluded)
        parts += ["", f"{rest} more candidates ranked below the list; --all shows them."]
    return Group(*parts)


def figures(
    bundle: Bundle, request: Request, explanation: Explanation, *, everything: bool
) -> dict[str, Any]:
    """Return an explanation as JSON: what `view` shows, with all digits."""
    shown = explanation.candidates if everything else [*explanation.listed, *explanation.excluded]
    return {
        "model": bundle.manifest.version,
        "known": explanation.known,
        "history": [song_entry(bundle.titles, song_id) for song_id in request.history],
        "session": [song_entry(bundle.titles, song_id) for song_id in request.session],
        "listener": dict(explanation.listener),
        "songs": [_figures(bundle.titles, each) for each in shown],
    }


def _heading(bundle: Bundle, request: Request, explanation: Explanation) -> RenderableType:
    lines = [Text(f"Recommended by {bundle.manifest.version}", style="bold")]
    for name, songs in (("history", request.history), ("session", request.session)):
        if songs:
            names = " → ".join(show(bundle.titles, song_id) for song_id in songs)
            lines.append(Text(f"{name}: {names}"))
    if explanation.listener:
        lines.append(Text(f"listener: {_features(explanation.listener)}", style="dim"))
    if not explanation.known:
        lines.append(Text("No song is known to the bundle: the list is the popularity fallback."))
    return Group(*lines)


def _table(titles: Titles, shown: Sequence[Candidate], explanation: Explanation) -> Table:
    """Make a table of scores: a row for each candidate, a column for each model."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", justify="right")
    table.add_column("Song", overflow="fold", ratio=1)
    for column in ("Score", *explanation.models):
        table.add_column(column, justify="right", no_wrap=True)
    for each in shown:
        # Text, as a title may hold what rich would take for markup.
        table.add_row(
            _position(each),
            Text(show(titles, each.song.song_id)),
            f"{each.song.score:.3f}",
            *(_score(each.scores[name]) for name in explanation.models),
        )
    return table


def _position(candidate: Candidate) -> str:
    if candidate.rule is not None:
        return "x"
    return "" if candidate.position is None else str(candidate.position)


def _score(score: ModelScore) -> str:
    rank = "-" if score.rank is None else f"#{score.rank}"
    return f"{score.share:.1%}\n{rank}"  # one above the other, as a terminal is 80 wide


def _reasons(titles: Titles, candidate: Candidate) -> RenderableType:
    """Render one candidate: its sources, its attributions to songs, its features."""
    song = candidate.song
    head = Text.assemble(
        f"{_position(candidate):>{INDENT - 1}} ",
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


def _excluded(titles: Titles, excluded: Sequence[Candidate]) -> Iterator[Text]:
    for each in excluded:
        name = show(titles, each.song.song_id)
        yield Text(f"  x {name}, score {each.song.score:.3f}: {each.rule}")


def _figures(titles: Titles, candidate: Candidate) -> dict[str, Any]:
    song = candidate.song
    return {
        "place": candidate.position,
        **song_entry(titles, song.song_id),
        "score": song.score,
        "sources": list(song.sources),
        "because": [{"song_id": each.song_id, "weight": each.weight} for each in song.because],
        "removed_by": candidate.rule,
        "models": {
            name: {"share": score.share, "rank": score.rank}
            for name, score in candidate.scores.items()
        },
        "features": dict(candidate.features),
    }
