"""ANN indexes compared: recall against exact search, speed, build time and memory of each.

Each index is measured in a process of its own, on song vectors and queries of a trained model.
Adding one is one function that builds it and one line in `INDEXES`.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name everybody gives it)
from numpy.typing import NDArray

from segue.models.retrieval.ann_index import IndexConfig, ItemIndex
from segue.offline.benchmarks.ann_vectors import AnnVectors
from segue.offline.benchmarks.environment import machine, versions
from segue.offline.benchmarks.worker_process import BenchError
from segue.offline.operations.resources import resident_mib
from segue.offline.reporting.document import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Table,
    write_document,
)
from segue.offline.reporting.json_file import write_json
from segue.offline.reporting.plots import Panel, line_plot

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]
Search = Callable[[Vectors, int, int], Numbers]
"""Queries float32 [B, D], k and a setting to the rows of the best songs, int64 [B, k], -1 where
none is found."""
Build = Callable[[Vectors, int, int], Search]
"""Vectors float32 [N, D], threads to build and threads to search, to what searches."""

FIGURES = "figures.json"
LINKS = 16
"""Neighbours of a song in every graph (M)."""
BUILD_BREADTH = 128
"""Songs that every graph keeps in view while it links a new one (ef_construction)."""
QUERIES = {1: 100, 32: 320, 256: 512}
"""How many queries a rate is taken of, by the size of their batches."""
ENOUGH_RECALL = 0.95
"""Rates are compared at this recall, or else at the best recall that there is."""
INNER_PRODUCT = faiss.METRIC_INNER_PRODUCT


@dataclass(frozen=True)
class AnnConfig:
    """What is measured of every index. libraries: none takes all.

    k: songs wanted of each query. threads, build_threads: to search, and to build. limit_s: for
    one index, building included. settings: of every index's parameter instead of its own.
    """

    libraries: tuple[str, ...] = ()
    k: int = 100
    threads: int = 1
    build_threads: int = 1
    limit_s: float = 600.0
    settings: tuple[int, ...] = ()


@dataclass(frozen=True)
class Index:
    """An index to measure. parameter: trades recall for speed; settings: its measured values.

    package: what is imported; distribution: what is installed.
    """

    build: Build
    package: str
    distribution: str
    summary: str
    parameter: str = "songs kept in view (ef)"
    settings: tuple[int, ...] = (100, 200, 400, 800)


def _exact(vectors: Vectors, build_threads: int, threads: int) -> Search:
    songs = torch.from_numpy(vectors)

    def search(queries: Vectors, k: int, setting: int) -> Numbers:
        torch.set_num_threads(threads)
        found: Numbers = (torch.from_numpy(queries) @ songs.T).topk(k, dim=1).indices.numpy()
        return found

    return search


def _exact_int8(vectors: Vectors, build_threads: int, threads: int) -> Search:
    """Round all songs by one scale and each query by its own; re-rank the best in float32."""
    songs = torch.from_numpy(vectors)
    rounded = (songs * (127 / songs.abs().max())).round_().clamp_(-127, 127).to(torch.int8)

    def search(queries: Vectors, k: int, setting: int) -> Numbers:
        torch.set_num_threads(threads)
        asked = torch.from_numpy(queries)
        bytes_ = (asked * (127 / asked.abs().amax(1, keepdim=True))).round_().to(torch.int8)
        products = torch._int_mm(bytes_, rounded.T)  # no public function multiplies bytes
        found = products.topk(min(k * setting, len(songs)), dim=1).indices
        exact = torch.einsum("bd,bkd->bk", asked, songs[found])
        best: Numbers = found.gather(1, exact.topk(k, dim=1).indices).numpy()
        return best

    return search


def _use(threads: int) -> None:
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)


def _segue(config: IndexConfig) -> Build:
    def build(vectors: Vectors, build_threads: int, threads: int) -> Search:
        _use(build_threads)
        index = ItemIndex(F.pad(torch.from_numpy(vectors), (0, 0, 1, 0)), config)

        def search(queries: Vectors, k: int, setting: int) -> Numbers:
            _use(threads)
            index.config = replace(config, rerank=setting)
            items: Numbers = index.search(torch.from_numpy(queries), k)[1].numpy()
            return items - 1  # items begin at 1

        return search

    return build


def _faiss(factory: str, parameter: str, **fixed: int) -> Build:
    """Build by faiss's index factory; `{cells}` stands for sqrt(songs), `{dim}` for the size."""

    def build(vectors: Vectors, build_threads: int, threads: int) -> Search:
        _use(build_threads)
        songs, dim = vectors.shape
        name = factory.format(
            cells=int(songs**0.5), many=int(4 * songs**0.5), dim=dim, half=-(-dim // 2)
        )
        index: Any = faiss.index_factory(dim, name, INNER_PRODUCT)
        space = faiss.ParameterSpace()
        if name.startswith("HNSW"):
            index.hnsw.efConstruction = BUILD_BREADTH
        index.train(vectors)
        index.add(vectors)
        for each, value in fixed.items():
            space.set_index_parameter(index, each, value)

        def search(queries: Vectors, k: int, setting: int) -> Numbers:
            _use(threads)
            space.set_index_parameter(index, parameter, setting)
            found: Numbers = index.search(queries, k)[1]
            return found

        return search

    return build


def _usearch(dtype: str) -> Build:
    def build(vectors: Vectors, build_threads: int, threads: int) -> Search:
        from usearch.index import Index as Graph

        graph = Graph(
            ndim=vectors.shape[1],
            metric="ip",
            dtype=dtype,
            connectivity=LINKS,
            expansion_add=BUILD_BREADTH,
        )
        graph.add(np.arange(len(vectors)), vectors, threads=build_threads)

        def search(queries: Vectors, k: int, setting: int) -> Numbers:
            graph.expansion_search = setting
            found = graph.search(queries, k, threads=threads)
            keys: Numbers = np.atleast_2d(found.keys).astype(np.int64)
            counts = np.reshape(getattr(found, "counts", len(keys[0])), (-1, 1))
            return np.where(np.arange(keys.shape[1]) < counts, keys, -1)

        return search

    return build


def _hnswlib(vectors: Vectors, build_threads: int, threads: int) -> Search:
    import hnswlib

    graph = hnswlib.Index("ip", vectors.shape[1])
    graph.init_index(len(vectors), M=LINKS, ef_construction=BUILD_BREADTH)
    graph.add_items(vectors, np.arange(len(vectors)), num_threads=build_threads)

    def search(queries: Vectors, k: int, setting: int) -> Numbers:
        graph.set_ef(setting)
        found: Numbers = graph.knn_query(queries, k, num_threads=threads)[0].astype(np.int64)
        return found

    return search


def _voyager(storage: str) -> Build:
    def build(vectors: Vectors, build_threads: int, threads: int) -> Search:
        import voyager

        graph = voyager.Index(
            voyager.Space.InnerProduct,
            vectors.shape[1],
            M=LINKS,
            ef_construction=BUILD_BREADTH,
            max_elements=len(vectors),
            storage_data_type=getattr(voyager.StorageDataType, storage),
        )
        graph.add_items(vectors, list(range(len(vectors))), num_threads=build_threads)

        def search(queries: Vectors, k: int, setting: int) -> Numbers:
            try:
                found: Numbers = graph.query(queries, k, threads, setting)[0].astype(np.int64)
            except RuntimeError:  # rather than return fewer than k
                found = np.full((len(queries), k), -1)
            return found

        return search

    return build


def _of_faiss(build: Build, summary: str, parameter: str, settings: tuple[int, ...]) -> Index:
    return Index(build, "faiss", "faiss-cpu", summary, parameter, settings)


_RERANKED, _CELLS = "songs re-ranked, times k", "cells searched (nprobe)"
_PROBES = (32, 64, 128, 256)
INDEXES: Mapping[str, Index] = {
    "segue": _of_faiss(
        _segue(IndexConfig(exact_songs=0)),
        "what serves: models/retrieval/ann_index.py",
        _RERANKED,
        (2, 4, 6, 8),
    ),
    "segue-scan": _of_faiss(
        _segue(IndexConfig(exact_songs=0, scanned_songs=1 << 40)),
        "the same, all codes scanned",
        _RERANKED,
        (2, 4, 6, 8),
    ),
    "exact": Index(_exact, "torch", "torch", "float32 matrix product", "none", (1,)),
    "exact-int8": Index(
        _exact_int8, "torch", "torch", "int8 matrix product, re-ranked", _RERANKED, (1, 2, 4)
    ),
    "faiss-ivf": _of_faiss(
        _faiss("IVF{many},Flat", "nprobe"), "inverted file, float32", _CELLS, (*_PROBES, 512)
    ),
    "faiss-ivf-sq8": _of_faiss(
        _faiss("IVF{many},SQ8", "nprobe"), "inverted file, int8", _CELLS, (*_PROBES, 512)
    ),
    "faiss-pq4": _of_faiss(
        _faiss("PQ{half}x4fs,RFlat", "k_factor_rf"),
        "product quantisation, 4 bits for 2 numbers, re-ranked",
        _RERANKED,
        (2, 4, 8, 16),
    ),
    "faiss-sq4": _of_faiss(
        _faiss("PQ{dim}x4fs,RFlat", "k_factor_rf"),
        "product quantisation, 4 bits a number, re-ranked",
        _RERANKED,
        (1, 2, 4),
    ),
    "faiss-ivf-pq4": _of_faiss(
        _faiss("IVF{cells},PQ{half}x4fs,RFlat", "nprobe", k_factor_rf=8),
        "inverted file of such codes, re-ranked",
        _CELLS,
        _PROBES,
    ),
    "faiss-hnsw": Index(
        _faiss(f"HNSW{LINKS},Flat", "efSearch"), "faiss", "faiss-cpu", "HNSW, float32"
    ),
    "hnswlib": Index(_hnswlib, "hnswlib", "hnswlib", "HNSW, float32"),
    "usearch": Index(_usearch("f32"), "usearch", "usearch", "HNSW, float32"),
    "usearch-bf16": Index(_usearch("bf16"), "usearch", "usearch", "HNSW, bfloat16"),
    "usearch-i8": Index(_usearch("i8"), "usearch", "usearch", "HNSW, int8"),
    "voyager": Index(_voyager("Float32"), "voyager", "voyager", "HNSW, float32"),
    "voyager-e4m3": Index(_voyager("E4M3"), "voyager", "voyager", "HNSW, 8-bit floats"),
}

OnStep = Callable[[str, int, int], None]
"""Called with an index's name, how many of its steps are done, and how many there are."""


def measure_ann(
    vectors: Path,
    config: AnnConfig,
    out: Path | None,
    on_step: OnStep = lambda name, done, total: None,
) -> dict[str, Any]:
    """Measure every index and return the figures; with `out`, write them and the report there.

    Figures of other indexes that an earlier run left in `out` stay in the report, if they are of
    the same vectors, k and threads. BenchError where a name is wrong, or an index fails.
    """
    names = config.libraries or tuple(INDEXES)
    for name in names:
        if name not in INDEXES:
            raise BenchError(f"no index {name!r}: there are {', '.join(INDEXES)}")
    opened = AnnVectors.read(vectors)
    figures: dict[str, Any] = {
        "songs": len(opened.songs),
        "dim": opened.songs.shape[1],
        "queries": len(opened.queries),
        "vectors": opened.about,
        "k": config.k,
        "threads": config.threads,
        "build_threads": config.build_threads,
    }
    earlier = {} if out is None else _measured_before(out / FIGURES, figures)
    figures["machine"] = machine()
    for name in names:
        earlier[name] = _measured(name, vectors, config, on_step)
        figures["libraries"] = {each: earlier[each] for each in INDEXES if each in earlier}
        if out is not None:
            write_json(out / FIGURES, figures)
    if out is not None:
        write_document(out, list(_blocks(figures)))
    return figures


def _measured_before(file: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BenchError(f"{file} is no JSON: remove it, or give another --out") from error
    if any(earlier.get(name) != value for name, value in asked.items()):
        raise BenchError(f"{file} holds figures of other vectors, k or threads: give another --out")
    return dict(earlier["libraries"])


def _measured(name: str, vectors: Path, config: AnnConfig, on_step: OnStep) -> dict[str, Any]:
    """Measure an index in a process of its own; the reason under "missing" where it cannot be."""
    index = INDEXES[name]
    if find_spec(index.package) is None:
        why = f"{index.package} is not installed: pip install 'segue[bench]'"
        return {"missing": why}
    spawn = get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_measure_and_send, args=(name, vectors, config, there))
    process.daemon = True
    process.start()
    there.close()
    deadline, steps = time.monotonic() + config.limit_s, 0
    total = 1 + len(config.settings or index.settings)
    on_step(name, 0, total)
    try:
        while here.poll(max(deadline - time.monotonic(), 0)):
            found = here.recv()
            if found is not None:
                found["version"] = versions(index.distribution)[index.distribution]
                return {**found, "summary": index.summary, "parameter": index.parameter}
            steps += 1
            on_step(name, steps, total)
    except EOFError as error:
        process.join()
        raise BenchError(f"measuring {name} ended with status {process.exitcode}") from error
    finally:
        process.kill()
        process.join()
    return {"missing": f"was not done after {config.limit_s:,.0f} s, with building"}


def _measure_and_send(name: str, vectors: Path, config: AnnConfig, to: Connection) -> None:
    to.send(measure_index(name, AnnVectors.read(vectors), config, lambda: to.send(None)))


def measure_index(
    name: str, vectors: AnnVectors, config: AnnConfig, on_step: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Build one index and measure every setting of its parameter."""
    index = INDEXES[name]
    songs, queries = np.array(vectors.songs), np.array(vectors.queries)
    gc.collect()
    before, began = resident_mib(), time.process_time()
    search = index.build(songs, config.build_threads, config.threads)
    build_s, after = time.process_time() - began, resident_mib()
    memory = None if before is None or after is None else max(after.own - before.own, 0.0)
    on_step()
    curve = []
    for setting in config.settings or index.settings:
        search(queries[:32], config.k, setting)  # what happens once, such as a page read first
        found = search(queries[: max(QUERIES.values())], config.k, setting)
        curve.append(
            {
                "setting": setting,
                "recall": recall(found, vectors.exact[: len(found), : config.k]),
                "queries_per_s": {
                    str(size): _rate(search, queries[:asked], config, setting, size)
                    for size, asked in QUERIES.items()
                },
            }
        )
        on_step()
    return {"curve": curve, "build_s": build_s, "memory_mib": memory}


def recall(found: Numbers, exact: Numbers) -> float:
    """Return the share of the right answers that were found, both int64 [Q, k].

    >>> recall(np.array([[1, 2], [3, 9]]), np.array([[2, 1], [3, 4]]))
    0.75
    """
    shares = [np.isin(right, one).mean() for right, one in zip(exact, found, strict=True)]
    return float(np.mean(shares))


def _rate(search: Search, queries: Vectors, config: AnnConfig, setting: int, size: int) -> float:
    """Return queries a second: of the processor's time with one thread, else of the clock."""
    clock = time.process_time if config.threads == 1 else time.perf_counter
    began = clock()
    for start in range(0, len(queries), size):
        search(queries[start : start + size], config.k, setting)
    return len(queries) / max(clock() - began, 1e-9)


def fastest_with_enough_recall(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fastest point of the curve with enough recall, else that of the best recall."""
    curve: Sequence[Mapping[str, Any]] = one["curve"]
    enough = [point for point in curve if point["recall"] >= ENOUGH_RECALL]
    if not enough:
        return max(curve, key=lambda point: point["recall"])
    return max(enough, key=lambda point: point["queries_per_s"]["32"])


def summary(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of indexes, each at its cheapest sufficient setting."""
    header = ["index", "setting", f"recall@{figures['k']}"]
    header += ["queries/s by 1", "by 32", "by 256", "build s", "MiB"]
    rows = []
    for name, one in _with_figures(figures).items():
        point = fastest_with_enough_recall(one)
        memory = one["memory_mib"]
        rows.append(
            [
                *(name, "" if one["parameter"] == "none" else f"{point['setting']}"),
                f"{point['recall']:.3f}",
                *(f"{point['queries_per_s'][size]:,.0f}" for size in ("1", "32", "256")),
                *(f"{one['build_s']:,.1f}", "unknown" if memory is None else f"{memory:,.0f}"),
            ]
        )
    return header, rows


def _with_figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in figures["libraries"].items() if "curve" in one}


def facts(figures: Mapping[str, Any]) -> Sequence[str]:
    """Return what the figures rest on, sentence by sentence."""
    about, on = figures["vectors"], figures["machine"]
    plays = "" if about["plays"] is None else f" ({about['plays']:,} plays)"
    clock = "of the processor's time" if figures["threads"] == 1 else "of the clock"
    return (
        f"Vectors of {figures['dim']} numbers, {about['made']}{plays}; {figures['queries']:,} "
        "queries, which are what that model searches for listeners of the test split.",
        f"Recall of the {figures['k']} songs of the largest inner products. Queries a second "
        f"{clock}, {figures['threads']} thread(s); seconds to build are of the processor, "
        f"{figures['build_threads']} thread(s). MiB: what the process grew by in building.",
        f"On {on['cores']} cores of {on['cpu']}, load {on['load_1_min']:.1f}.",
    )


def _blocks(figures: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading(f"Indexes over {figures['songs']:,} songs", 1)
    yield Paragraph(" ".join(facts(figures)))
    yield Heading(f"Each where it finds {ENOUGH_RECALL:.0%}")
    yield Table(*summary(figures))
    for name, one in figures["libraries"].items():
        if "missing" in one:
            yield Paragraph(f"{name} {one['missing']}.")
    yield Heading("Recall against speed")
    yield recall_plot(figures)
    yield Heading("Every setting")
    yield Table(
        ["index", "parameter", "setting", "recall", "queries/s by 1", "by 32", "by 256"],
        [
            [
                *(name, one["parameter"], f"{point['setting']}", f"{point['recall']:.3f}"),
                *(f"{rate:,.0f}" for rate in point["queries_per_s"].values()),
            ]
            for name, one in _with_figures(figures).items()
            for point in one["curve"]
        ],
    )
    named = (f"{n} {one['version']}: {one['summary']}" for n, one in _with_figures(figures).items())
    yield Paragraph(f"Indexes: {'; '.join(named)}.")


def recall_plot(figures: Mapping[str, Any]) -> Picture:
    """Plot recall against queries a second, a line an index."""
    lines = {
        name: (
            [point["recall"] for point in one["curve"]],
            [point["queries_per_s"]["32"] for point in one["curve"]],
        )
        for name, one in _with_figures(figures).items()
    }
    panel = Panel(
        lines,
        f"Recall@{figures['k']} against exact search",
        "Queries a second, 32 at a time",
        f"{figures['songs']:,} songs",
        log="y",
    )
    return line_plot("recall.png", "Queries a second against recall", panel)
