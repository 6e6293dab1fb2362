"""The catalogue of a replayed topic: what the topic `songs` holds, and what came meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from segue.offline.operations.consumer import read_records
from segue.offline.replay.variants import Variant
from segue.offline.replay.verification import captured_lists
from segue.stream.config.settings import Settings
from segue.stream.messages.events import epoch_ms, rfc3339
from segue.stream.messages.songs import encode_song
from segue.stream.serving.catalogue import read_song_details

QUIET_S = 1.0


def with_live_catalogue(chosen: Sequence[Variant], file: Path) -> list[Variant]:
    """Give variants without a catalogue that of the topic `songs`, as workers have it.

    file: where it is written down; what a kept replay wrote there before holds on.
    """
    if all(one.settings.songs_file for one in chosen):
        return list(chosen)
    if not file.exists():
        songs = read_song_details(chosen[0].settings).items()
        file.write_bytes(b"".join(encode_song(*song) + b"\n" for song in songs))
    return [
        one
        if one.settings.songs_file
        else replace(one, settings=one.settings.model_copy(update={"songs_file": file}))
        for one in chosen
    ]


def catalogue_changes(settings: Settings, capture: Path) -> str | None:
    """Return whether the topic `songs` changed while lists were captured; None where not.

    No list says which catalogue it was made with, so a replay cannot follow such a change.
    """
    made_ms = [
        epoch_ms(datetime.fromisoformat(made.generated_at)) for _, made in captured_lists(capture)
    ]
    songs = read_records(settings, settings.topic_songs, from_beginning=True, wait_s=QUIET_S)
    told_ms = [song.timestamp for song in songs]
    late_ms = [at for at in told_ms if min(made_ms) <= at <= max(made_ms)] if made_ms else []
    if not late_ms:
        return None
    return (
        f"The catalogue changed while these lists were made: {len(late_ms):,} records of "
        f"{settings.topic_songs} from {rfc3339(min(late_ms))} to {rfc3339(max(late_ms))}. A "
        "replay has one catalogue: verify the lists before or after with --from, --to and "
        "--catalogue"
    )
