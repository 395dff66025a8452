"""The Beam job: articles of PubMed Central in, a dataset of skip-gram records out.

    pmc2vec build --input pmc --limit 5000 --output first --keywords melanoma
    pmc2vec build --input 'bulk/*.tar.gz' --output data --keywords cancer melanoma carcinoma

    from beam_pipelines.build import BuildConfig, build
    manifest = build(BuildConfig(input=("bulk/*.tar.gz",), output="data"))

The job has four steps: read the articles into parts of the corpus, count words (and phrases), draw
records into shards, write the manifest. Each writes files, and the next reads them. A build that
was killed goes on when the same command is started again: finished parts are not read twice.

With `--since` the dataset is an increment: it holds what an earlier one has not read, with the
words of both.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam

from beam_pipelines.build_progress import BuildDisplay, corpus_table, funnel_table
from beam_pipelines.config import BuildConfig, option_differences
from beam_pipelines.inputs import article_versions, listing, work_items
from beam_pipelines.inputs.esearch import wanted_articles
from beam_pipelines.runner import Engine, check_flags, configure_beam_logging, run_pipeline
from beam_pipelines.stages import history, increments, partitions
from beam_pipelines.stages.finishing import Corpus, read_corpus
from beam_pipelines.stages.increments import NothingNewError, Since, open_since
from beam_pipelines.stages.output_folder import (
    CATALOGUE_FOLDER,
    REJECTED_NAME,
    SOURCES_NAME,
    SUMMARIES_FOLDER,
    SUPERSEDED_NAME,
    OutputFolder,
)
from beam_pipelines.stages.shards import why_no_pairs
from beam_pipelines.transforms import (
    COUNTS_FOLDER,
    PAIRS_FOLDER,
    PHRASED_FOLDER,
    Distribute,
    FinishParts,
    JoinPhrases,
    ReadParts,
    ResolveDuplicates,
    WriteCorpus,
    WriteManifest,
    WriteShards,
    WriteVocabulary,
)
from pmc2vec import __version__
from pmc2vec.cli import exit_codes, options
from pmc2vec.cli.console import stderr_console, verbosity
from pmc2vec.cli.metrics import serve_metrics
from pmc2vec.dataset.manifest import CORPUS_NAME, MANIFEST_NAME, Manifest, parse_manifest
from pmc2vec.dataset.records import SPLITS
from pmc2vec.dataset.vocabulary import VOCABULARY_NAME, parse_vocabulary
from pmc2vec.errors import UserError
from pmc2vec.storage import files
from pmc2vec.storage.object_stores import parse_storage_options, use_storage_options

STARTED_NAME = "build.json"
"""The options and input of the build in a folder, written before anything else."""
FOLDERS = (CATALOGUE_FOLDER, "corpus", "counts", SUMMARIES_FOLDER, history.KNOWN_FOLDER)
BUILD_FILES = (
    MANIFEST_NAME, CORPUS_NAME, SOURCES_NAME, SUPERSEDED_NAME, REJECTED_NAME, VOCABULARY_NAME,
    article_versions.SELECTION_NAME,
    "phrases-*.tsv", "*.tfrecord", "*.tmp", f"{CATALOGUE_FOLDER}/*", "corpus/*", "counts/*",
    f"{SUMMARIES_FOLDER}/*",    f"{history.KNOWN_FOLDER}/*",
    f"{PAIRS_FOLDER}-*/*", f"{PHRASED_FOLDER}/*",
)  # fmt: skip
"""What a build may write, and so what `--overwrite` may delete."""
HEARTBEATS_FOLDER = ".heartbeats"
PROG = "pmc2vec build"
EXAMPLES = (
    "pmc2vec build --input pmc --limit 5000 --output first --keywords melanoma",
    "pmc2vec build --input pmc --query 'melanoma[title] AND 2024[pdat]' --output data",
    "pmc2vec build --input 'bulk/*.tar.gz' --output data --keywords cancer melanoma carcinoma",
    "pmc2vec build --input articles/ --output data --min_count 10 --max_final_vocab 100000",
    "pmc2vec build --input 'bulk/*.tar.gz' --output january --since december",
    "pmc2vec build --input pmc pubmed --output data --mesh Neoplasms --mesh_tree desc2026.xml",
    "pmc2vec build --input 'gs://b/*.tar.gz' --output gs://b/data -- --runner=DataflowRunner ...",
)

_logger = logging.getLogger(__name__)


class OtherBuildError(UserError):
    """The output folder holds a build with other options, or of other input files.

    Attributes:
        differences: between the options; empty where only the input files differ.
    """

    def __init__(self, message: str, differences: Sequence[str]) -> None:
        super().__init__(message)
        self.differences = differences


def build(
    config: BuildConfig,
    beam_flags: Sequence[str] = (),
    *,
    quiet: bool = True,
    same_input: bool = False,
) -> Manifest:
    """Builds the dataset, unless it is built already, and returns its manifest.

    Args:
        config: the options.
        beam_flags: Beam's own options, such as `--direct_num_workers=1`.
        quiet: show no progress.
        same_input: a build that was begun in the output folder goes on with the input that it had,
            whatever `config.input` matches now, and wherever the dataset of `since` has moved to.

    Raises:
        NothingNewError: with `since`, there is nothing new to train on.
        UserError: the input, the output folder or the result is not usable.
    """
    config = replace(config, stop_after=None)
    output = _run(config, beam_flags, quiet=quiet, same_input=same_input)
    if text := files.read_text(output.path(MANIFEST_NAME)):
        manifest = parse_manifest(text, output.path(MANIFEST_NAME))
        _warn_of_clauses(manifest.funnel)
        return manifest
    try:
        corpus = _corpus_with_articles(config, output)
        path = output.path(VOCABULARY_NAME)
        words = parse_vocabulary(files.read_text(path) or "", path)
        why = why_no_pairs(corpus.parts, words, output=output, sampling=config.sampling())
        tokens, articles = corpus.funnel["tokens"], corpus.funnel["kept"]
        raise UserError(
            f"nothing to train on: of {tokens:,} tokens in {articles:,} "
            f"{'article' if articles == 1 else 'articles'}, {why}"
        )
    except UserError as error:
        if config.since:
            raise NothingNewError(f"nothing new since {config.since}: {error}") from error
        raise


def build_corpus(
    config: BuildConfig, beam_flags: Sequence[str] = (), *, quiet: bool = True
) -> Corpus:
    """Builds the corpus alone and returns it; arguments and errors as in `build`."""
    output = _run(replace(config, stop_after="corpus"), beam_flags, quiet=quiet)
    corpus = _corpus_with_articles(config, output)
    _warn_of_clauses(corpus.funnel)
    return corpus


def _warn_of_clauses(funnel: Mapping[str, int]) -> None:
    """Warns where much of the text is in a script that has no spaces between words."""
    clauses, tokens = funnel.get("clauses", 0), funnel.get("tokens", 0)
    if clauses * 100 >= max(tokens, 1):
        _logger.warning(
            "%.0f %% of the tokens are clauses of Chinese, Japanese, Thai or another script that "
            "has no spaces: split the text into words first (jieba, MeCab, PyThaiNLP) and build "
            "with --tokenizer whitespace, or leave it out with --languages en",
            100 * clauses / tokens,
        )


def submit(config: BuildConfig, beam_flags: Sequence[str]) -> None:
    """Hands the job to a remote engine and returns without waiting for its end.

    For a launcher that must end before the job can begin. To see what came out, start the same
    command without a launcher later: it finds the dataset built.
    """
    job = _set_up(config, beam_flags, watched=False)
    _prepare_folder(job)
    _apply_stages(_select_versions(job))
    job.pipeline.run()


def _corpus_with_articles(config: BuildConfig, output: OutputFolder) -> Corpus:
    """Returns the finished corpus, in which there are articles.

    Raises:
        UserError: there are none; says why.
    """
    corpus = read_corpus(output)
    read, rejected = corpus.funnel.get("read", 0), output.corpus_path(REJECTED_NAME)
    if not read:
        damaged = " and ".join(
            f"{name.replace('_', ' ')} ({n:,})"
            for name, n in corpus.funnel.items()
            if name.endswith("_archive")
        )
        why = f": {damaged}" if damaged else ""
        raise UserError(f"no article in {' '.join(config.input)}{why}; see {rejected}")
    if not corpus.funnel.get("kept"):
        without_citations = "--mesh (full text has the headings of its citation, given with it)"
        doubtful = without_citations if config.mesh else "--keywords"
        reasons = ", ".join(f"{n:,} {key}" for key, n in corpus.funnel.items() if ":" in key)
        raise UserError(
            f"none of {read:,} articles is kept ({reasons}); check {doubtful} and {rejected}"
        )
    return corpus


# --- the job -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BuildInput:
    """What a build reads.

    Attributes:
        files: (path, size in bytes) of each input file.
        bucket: (root, bytes) of a bucket of article versions; the bytes are those of the selected
            versions, and 0 before.
        selection: options by which its versions are selected; None without a bucket.
        versions: how many are.
    """

    files: history.InputFiles
    bucket: history.InputFiles = ()
    selection: dict[str, Any] | None = None
    versions: int = 0

    @property
    def recorded(self) -> history.InputFiles:
        """Returns (path, size in bytes) of all that is read, as the dataset records it."""
        return (*self.bucket, *self.files)

    def work_items(self, slices: int) -> list[work_items.WorkItem]:
        """Returns what workers read: article versions first, since they go by their index."""
        versions = work_items.version_items(self.versions)
        return [*versions, *work_items.work_items(self.files, slices, first=len(versions))]


class BegunBuild(NamedTuple):
    """What build.json says of a build that was begun.

    Attributes:
        patterns: --input as it was given.
        inputs: what they matched.
    """

    patterns: tuple[str, ...]
    inputs: BuildInput


def read_begun_build(folder: str) -> BegunBuild | None:
    """Returns the build that was begun in a folder; None where there is none."""
    text = files.read_text(files.join(folder, STARTED_NAME))
    if text is None:
        return None
    earlier_build = json.loads(text)
    recorded = tuple((path, int(size)) for path, size in earlier_build["inputs"])
    buckets = 1 if earlier_build.get("selection") else 0
    inputs = BuildInput(recorded[buckets:], recorded[:buckets], earlier_build.get("selection"))
    return BegunBuild(tuple(earlier_build["config"]["input"]), inputs)


@dataclass(frozen=True)
class _Job:
    """A build that is set up.

    Attributes:
        config: its options.
        engine: that runs it.
        pipeline: of Beam, without a stage as yet.
        output: the folder that it writes.
        inputs: what it reads.
        goes_on: whether it goes on with the input of a build that was begun.
    """

    config: BuildConfig
    engine: Engine
    pipeline: beam.Pipeline
    output: OutputFolder
    inputs: BuildInput
    goes_on: bool = False


def _set_up(
    config: BuildConfig,
    beam_flags: Sequence[str],
    *,
    watched: bool = True,
    same_input: bool = False,
) -> _Job:
    """Returns the job; with `watched`, its workers have heartbeats if this process can see them.

    From here on this process uses the options for object stores. `same_input` is as for `build`.
    """
    engine = Engine(beam_flags)
    pipeline = engine.pipeline()  # Before the folder is made: Beam checks its options here.
    has_heartbeats = watched and engine.shares_files(config.output)
    heartbeats = str(Path(config.output, HEARTBEATS_FOLDER).resolve()) if has_heartbeats else None
    storage_options = parse_storage_options(config.storage_option)
    use_storage_options(storage_options)
    output = OutputFolder(
        config.output,
        heartbeats,
        config.corpus,
        config.since,
        tuple(sorted(storage_options.items())),
    )
    earlier_build = read_begun_build(config.output) if same_input else None
    if earlier_build is None:
        return _Job(config, engine, pipeline, output, _build_input(config, output))
    if config.since:
        _open_since(config, config.since)
    config = replace(config, input=earlier_build.patterns)
    return _Job(config, engine, pipeline, output, earlier_build.inputs, goes_on=True)


def _run(
    config: BuildConfig, beam_flags: Sequence[str], *, quiet: bool, same_input: bool = False
) -> OutputFolder:
    """Runs the job, unless its result is there already, and returns the output folder."""
    job = _set_up(config, beam_flags, same_input=same_input)
    output = job.output
    if config.share:
        _run_share(job)
        return output
    with serve_metrics(config.metrics_port), files.lock_folder(config.output):
        _prepare_folder(job)
        goal = CORPUS_NAME if config.stop_after else MANIFEST_NAME
        if files.read_text(output.path(goal)) is None:
            job = _select_versions(job, quiet=quiet)
            with BuildDisplay(
                output,
                job.inputs.files,
                versions=job.inputs.versions,
                passes=config.passes,
                phrases=config.phrases,
                quiet=quiet,
            ):
                _apply_stages(job)
                run_pipeline(job.pipeline)
        for folder in ("", *_folders(config)):  # Left by this build's or an earlier one's kill.
            files.remove_files(output.path(folder), f"*{files.TEMPORARY_SUFFIX}")
        files.remove_files(output.path(CATALOGUE_FOLDER), "gathered-*")
        shutil.rmtree(output.heartbeats or "", ignore_errors=True)
    return output


def _run_share(job: _Job) -> None:
    """Writes every N-th part of the corpus, for a later build of the whole to find finished.

    The other shares may run at the same time on any machine that sees the folder: each writes the
    same bytes under the same names, and none deletes a file. Duplicates are resolved by the build
    of the whole.
    """
    with files.lock_folder(job.config.output, shared=True):
        _prepare_folder(job)
        job = _select_versions(job)
        items = job.inputs.work_items(job.config.slices)
        _read_parts(replace(job, output=replace(job.output, heartbeats=None)), items)
        run_pipeline(job.pipeline)


def _build_input(config: BuildConfig, output: OutputFolder) -> BuildInput:
    """Returns what to read, or what made the corpus that is used; of a bucket, without versions.

    Raises:
        NothingNewError: the earlier dataset knows all files, and there is no bucket.
        UserError: there is no such input.
    """
    if config.corpus:
        return BuildInput(read_corpus(output).inputs)
    root, patterns = article_versions.split_bucket(config.input, config.inventory)
    if root is None and _selection_options(config):
        raise UserError(
            "--pmcids, --query, --limit and --share_of_articles select from a bucket of article "
            "versions; give --input pmc"
        )
    listed = listing.input_files(patterns, config.pubmed_url) if patterns else ()
    inputs = tuple((file.path, file.size) for file in listed)
    if config.since:
        earlier = _open_since(config, config.since)
        try:
            inputs = earlier.new_files(inputs) if inputs else ()
        except NothingNewError:
            if root is None:
                raise
            inputs = ()  # The bucket may have something.
    if root is None:
        return BuildInput(inputs)
    return BuildInput(inputs, ((root, 0),), _selection(config))


def _selection_options(config: BuildConfig) -> bool:
    """Tells whether there are options that select from a bucket."""
    return bool(config.pmcids or config.query or config.limit or config.share_of_articles < 1)


def _selection(config: BuildConfig) -> dict[str, Any]:
    """Returns what decides which versions of a bucket are read, for build.json."""
    text = files.read_text(config.pmcids, errors="replace") if config.pmcids else None
    digest = hashlib.sha256((text or "").encode()).hexdigest()
    return {
        "pmcids": text and digest,
        "query": config.query,
        "limit": config.limit,
        "share": config.share_of_articles,
        "inventory": list(config.inventory),
    }


def _select_versions(job: _Job, *, quiet: bool = True) -> _Job:
    """Returns the job with the selected versions of a bucket, if it reads one.

    They are selected unless this build has done so already.

    A build that was killed goes on with what it has selected, whatever came into the bucket since.

    Raises:
        NothingNewError: the earlier dataset knows all of them.
        UserError: the bucket cannot be listed, or there is nothing to select.
    """
    config, inputs = job.config, job.inputs
    if inputs.selection is None:
        return job
    path, ((root, _),) = job.output.path(article_versions.SELECTION_NAME), inputs.bucket
    if files.exists(path):
        selection = article_versions.read_selection(path)
    else:
        versions = article_versions.list_versions(
            root, config.inventory, on=None if quiet else stderr_console()
        )
        ids = wanted_articles(config.pmcids, config.query)
        versions, counts, missing = article_versions.select_versions(
            versions,
            ids,
            share=config.share_of_articles,
            limit=config.limit,
            known=history.read_known_versions(config.since) if config.since else None,
        )
        article_versions.warn_of_missing(root, missing)
        is_known = bool(counts.get(article_versions.KNOWN))
        if not versions.num_rows and is_known and not inputs.files:
            raise NothingNewError(f"nothing new since {config.since}: it knows all versions")
        if not versions.num_rows and not is_known:
            raise UserError(
                f"--input {root}: none of {counts[article_versions.LISTED]:,} article "
                "versions is selected; see --pmcids, --query and --share_of_articles"
            )
        selection = article_versions.write_selection(path, root, versions, counts)
    inputs = replace(inputs, bucket=((root, selection.bytes),), versions=selection.versions)
    return replace(job, inputs=inputs)


def _open_since(config: BuildConfig, folder: str) -> Since:
    """Returns the earlier dataset, if its options allow an increment with these."""
    earlier = open_since(folder)
    differences = option_differences(
        earlier.options,
        config.recorded_options(),
        ignored=options.options_that(BuildConfig, "may_change"),
    )
    if differences:
        raise UserError(
            f"--since {folder}: was built with {'; '.join(differences)}; give the same, "
            "or build a whole dataset without --since"
        )
    return earlier


def _apply_stages(job: _Job) -> None:
    config, output = job.config, job.output
    if config.corpus:
        finished = read_corpus(output).parts
        names = [part.name for part in finished]
        parts = job.pipeline | "Finished parts" >> Distribute(finished)
        corpus = parts
    else:
        items = job.inputs.work_items(config.slices)
        names = [item.name for item in items]
        parts = _read_parts(job, items)
        corpus = parts | WriteCorpus(
            output, config.recorded_options(), job.inputs.recorded, __version__
        )
    if config.stop_after != "corpus":
        _draw_records(config, output, parts=parts, corpus=corpus, names=names)


def _read_parts(job: _Job, items: list[work_items.WorkItem]) -> beam.PCollection:
    """Adds the steps from input files to finished parts, or of a share to parts that are read."""
    config, engine, output = job.config, job.engine, job.output
    if config.share:
        number, count = config.share_position()
        items = items[number::count]
    # The local engine divides elements before it knows what they cost, so it gets one bundle for
    # each worker; other engines hand out one item after another.
    bundles = (
        work_items.bundles(items, engine.workers) if engine.local else [[item] for item in items]
    )
    read_parts = ReadParts(output, config.reading())
    names = job.pipeline | "Work items" >> Distribute(bundles) | read_parts
    if config.share:
        return names
    groups = partitions.group_count(len(items))
    resolved = names | ResolveDuplicates(output, groups)
    read_items = job.pipeline | "Read items" >> Distribute(items)
    return (read_items, resolved) | FinishParts(output, config.reading(), groups)


def _draw_records(
    config: BuildConfig,
    output: OutputFolder,
    *,
    parts: beam.PCollection,
    corpus: beam.PCollection,
    names: list[str],
) -> None:
    """Adds the steps after the corpus: phrases, vocabulary, records, manifest."""
    sampling = config.sampling()
    groups = partitions.group_count(len(names))
    counted = parts | "Names" >> beam.Map(lambda part: part.name)
    folder, source = COUNTS_FOLDER, output.corpus_path(COUNTS_FOLDER)
    if config.phrases:
        counted = counted | JoinPhrases(
            names, output, config.phrases, config.phrase_min_count, config.phrase_threshold, groups
        )
        folder, source = PHRASED_FOLDER, output.path(PHRASED_FOLDER)
    vocabulary_file = counted | WriteVocabulary(
        output,
        source,
        folder,
        config.min_count,
        config.max_final_vocab,
        groups,
        with_unknown=config.unknown == "keep",
    )
    shards = (parts, vocabulary_file) | WriteShards(output, sampling)
    _ = (corpus, vocabulary_file, shards) | WriteManifest(
        output, sampling, config.recorded_options(), __version__
    )


# --- the output folder ---------------------------------------------------------------------------


def _prepare_folder(job: _Job) -> None:
    """Makes the output folder ready.

    Raises:
        OtherBuildError: it holds a build with other options or input.
        UserError: it holds something else.
    """
    config, output, inputs = job.config, job.output, job.inputs
    path = output.path(STARTED_NAME)
    options_and_inputs: dict[str, Any] = {
        "config": config.recorded_options() | {"slices": config.slices},
        "inputs": [list(entry) for entry in inputs.recorded],
    }
    if inputs.selection:
        options_and_inputs["selection"] = inputs.selection
    existing_paths = [path for path, _ in files.list_files(config.output)]
    # Read after the listing: another share may write the file between the two, never remove it.
    earlier = files.read_text(path)
    if earlier is None and not all(
        name.endswith(files.TEMPORARY_SUFFIX) for name in existing_paths
    ):
        raise UserError(f"{config.output}: not empty and not a dataset; give another --output")
    if config.overwrite:
        for pattern in BUILD_FILES:
            files.remove_files(config.output, pattern)
    elif earlier is not None:
        earlier_build = json.loads(earlier)
        if job.goes_on:  # The earlier dataset may have another path than when it was begun.
            earlier_build["config"]["since"] = config.since
        _refuse_other_build(earlier_build, options_and_inputs, config.output)
    for folder in _folders(config):
        files.make_folder(output.path(folder))
    files.write_text(path, json.dumps(options_and_inputs, indent=1, ensure_ascii=False) + "\n")
    if config.since:
        increments.copy_phrases(config.since, config.phrases, output)


def _folders(config: BuildConfig) -> list[str]:
    pairs = [f"{PAIRS_FOLDER}-{number}" for number in range(1, config.phrases + 1)]
    return [*FOLDERS, *([] if config.since else pairs), *([PHRASED_FOLDER] if pairs else [])]


def _refuse_other_build(earlier: dict[str, Any], later: dict[str, Any], folder: str) -> None:
    keys = ("inputs", "selection")
    differences = option_differences(earlier["config"], later["config"])
    if not differences and all(earlier.get(key) == later.get(key) for key in keys):
        return
    difference = "; ".join(differences) or "other input files, or files of another size"
    raise OtherBuildError(
        f"{folder}: holds a build with {difference}; give another --output, or --overwrite",
        differences,
    )


# --- the command ---------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec build`; everything after a bare `--` belongs to Beam."""
    words = list(sys.argv[1:] if argv is None else argv)
    at = words.index("--") if "--" in words else len(words)
    option_words, beam_flags = words[:at], words[at + 1 :]
    config = options.parse(
        BuildConfig, option_words, prog=PROG, examples=EXAMPLES, json_result=True,
        description="Build a dataset from PubMed Central full text.",
    )  # fmt: skip
    try:
        check_flags(beam_flags)
    except ValueError as error:
        options.refuse(PROG, str(error))
    return exit_codes.run_program(lambda: _command(config, beam_flags))


def _command(config: BuildConfig, beam_flags: Sequence[str]) -> int:
    configure_beam_logging(beam_flags)
    try:
        return _build_and_print(config, beam_flags)
    except NothingNewError as error:
        exit_codes.log_outcome(str(error))
        return exit_codes.NOTHING_NEW


def _build_and_print(config: BuildConfig, beam_flags: Sequence[str]) -> int:
    if verbosity.json:
        print(json.dumps(_json_result(config, beam_flags), ensure_ascii=False))
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


def _json_result(config: BuildConfig, beam_flags: Sequence[str]) -> dict[str, Any]:
    """Builds and returns the result that --json prints."""
    quiet = verbosity.quiet
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
