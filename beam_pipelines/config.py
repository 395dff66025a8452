"""The options of `pmc2vec build`, declared once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from beam_pipelines.inputs import mesh_tree
from beam_pipelines.inputs.article_versions import PMC
from beam_pipelines.inputs.documents import TextUnit
from beam_pipelines.inputs.pubmed_server import SERVER_NAME, SERVER_URL
from beam_pipelines.jats.article_reader import DEFAULT_SECTIONS, SectionName
from beam_pipelines.stages import companion_files
from beam_pipelines.stages.corpus_parts import Reading
from beam_pipelines.stages.shards import Sampling
from beam_pipelines.text.filters import ArticleFilter, Require, is_blank_keyword
from beam_pipelines.text.tokenizers import LinkHandling, NumberHandling, TokenizerKind
from pmc2vec.cli.logging_setup import LogFormat
from pmc2vec.cli.options import check_options, option, options_that
from pmc2vec.dataset import vocabulary
from pmc2vec.dataset.records import WINDOW_BITS, RecordShape
from pmc2vec.dataset.skipgrams import LongSentenceRule
from pmc2vec.errors import UserError
from pmc2vec.storage.files import same_place
from pmc2vec.storage.object_stores import parse_storage_options

_BLOCK = 16  # Tokens; as many negatives suit it (docs/experiments.md).
_FILTER_OPTIONS = tuple(
    field.name for field in fields(ArticleFilter) if field.name not in ("keywords", "mesh")
)


@dataclass(frozen=True)
class BuildConfig:
    """Options of `pmc2vec build`; names are word2vec's and gensim's."""

    output: str = option(recorded=False)
    """Folder of the dataset."""
    input: tuple[str, ...] = option((), may_change=True)
    """pmc, which is PubMed Central's public bucket; archives (.tar.gz, .tar, .zip), .xml or .txt
    files, PubMed's files of citations, or folders of them; globs are expanded. `pubmed` reads
    PubMed's baseline and updates from NLM's server."""
    pubmed_url: str = option(SERVER_URL, rare=True, recorded=False)
    """Folder above baseline/ and updatefiles/ that `--input pubmed` reads, such as a mirror's."""
    pmcids: str | None = option(None, may_change=True)
    """Of a bucket, read only the articles in this file: PMC123, PMC123.2 or 123, one a line."""
    query: str | None = option(None, may_change=True)
    """Of PubMed Central's bucket, read only the articles that this query of its search finds."""
    limit: int | None = option(None, may_change=True, default_text="no limit", minimum=1)
    """Of a bucket, read at most this many articles: a sample, the same every time."""
    share_of_articles: float = option(1.0, rare=True, may_change=True)
    """Of a bucket, read this share of the articles: a sample, the same every time."""
    inventory: tuple[str, ...] = option((), rare=True, may_change=True)
    """S3 inventories (manifest.json or .csv) of a bucket of article versions or a copy of it, which
    --input names. Without any, the bucket's newest one."""
    since: str | None = option(None, may_change=True, set_by_update=True)
    """Build an increment: read only what this earlier dataset, and those that it was built since,
    have not read."""
    corpus: str | None = None
    """Dataset whose corpus to use instead of --input: for another vocabulary, other windows or
    another seed."""
    stop_after: Literal["corpus"] | None = option(
        None, rare=True, recorded=False, set_by_update=True
    )
    """Stop when the corpus is written."""
    keywords: tuple[str, ...] = ()
    """Keep articles that contain any of these, in any case, as words or parts of words."""
    keywords_file: Path | None = option(None, rare=True, recorded=False)
    """File of more keywords, one a line."""
    require: Require = "any"
    """Keep articles that contain any keyword, or only those that contain all."""
    whole_words: bool = False
    """Match keywords as whole words only."""
    case_sensitive: bool = option(False, rare=True)
    """Match keywords only in the case in which they are given."""
    keyword_sections: tuple[SectionName, ...] = option(
        (), rare=True, default_text="all of --sections"
    )
    """Sections in which keywords count."""
    licences: tuple[str, ...] = ()
    """Keep articles with these licences: `CC BY` means every version of it, `CC BY 4.0` one."""
    article_types: tuple[str, ...] = option((), rare=True)
    """Keep articles with these values of JATS' article-type, such as research-article, and
    citations with these publication types, such as Review."""
    languages: tuple[str, ...] = option((), rare=True)
    """Keep articles in these languages, as two letters; an article that names none is in
    English."""
    min_year: int | None = option(None, minimum=0)
    """Keep articles published in this year or later."""
    max_year: int | None = option(None, minimum=0)
    """Keep articles published in this year or earlier."""
    journals: tuple[str, ...] = option((), rare=True)
    """Keep articles of these journals, by title or standard abbreviation (N Engl J Med); case and
    dots do not count."""
    mesh: tuple[str, ...] = ()
    """Keep articles with these MeSH headings, by id (D008545) or name (Melanoma). Citations of
    PubMed have headings; full text has those of its citation, if that is among the input."""
    mesh_tree: str | None = option(None, may_change=True)
    """NLM's descNNNN.xml or mtreesNNNN.bin: --mesh keeps articles with headings below those
    too."""
    retracted: bool = option(False, rare=True)
    """Keep retracted articles and retraction notices."""
    manuscripts: bool = option(True, rare=True)
    """Keep author manuscripts (only article versions say which they are, in their JSON)."""
    historical_ocr: bool = option(True, rare=True)
    """Keep text read from scanned pages (only article versions say so, in their JSON)."""
    precheck: bool = option(True, rare=True, recorded=False)
    """Skip an article without parsing it when its raw text holds no keyword. Faster; the dataset
    is the same."""
    sections: tuple[SectionName, ...] = DEFAULT_SECTIONS
    """Sections to take from an article."""
    tokenizer: TokenizerKind = option("biomedical")
    """biomedical keeps il-2 and 0.05 whole; tutorial splits as the Keras tutorial does; whitespace
    splits at spaces."""
    lowercase: bool = option(True, rare=True)
    """Lower-case the tokens."""
    numbers: NumberHandling = option("keep", rare=True)
    """Keep numbers, drop them, or replace each by one token for all."""
    links: LinkHandling = option("drop", rare=True)
    """Drop links, e-mail addresses and DOIs, replace each by one token for all, or split them as
    other text (biomedical tokenizer)."""
    other_abstracts: bool = option(False, rare=True)
    """Take the other abstracts of a PubMed citation too: in other languages, in plain language."""
    text_unit: TextUnit = option("sentence", rare=True)
    """Unit of a plain text file. line: each line is one sequence, whatever it holds; sentence: the
    sentences within each line; paragraph, file: the sentences of a text whose sentences run over
    its line ends."""
    phrases: int = option(0, minimum=0, maximum=10)
    """Passes that join collocations: `breast cancer` becomes `breast_cancer`."""
    phrase_min_count: int = option(5, rare=True, minimum=1)
    """Discount that is subtracted from the count of a phrase in its score."""
    phrase_threshold: float = option(10.0, rare=True)
    """Join two words whose score is above this; higher means fewer phrases."""
    min_count: int = option(5, minimum=1)
    """Drop words that occur less often."""
    max_final_vocab: int | None = option(None, default_text="no limit", minimum=1)
    """Keep at most this many words, the most frequent."""
    unknown: Literal["drop", "keep"] = option("drop", rare=True)
    """Words that are not in the vocabulary: leave them out, or keep them all as one more word,
    [UNK], as Keras's TextVectorization does."""
    sequence_length: int | None = option(None, rare=True, default_text="no limit", minimum=1)
    """Largest number of tokens in a sentence or line, as TextVectorization's
    output_sequence_length."""
    long_sequences: LongSentenceRule = option("cut", rare=True)
    """What becomes of the tokens beyond --sequence_length: cut drops them; split makes further
    sentences of them."""
    window: int = option(5, minimum=1, maximum=WINDOW_BITS)
    """Largest distance between target and context."""
    shrink_windows: bool = option(True, rare=True)
    """Draw the window of each token from 1 to --window, as word2vec does."""
    negative: int = option(5, minimum=1, maximum=1 << 20)
    """Noise words for each pair."""
    ns_exponent: float = option(0.75, rare=True, minimum=-10, maximum=10)
    """Exponent of a word's count in the noise distribution."""
    noise: vocabulary.NoiseKind = option("unigram", rare=True)
    """Noise distribution: by count, by rank as in the TensorFlow tutorial, or uniform."""
    sample: float = option(1e-3, minimum=0)
    """Threshold of subsampling: words that are more frequent are partly left out; 0 keeps all."""
    subsampling: vocabulary.SubsamplingRule = option("word2vec", rare=True)
    """Rule of subsampling: word2vec's; Keras's, by rank, which thins targets and leaves every
    context; or none."""
    passes: int = option(1, may_change=True, minimum=1, maximum=1000)
    """Independent draws of windows, subsampling and negatives; epochs use them in turn."""
    validation_fraction: float = option(0.02, minimum=0)
    """Share of the articles that is held out for validation."""
    num_shards: int = option(16, may_change=True, minimum=1, maximum=1 << 16)
    """Training shards of each pass."""
    seed: int = 1
    """Random seed of subsampling, windows, negatives and the validation split."""
    record_length: int = option(512, rare=True, minimum=1, maximum=1 << 20)
    """Tokens in a record."""
    block: int | None = option(
        None, rare=True, minimum=1, default_text="16, or as many as --window needs"
    )
    """Tokens that share their negatives."""
    block_negatives: int = option(16, rare=True, minimum=1, maximum=1 << 12)
    """Negatives of a block."""
    max_document_bytes: int = option(64 << 20, rare=True, minimum=1)
    """Reject XML documents larger than this; a larger set of articles is read article by
    article."""
    slices: int = option(1, rare=True, recorded=False, minimum=1)
    """Most workers that read one archive at once; the dataset is the same for any number."""
    share: str | None = option(None, rare=True, recorded=False)
    """Read one of N equal shares of the input and stop, such as 0/16; when all shares are read,
    build without it."""
    overwrite: bool = option(False, recorded=False, set_by_update=True)
    """Delete an earlier dataset in --output first."""
    requests_in_flight: int = option(64, rare=True, recorded=False, minimum=1)
    """Articles of a bucket that each worker requests at once."""
    max_requests_per_second: float | None = option(
        None, rare=True, recorded=False, default_text="no limit"
    )
    """Requests for articles of a bucket that each worker starts in a second, at most."""
    storage_option: tuple[str, ...] = option((), rare=True, recorded=False)
    """For s3://, gs:// and az://: key=value, such as endpoint=http://127.0.0.1:9000."""
    metrics_port: int | None = option(
        None, rare=True, recorded=False, set_by_update=True, minimum=0, maximum=65535
    )
    """Port for Prometheus: http://HOST:PORT/metrics; /healthz tells whether there is progress."""
    log_format: LogFormat = option("text", rare=True, recorded=False)
    """Format of the lines on stderr."""

    def __post_init__(self) -> None:
        """Raises ValueError for options that cannot mean anything."""
        check_options(self)
        if self.block is None:
            object.__setattr__(self, "block", self._default_block())  # The class is frozen.
        self._check_source()
        if self.phrase_threshold <= 0:
            raise ValueError(f"--phrase_threshold {self.phrase_threshold}: must be above 0")
        if not self.sections:
            raise ValueError("--sections needs at least one section")
        if self.max_year is not None and (self.min_year or 0) > self.max_year:
            raise ValueError("--min_year is after --max_year: no article has such a year")
        if self.validation_fraction >= 1:
            raise ValueError("--validation_fraction must be at least 0 and below 1")
        if not 0 < self.share_of_articles <= 1:
            raise ValueError(
                f"--share_of_articles {self.share_of_articles}: must be above 0 and at most 1"
            )
        if self.max_requests_per_second is not None and self.max_requests_per_second <= 0:
            raise ValueError("--max_requests_per_second: must be above 0")
        if any(map(is_blank_keyword, self.keywords)):
            raise ValueError("--keywords: an empty keyword, which every article mentions")
        self._check_mesh()
        parse_storage_options(self.storage_option)
        self.share_position()
        self.shape()

    def _check_mesh(self) -> None:
        if not all(name.strip() for name in self.mesh):
            raise ValueError("--mesh: an empty heading")
        if self.mesh_tree and not self.mesh:
            raise ValueError("--mesh_tree needs --mesh: the headings to look for in the tree")
        if self.mesh and self.input == (PMC,):
            raise ValueError(
                "--mesh: articles of PubMed Central have no headings of their own; give their "
                f"citations too, as --input {PMC} {SERVER_NAME}"
            )

    def _check_source(self) -> None:
        if bool(self.input) == bool(self.corpus):
            raise ValueError("give either --input (archives, files, folders) or --corpus")
        if self.corpus and same_place(self.corpus, self.output):
            raise ValueError("--output must not be the dataset that --corpus names")
        if self.query and self.pmcids:
            raise ValueError("--query and --pmcids both name articles; give one of them")
        if self.inventory and len(self.input) != 1 and PMC not in self.input:
            raise ValueError("--inventory needs one --input: the folder or bucket of its keys")
        if self.since and self.corpus:
            raise ValueError("--since needs --input, and has nothing to do with --corpus")
        if self.since and same_place(self.since, self.output):
            raise ValueError("--output must not be the dataset that --since names")
        if self.corpus and self.stop_after:
            raise ValueError("--stop_after corpus has nothing to do with --corpus")

    def share_position(self) -> tuple[int, int]:
        """Returns the number of this share and how many there are; all of it is 0 of 1.

        Raises:
            ValueError: there is no such share, or it goes with no other option that is given.
        """
        if self.share and (self.corpus or self.stop_after or self.overwrite):
            raise ValueError("--share goes with no --corpus, --stop_after or --overwrite")
        number, _, count = (self.share or "0/1").partition("/")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise ValueError(f"--share {self.share}: must be I/N with I from 0 to N - 1")
        return int(number), int(count)

    def _default_block(self) -> int:
        """Returns the smallest block of 16 tokens or more that fits the window and the record."""
        sizes = range(max(_BLOCK, self.window), self.record_length + 1)
        return next((size for size in sizes if self.record_length % size == 0), _BLOCK)

    def shape(self) -> RecordShape:
        """Returns the shape of a record.

        Raises:
            ValueError: an option is out of its range; says which, and what would fit.
        """
        assert self.block is not None
        if self.record_length % self.block:
            raise ValueError(
                f"--block {self.block}: must divide --record_length {self.record_length}"
            )
        if self.window > self.block:
            blocks = range(self.window, self.record_length + 1)
            fits = [block for block in blocks if not self.record_length % block]
            size = fits[0] if fits else self.window
            remedy = f"--block {size}" if fits else f"--record_length {size} --block {size}"
            raise ValueError(
                f"--window {self.window}: must be at most {self.block}, the tokens that share "
                f"their negatives; give {remedy} too, or a smaller window"
            )
        return RecordShape(
            length=self.record_length,
            block=self.block,
            block_negatives=self.block_negatives,
            window=self.window,
            negative=self.negative,
        )

    def all_keywords(self) -> tuple[str, ...]:
        """Returns the keywords of `--keywords` and those in the file.

        Raises:
            UserError: the file cannot be read, or holds no keyword.
        """
        if self.keywords_file is None:
            return self.keywords
        try:
            lines = self.keywords_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--keywords_file {self.keywords_file}: {error}") from error
        keywords = tuple(line.strip() for line in lines if not is_blank_keyword(line))
        if not keywords:
            raise UserError(f"--keywords_file {self.keywords_file}: holds no keyword")
        return (*self.keywords, *keywords)

    def wanted_headings(self) -> tuple[str, ...]:
        """Returns the headings of `--mesh`, and those below them in `--mesh_tree`.

        Raises:
            UserError: the tree cannot be read, or has no such heading.
        """
        return mesh_tree.wanted_headings(self.mesh, self.mesh_tree)

    def reading(self) -> Reading:
        """Returns how articles are read."""
        marks = {
            companion_files.RETRACTED: self.retracted,
            companion_files.MANUSCRIPT: self.manuscripts,
            companion_files.HISTORICAL_OCR: self.historical_ocr,
        }
        return Reading(
            filter=ArticleFilter(
                keywords=self.all_keywords(),
                mesh=self.wanted_headings(),
                **{name: getattr(self, name) for name in _FILTER_OPTIONS},
            ),
            sections=self.sections,
            tokenizer=self.tokenizer,
            lowercase=self.lowercase,
            numbers=self.numbers,
            links=self.links,
            max_document_bytes=self.max_document_bytes,
            text_unit=self.text_unit,
            welcome=tuple(mark for mark, is_welcome in marks.items() if is_welcome),
            precheck=self.precheck,
            other_abstracts=self.other_abstracts,
            requests_in_flight=self.requests_in_flight,
            requests_per_second=self.max_requests_per_second,
        )

    def sampling(self) -> Sampling:
        """Returns how records are drawn."""
        return Sampling(
            shape=self.shape(),
            sample=self.sample,
            subsampling=self.subsampling,
            noise=self.noise,
            ns_exponent=self.ns_exponent,
            shrink_windows=self.shrink_windows,
            validation_fraction=self.validation_fraction,
            seed=self.seed,
            num_shards=self.num_shards,
            passes=self.passes,
            phrases=self.phrases,
            sequence_length=self.sequence_length,
            long_sequences=self.long_sequences,
        )

    def recorded_options(self) -> dict[str, Any]:
        """Returns the options that say what is in the dataset, as JSON knows them."""
        values = asdict(self) | {"keywords": self.all_keywords()}
        if self.mesh_tree:  # A digest: there are up to 30,000 of them.
            headings = "\n".join(self.wanted_headings())
            values["mesh_tree"] = hashlib.sha256(headings.encode()).hexdigest()
        recorded = {name: values[name] for name in options_that(BuildConfig, "recorded")}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in recorded.items()}


def option_differences(
    recorded: Mapping[str, Any], options: Mapping[str, Any], *, ignored: Collection[str] = ()
) -> list[str]:
    """Returns how options differ from those that a dataset recorded: `--window 5, now 8`, ...

    An option that came up since the dataset was built counts as recorded with its default.

    Args:
        recorded: the options in the manifest or build.json of the dataset.
        options: `recorded_options` of today.
        ignored: names of options that may differ.
    """
    then = {**BuildConfig(output="later", input=("later",)).recorded_options(), **recorded}
    # Before there was --unknown, `line` meant what `sentence` means now.
    if "unknown" not in recorded and then["text_unit"] == "line":
        then["text_unit"] = "sentence"
    return [
        f"--{name} {then.get(name)!r}, now {value!r}"
        for name, value in options.items()
        if name not in ignored and then.get(name) != value
    ]
