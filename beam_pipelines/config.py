"""The options of `pmc2vec build`, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from beam_pipelines.inputs.documents import TextUnit
from beam_pipelines.jats.article_reader import DEFAULT_SECTIONS, SectionName
from beam_pipelines.stages import duplicates
from beam_pipelines.stages.corpus_parts import Reading
from beam_pipelines.stages.shards import Sampling
from beam_pipelines.text.filters import ArticleFilter, Require, is_blank_keyword
from beam_pipelines.text.tokenizers import NumberHandling, TokenizerKind
from pmc2vec.cli.logging_setup import LogFormat
from pmc2vec.dataset import vocabulary
from pmc2vec.dataset.records import RecordShape
from pmc2vec.errors import UserError
from pmc2vec.storage.files import same_place
from pmc2vec.storage.object_stores import parse_storage_options

NOT_RECORDED = (
    "output", "overwrite", "stop_after", "keywords_file", "precheck", "slices", "share",
    "metrics_port", "log_format", "storage_option",
)  # fmt: skip
"""Options that do not change what is in a dataset."""

_FILTER_OPTIONS = tuple(field.name for field in fields(ArticleFilter) if field.name != "keywords")


@dataclass(frozen=True)
class BuildConfig:
    """Options of `pmc2vec build`; names are word2vec's and gensim's."""

    output: str
    """Folder of the dataset."""
    input: tuple[str, ...] = ()
    """Archives (.tar.gz, .tar, .zip), .xml or .txt files or folders of them; globs are expanded."""
    inventory: tuple[str, ...] = ()
    """S3 inventories of article versions: read what they list, in the one folder of --input."""
    since: str | None = None
    """Read only what this earlier dataset and those before it have not read: an increment."""
    corpus: str | None = None
    """Start from the corpus in this dataset instead of --input: other words, windows or draws."""
    stop_after: Literal["corpus"] | None = None
    """End when the corpus is written."""
    keywords: tuple[str, ...] = ()
    """Keep articles that mention any of these, in any case, as a part of a word or more."""
    keywords_file: Path | None = None
    """More keywords, one a line."""
    require: Require = "any"
    """Whether any or all of the keywords must occur."""
    whole_words: bool = False
    """Keywords must not be parts of longer words."""
    case_sensitive: bool = False
    """Keywords count only in the case in which they are given."""
    keyword_sections: tuple[SectionName, ...] = ()
    """Kinds of text in which keywords count; by default all of --sections."""
    licences: tuple[str, ...] = ()
    """Keep these licences: `CC BY` is every version of it, `CC BY 4.0` one."""
    article_types: tuple[str, ...] = ()
    """Keep these values of JATS' article-type, such as research-article."""
    languages: tuple[str, ...] = ()
    """Keep these languages, by two letters; an article that names none is in English."""
    min_year: int | None = None
    """Keep articles published in this year or later."""
    max_year: int | None = None
    """Keep articles published in this year or earlier."""
    journals: tuple[str, ...] = ()
    """Keep these journals, by title."""
    retracted: bool = False
    """Keep retracted articles, and notices of retraction."""
    manuscripts: bool = True
    """Keep author manuscripts (article versions, whose JSON says so)."""
    historical_ocr: bool = True
    """Keep text read from scanned pages (article versions, whose JSON says so)."""
    precheck: bool = True
    """Pass over articles whose raw text holds no keyword; what is kept is the same, only sooner."""
    sections: tuple[SectionName, ...] = DEFAULT_SECTIONS
    """Kinds of text to take from an article."""
    tokenizer: TokenizerKind = "biomedical"
    """How sentences become tokens: il-2 and 0.05 whole, as the Keras tutorial, or at spaces."""
    lowercase: bool = True
    """Lower-case the tokens."""
    numbers: NumberHandling = "keep"
    """Keep numbers, drop them, or fold them into one token."""
    text_unit: TextUnit = "line"
    """What is a block in a plain text file: a line, a paragraph, or all of it."""
    phrases: int = 0
    """Passes that join collocations: `breast cancer` becomes `breast_cancer`."""
    phrase_min_count: int = 5
    """Discount of a phrase's count in its score."""
    phrase_threshold: float = 10.0
    """Join two words that score above; higher means fewer phrases."""
    min_count: int = 5
    """Drop words that occur less often."""
    max_final_vocab: int | None = None
    """Keep at most so many words, the most frequent."""
    window: int = 5
    """Largest distance between target and context."""
    shrink_windows: bool = True
    """Draw each token's window from 1 to --window, as word2vec does."""
    negative: int = 5
    """Noise words for each pair."""
    ns_exponent: float = 0.75
    """Power of a word's count in the noise distribution."""
    noise: vocabulary.NoiseKind = "unigram"
    """Noise distribution: by count, by rank as the TensorFlow tutorial, or all alike."""
    sample: float = 1e-3
    """Threshold of subsampling: more frequent words are thinned out; 0 keeps all."""
    subsampling: vocabulary.SubsamplingRule = "word2vec"
    """Rule of subsampling: word2vec's, Keras's by rank, or none."""
    passes: int = 1
    """Independent draws of windows, subsampling and negatives; epochs take turns."""
    validation_fraction: float = 0.02
    """Share of the articles held out for validation."""
    num_shards: int = 16
    """Training shards of each pass."""
    seed: int = 1
    """Of everything random."""
    record_length: int = 512
    """Tokens in a record."""
    block: int = 16
    """Tokens that share their negatives."""
    block_negatives: int = 16
    """Negatives of a block."""
    max_document_bytes: int = 64 << 20
    """Reject larger XML documents."""
    slices: int = 1
    """Workers that may read one archive at once; what comes out is the same for any number."""
    share: str | None = None
    """Read one of N equal shares of the input and end, such as 0/16; then build without it."""
    overwrite: bool = False
    """Delete an earlier dataset in --output first."""
    storage_option: tuple[str, ...] = ()
    """For s3://, gs:// and az://: key=value, such as endpoint=http://127.0.0.1:9000."""
    metrics_port: int | None = None
    """Tell Prometheus how far it is, at http://...:PORT/metrics; and /healthz, whether it moves."""
    log_format: LogFormat = "text"
    """What is said on stderr: lines of text, or of JSON."""

    def __post_init__(self) -> None:
        """Raises ValueError for options that cannot mean anything."""
        self._check_source()
        if self.phrases < 0 or self.phrase_min_count < 1 or self.phrase_threshold <= 0:
            raise ValueError("--phrases, --phrase_min_count or --phrase_threshold is too small")
        if not self.sections:
            raise ValueError("--sections needs at least one section")
        if (self.min_year or 0) > (self.max_year or 9999):
            raise ValueError("--min_year is after --max_year: no article has such a year")
        if not 0 <= self.validation_fraction < 1:
            raise ValueError("--validation_fraction must be at least 0 and below 1")
        if min(self.min_count, self.num_shards, self.passes, self.slices) < 1:
            raise ValueError("--min_count, --num_shards, --passes and --slices must be at least 1")
        if self.sample < 0 or (self.max_final_vocab or 1) < 1:
            raise ValueError("--sample below 0 or --max_final_vocab below 1")
        if any(map(is_blank_keyword, self.keywords)):
            raise ValueError("--keywords: an empty keyword, which every article mentions")
        parse_storage_options(self.storage_option)
        self.place()
        self.shape()

    def _check_source(self) -> None:
        if bool(self.input) == bool(self.corpus):
            raise ValueError("give either --input (archives, files, folders) or --corpus")
        if self.corpus and same_place(self.corpus, self.output):
            raise ValueError("--output must not be the dataset that --corpus names")
        if self.inventory and len(self.input) != 1:
            raise ValueError("--inventory needs one --input: the folder or bucket of its keys")
        if self.since and self.corpus:
            raise ValueError("--since needs --input, and has nothing to do with --corpus")
        if self.since and same_place(self.since, self.output):
            raise ValueError("--output must not be the dataset that --since names")
        if self.corpus and self.stop_after:
            raise ValueError("--stop_after corpus has nothing to do with --corpus")

    def place(self) -> tuple[int, int]:
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

    def shape(self) -> RecordShape:
        """Returns the shape of a record."""
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

    def reading(self) -> Reading:
        """Returns how articles are read."""
        marks = {
            duplicates.RETRACTED: self.retracted,
            duplicates.MANUSCRIPT: self.manuscripts,
            duplicates.HISTORICAL_OCR: self.historical_ocr,
        }
        return Reading(
            filter=ArticleFilter(
                keywords=self.all_keywords(),
                **{name: getattr(self, name) for name in _FILTER_OPTIONS},
            ),
            sections=self.sections,
            tokenizer=self.tokenizer,
            lowercase=self.lowercase,
            numbers=self.numbers,
            max_document_bytes=self.max_document_bytes,
            text_unit=self.text_unit,
            welcome=tuple(mark for mark, kept in marks.items() if kept),
            precheck=self.precheck,
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
        )

    def recorded(self) -> dict[str, Any]:
        """Returns the options that say what is in the dataset, as JSON knows them."""
        known = {key: value for key, value in asdict(self).items() if key not in NOT_RECORDED}
        known["keywords"] = self.all_keywords()
        return {k: list(v) if isinstance(v, tuple) else v for k, v in known.items()}


def completed(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options that a dataset recorded, with the defaults of those that came up since."""
    return {**BuildConfig(output="later", input=("later",)).recorded(), **recorded}
