"""What the test on real sound leaves behind: figures, a page of Markdown, and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.offline.audio.inspect import PAGE as VIEW
from segue.offline.experiments.cold_start_audio.runner import HALFWAY, METADATA, AudioProtocol
from segue.offline.reporting.json_file import write_json

PAGE, FIGURES = "audio.md", "figures.json"
TITLES = {"": "", "factors": "factors", "skipgram": "skip-gram"}
Table = Mapping[str, Mapping[str, Mapping[str, Any]]]


def write_report(directory: Path, found: Mapping[str, Any], protocol: AudioProtocol) -> None:
    """Write audio.md and figures.json; the pictures lie there by now."""
    write_json(directory / FIGURES, found)
    lines = _page(found, protocol)
    view = directory / VIEW
    if view.is_file():
        lines += ["", "## What the network responds to", ""]
        lines += view.read_text(encoding="utf-8").splitlines()[2:]
        view.unlink()
    (directory / PAGE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _page(found: Mapping[str, Any], protocol: AudioProtocol) -> list[str]:
    table: Table = found["figures"]
    listening = protocol.listening
    return [
        "# Songs that nobody has played, by their sound",
        "",
        "400 songs of four genres (Emotify), 30 s each as log-mel spectrograms; "
        f"{protocol.splits} splits, so that each song is new once. Networks learn from the "
        "known songs, are stopped and chosen by "
        f"{protocol.validation_fraction:.0%} of them, and are applied to the new ones once, at the "
        "end. "
        "Mean over the splits, in brackets Student's 95 % interval over them; splits share most "
        "of their known songs, so read it as a guide.",
        "",
        "```console",
        f"segue experiment audio --emotify audio_emotify --out runs/audio --seed {protocol.seed}",
        "```",
        "",
        f"The CNN has {protocol.width} filters a layer here and "
        f"{protocol.dense:,} numbers in its dense layers (256 and 2,048 in the paper), and "
        f"trains for {protocol.cnn_epochs} epochs; the ResNet has "
        f"{protocol.resnet_width} channels and {protocol.depth} blocks, and trains for "
        f"{protocol.resnet_epochs} epochs.",
        "",
        "## Genre: how many of a new song's ten nearest are of its genre",
        "",
        "Among new songs alone, by cosine. Networks never see a genre, but listeners' tastes "
        "follow it, and so do the vectors they predict; statistics of the sound know nothing of "
        "listeners.",
        "",
        *_table(table, "precision_at_10"),
        "",
        "## Liking: AUC of likes against dislikes of real listeners",
        "",
        "A line from vectors to the share of listeners who like a song, fitted to known songs. The "
        "most there can be is what a song's own share tells.",
        "",
        *_table(table, "auc"),
        "",
        "## Day zero: hit rate @20 of songs that nobody has played",
        "",
        f"A log made up over the songs' real genres and emotions: {listening.listeners:,} "
        f"listeners, {listening.sessions} sessions each of about {listening.plays} plays. Songs' "
        "vectors are learned from half of the listeners, without any play of a new song; asked is "
        "which new songs the other half plays, by their plays of known songs. First among all new "
        "songs, then among all songs that a listener has not played. No song is sampled away; ties "
        "count against a model, so popularity, which knows nothing of new songs, finds none.",
        "",
        *_day_zero(table),
        "",
        "## Kept",
        "",
        *_kept(found),
    ]


def _table(table: Table, figure: str) -> list[str]:
    lines = ["| vectors | space | |", "|---|---|---|"]
    for space, models in table.items():
        for name, figures in models.items():
            uses_genre = figure == "precision_at_10" and name in (METADATA, HALFWAY)
            if figure in figures and not uses_genre:
                lines.append(f"| {name} | {TITLES[space]} | {_cell(figures[figure])} |")
    return lines


def _day_zero(table: Table) -> list[str]:
    lines = ["| vectors of new songs | space | among new songs | among all |", "|---|---|---|---|"]
    for space, models in table.items():
        for name, figures in models.items():
            if "hit_rate_at_20" in figures:
                cells = [
                    _cell(figures[key], 100) for key in ("hit_rate_at_20", "all_hit_rate_at_20")
                ]
                lines.append(f"| {name} | {TITLES[space]} | {' | '.join(cells)} |")
    return lines


def _kept(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for space in found["chosen"][0]:
        counts = Counter(chosen[space] for chosen in found["chosen"])
        chosen = ", ".join(f"{name} in {times}" for name, times in counts.most_common())
        lines.append(
            f"- {TITLES[space]}: {chosen} of {len(found['chosen'])} splits; mean cosine of "
            "predicted and true vectors, on the validation split, from the mean vector:"
        )
        names = found["centred_cosine"][0][space]
        for name in names:
            values = [centred_cosine[space][name] for centred_cosine in found["centred_cosine"]]
            lines.append(f"  - {name}: {sum(values) / len(values):.3f}")
    return lines


def _cell(cell: Mapping[str, Any], scale: float = 1.0) -> str:
    low, high = (scale * end for end in cell["ci"])
    digits = 3 if scale == 1 else 1
    mean = f"{scale * cell['mean']:.{digits}f}"
    return mean if low == high else f"{mean} [{low:.{digits}f}, {high:.{digits}f}]"
