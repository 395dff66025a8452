"""The Beam job: PMC archives in, a dataset of skip-gram records out.

    pmc2vec build --input 'bulk/*.tar.gz' --output data --keywords cancer melanoma carcinoma

    from beam_pipelines.build import BuildConfig, build
    manifest = build(BuildConfig(input=("bulk/*.tar.gz",), output="data"))

With `--since` it is an increment: a dataset of what an earlier one has not read, with the words of
both. A build that was killed is started again with the same command: finished parts of the corpus
are not read twice.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_pipelines.build_progress import Display, corpus_table, funnel_table
from beam_pipelines.config import BuildConfig, completed
from beam_pipelines.inputs import inventories, sources, work_items
from beam_pipelines.inputs.work_items import WorkItem
from beam_pipelines.runner import Engine, run, unknown_options
from beam_pipelines.stages import history, increments
from beam_pipelines.stages.finishing import Corpus, read_corpus
from beam_pipelines.stages.increments import NothingNewError, open_since
from beam_pipelines.stages.output import REJECTED, SOURCES, SUPERSEDED, Output
from beam_pipelines.transforms import (
    COUNTS,
    PAIRS,
    PHRASED,
    FindPhrases,
    ResolveEditions,
    Spread,
    WriteCorpus,
    WriteManifest,
    WriteParts,
    WriteShards,
    WriteVocabulary,
)
from pmc2vec import __version__
from pmc2vec.cli import exit_codes, log_lines, metrics_server, options, verbosity
from pmc2vec.dataset.manifest import CORPUS_NAME, MANIFEST_NAME, Manifest, parse_manifest
from pmc2vec.dataset.records import SPLITS
from pmc2vec.dataset.vocabulary import VOCABULARY_NAME
from pmc2vec.errors import UserError
from pmc2vec.storage import files

STARTED = "build.json"
FOLDERS = ("catalogue", "corpus", "counts", history.FOLDER)
OWN_FILES = (
    MANIFEST_NAME, CORPUS_NAME, SOURCES, SUPERSEDED, REJECTED, VOCABULARY_NAME, "phrases-*.tsv",
    "*.tfrecord", "*.tmp", "catalogue/*", "corpus/*", "counts/*", f"{history.FOLDER}/*",
    f"{PAIRS}-*/*", f"{PHRASED}/*",
)  # fmt: skip
HEARTBEATS = ".heartbeats"
PROG = "pmc2vec build"
EXAMPLES = (
    "pmc2vec build --input 'bulk/*.tar.gz' --output data --keywords cancer melanoma carcinoma",
    "pmc2vec build --input articles/ --output data --min_count 10 --max_final_vocab 100000",
    "pmc2vec build --input 'bulk/*.tar.gz' --output january --since december",
    "pmc2vec build --input a.tar.gz --output data -- --direct_num_workers=1",
    "pmc2vec build --input 'gs://b/*.tar.gz' --output gs://b/data -- --runner=DataflowRunner ...",
)


class OtherInputError(UserError):
    """The output folder holds a build with the same options, of other input files."""


def build(config: BuildConfig, beam_flags: Sequence[str] = (), *, quiet: bool = True) -> Manifest:
    """Builds the dataset, or finds it built already, and returns its manifest.

    Args:
        config: the options.
        beam_flags: Beam's own options, such as `--direct_num_workers=1`.
        quiet: show no progress.

    Raises:
        NothingNewError: with `since`, there is nothing new to train on.
        UserError: the input, the output folder or the result is not usable.
    """
    output = _run(replace(config, stop_after=None), beam_flags, quiet=quiet)
    if text := files.read_text(output.path(MANIFEST_NAME)):
        return parse_manifest(text, output.path(MANIFEST_NAME))
    try:
        tokens, kept = (_kept(config, output).funnel[key] for key in ("tokens", "kept"))
        raise UserError(
            f"nothing to train on: {tokens:,} tokens in {kept:,} articles, but no two words beside "
            f"each other that occur {config.min_count} times; lower --min_count"
        )
    except UserError as error:
        if config.since:
            raise NothingNewError(f"nothing new since {config.since}: {error}") from error
        raise


def build_corpus(
    config: BuildConfig, beam_flags: Sequence[str] = (), *, quiet: bool = True
) -> Corpus:
    """Builds the corpus alone and returns it; arguments and errors as in `build`."""
    return _kept(config, _run(replace(config, stop_after="corpus"), beam_flags, quiet=quiet))


def _kept(config: BuildConfig, output: Output) -> Corpus:
    """Returns the finished corpus, or says why there is nothing in it."""
    corpus = read_corpus(output)
    read, rejected = corpus.funnel.get("read", 0), output.corpus_path(REJECTED)
    if not read:
        raise UserError(f"no article in {' '.join(config.input)}; see {rejected}")
    if not corpus.funnel.get("kept"):
        reasons = ", ".join(f"{n:,} {key}" for key, n in corpus.funnel.items() if ":" in key)
        raise UserError(
            f"none of {read:,} articles is kept ({reasons}); check --keywords and {rejected}"
        )
    return corpus


def _run(config: BuildConfig, beam_flags: Sequence[str], *, quiet: bool) -> Output:
    """Runs the pipeline, unless all is done; returns where its files are."""
    log_lines.begin(config.log_format)
    heartbeats = Path(config.output, HEARTBEATS).resolve()
    engine = Engine(beam_flags)
    watched = engine.shares_files(config.output)
    output = Output(
        config.output, str(heartbeats) if watched else None, config.corpus, config.since
    )
    inputs = _inputs(config, output)
    if config.share:
        _run_share(config, engine, output, inputs)
        return output
    with metrics_server.served(config.metrics_port), files.claim(config.output):
        _prepare(config, output, inputs)
        goal = CORPUS_NAME if config.stop_after else MANIFEST_NAME
        if files.read_text(output.path(goal)) is None:
            with Display(output, inputs, passes=config.passes, phrases=config.phrases, quiet=quiet):
                run(_pipeline(config, engine, output, inputs))
        for folder in ("", *_folders(config)):  # Left by a build that was killed, this one or not.
            files.remove(output.path(folder, f"*{files.TEMPORARY}"))
        shutil.rmtree(output.heartbeats or "", ignore_errors=True)
    return output


def submit(config: BuildConfig, beam_flags: Sequence[str]) -> None:
    """Hands the job to an engine elsewhere and does not wait for its end.

    For a launcher that has to end before the job begins. What would follow the end (an account of
    what came out) comes with the same command without a launcher, which finds the dataset built.
    """
    output = Output(config.output, None, config.corpus, config.since)
    inputs = _inputs(config, output)
    _prepare(config, output, inputs)
    _pipeline(config, Engine(beam_flags), output, inputs).run()


def _run_share(
    config: BuildConfig, engine: Engine, output: Output, inputs: tuple[tuple[str, int], ...]
) -> None:
    """Writes every N-th part of the corpus, which a build of the whole finds finished.

    Others may run at once on any machine that sees the folder: each resolves the editions of all
    input for itself, writes the same bytes under the same names, and removes nothing.
    """
    with files.claim(config.output, shared=True):
        _prepare(config, output, inputs)
        pipeline = engine.pipeline()
        _read(pipeline, config, engine, replace(output, heartbeats=None),
              work_items.work_items(inputs, config.slices))  # fmt: skip
        run(pipeline)


def _inputs(config: BuildConfig, output: Output) -> history.Inputs:
    """Returns the input files that are to be read, or were for the corpus that is used."""
    if config.corpus:
        return read_corpus(output).inputs
    if config.inventory:
        inputs = inventories.listed_files(config.inventory, config.input[0])
    else:
        inputs = sources.input_files(config.input)
    if config.since:
        return open_since(config.since, config.recorded()).new_files(inputs)
    return inputs


def _pipeline(
    config: BuildConfig, engine: Engine, output: Output, inputs: tuple[tuple[str, int], ...]
) -> beam.Pipeline:
    pipeline = engine.pipeline()
    if config.corpus:
        found = read_corpus(output).parts
        names = [part.name for part in found]
        parts = pipeline | "Finished parts" >> Spread(found)
        corpus = parts | "Corpus is written" >> beam.Map(lambda _: 0)
    else:
        items = work_items.work_items(inputs, config.slices)
        names = [item.name for item in items]
        parts = _read(pipeline, config, engine, output, items)
        corpus = parts | WriteCorpus(output, config.recorded(), inputs, __version__)
    if config.stop_after != "corpus":
        _draw(config, output, parts=parts, corpus=corpus, names=names)
    return pipeline


def _read(
    pipeline: beam.Pipeline,
    config: BuildConfig,
    engine: Engine,
    output: Output,
    items: list[WorkItem],
) -> beam.PCollection:
    """Returns the parts of the corpus, read from the input."""
    dealt = (
        work_items.bundles(items, engine.workers) if engine.local else [[item] for item in items]
    )
    bundles = pipeline | "Work items" >> Spread(dealt)
    resolved = bundles | ResolveEditions(output)
    if config.share:
        number, count = config.place()
        share = [[item] for item in items[number::count]]
        bundles = pipeline | "Share" >> Spread(share)
    return (bundles, resolved) | WriteParts(output, config.reading())


def _draw(
    config: BuildConfig,
    output: Output,
    *,
    parts: beam.PCollection,
    corpus: beam.PCollection,
    names: list[str],
) -> None:
    """Adds what follows the corpus: phrases, vocabulary, records, manifest."""
    sampling = config.sampling()
    counted = parts | "Names" >> beam.Map(lambda part: part.name)
    folder, source = COUNTS, output.corpus_path(COUNTS)
    if config.phrases:
        counted = counted | FindPhrases(
            output, names, config.phrases, config.phrase_min_count, config.phrase_threshold
        )
        folder, source = PHRASED, output.path(PHRASED)
    words = counted | WriteVocabulary(
        output, source, folder, config.min_count, config.max_final_vocab
    )
    shards = (parts, words) | WriteShards(output, sampling)
    _ = (corpus, words, shards) | WriteManifest(output, sampling, config.recorded(), __version__)


# --- the output folder -------------------------------------------------------------------------


def _prepare(config: BuildConfig, output: Output, inputs: tuple[tuple[str, int], ...]) -> None:
    """Makes the output folder ready, or refuses it."""
    started = output.path(STARTED)
    wanted: dict[str, Any] = {
        "config": config.recorded() | {"slices": config.slices},
        "inputs": [list(entry) for entry in inputs],
    }
    others = [path for path, _ in files.matches(output.path("**"))]
    found = files.read_text(started)  # After the others: it may be one of theirs.
    if found is None and not all(path.endswith(files.TEMPORARY) for path in others):
        raise UserError(f"{config.output}: not empty and not a dataset; give another --output")
    if config.overwrite:
        for pattern in OWN_FILES:
            files.remove(output.path(pattern))
    elif found is not None:
        _refuse_other(json.loads(found), wanted, config.output)
    for folder in _folders(config):
        files.make_folder(output.path(folder))
    files.write_text(started, json.dumps(wanted, indent=1, ensure_ascii=False) + "\n")
    if config.since:
        increments.copy_phrases(config.since, config.phrases, output)


def _folders(config: BuildConfig) -> list[str]:
    pairs = [f"{PAIRS}-{number}" for number in range(1, config.phrases + 1)]
    return [*FOLDERS, *([] if config.since else pairs), *([PHRASED] if pairs else [])]


def _refuse_other(found: dict[str, Any], wanted: dict[str, Any], folder: str) -> None:
    then, now = completed(found["config"]), wanted["config"]
    if then == now and found["inputs"] == wanted["inputs"]:
        return
    differ = [f"--{k} {then.get(k)!r}, now {v!r}" for k, v in now.items() if then.get(k) != v]
    what = "; ".join(differ) or "other input files, or files of another size"
    raise (UserError if differ else OtherInputError)(
        f"{folder}: holds a build with {what}; give another --output, or --overwrite"
    )


# --- the command -------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec build`; everything after a bare `--` belongs to Beam."""
    words = list(sys.argv[1:] if argv is None else argv)
    at = words.index("--") if "--" in words else len(words)
    own, beam_flags = words[:at], words[at + 1 :]
    config = options.parse(
        BuildConfig, own, prog=PROG, description="Build a dataset from PubMed Central full text.",
        examples=EXAMPLES, json_result=True,
    )  # fmt: skip
    if unknown := unknown_options(beam_flags):
        options.refuse(PROG, f"Beam knows no option {' '.join(unknown)}")
    return exit_codes.run(lambda: _command(config, beam_flags))


def _command(config: BuildConfig, beam_flags: Sequence[str]) -> int:
    try:
        return _told(config, beam_flags)
    except NothingNewError as error:
        log_lines.tell("pmc2vec", str(error))
        return exit_codes.NOTHING_NEW


def _told(config: BuildConfig, beam_flags: Sequence[str]) -> int:
    if verbosity.asked.json:
        print(json.dumps(_facts(config, beam_flags), ensure_ascii=False))
    elif config.share:
        _run(config, beam_flags, quiet=True)
        print(f"{config.output}: share {config.share} read; when all are, build without --share")
    elif config.stop_after:
        print(corpus_table(build_corpus(config, beam_flags, quiet=False).funnel))
        print(f"\n{config.output}: corpus finished; go on with the same command without "
              f"--stop_after, or with --corpus {config.output}")  # fmt: skip
    else:
        print(funnel_table(build(config, beam_flags, quiet=False)))
        print(f"\n{config.output}: finished; train with\n"
              f"  pmc2vec train --dataset {config.output} --workdir WORKDIR")  # fmt: skip
    return 0


def _facts(config: BuildConfig, beam_flags: Sequence[str]) -> dict[str, Any]:
    """Builds, and returns what came out, for --json."""
    quiet = verbosity.asked.quiet
    if config.stop_after:
        return {
            "output": config.output,
            "funnel": dict(build_corpus(config, beam_flags, quiet=quiet).funnel),
        }
    manifest = build(config, beam_flags, quiet=quiet)
    return {
        "output": config.output,
        "funnel": dict(manifest.funnel),
        "licences": dict(manifest.licences),
        "vocabulary": {"words": manifest.vocabulary.size, "tokens": manifest.vocabulary.tokens},
        "pairs": {split: sum(s.pairs for s in manifest.select(split)) for split in SPLITS},
    }


if __name__ == "__main__":
    sys.exit(main())
