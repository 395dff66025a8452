"""Files in object stores: s3://, gs://, az:// and, for reading, https://.

    s3://BUCKET/KEY    gs://BUCKET/KEY    az://ACCOUNT/CONTAINER/KEY    https://HOST/PATH

Everything goes through obstore (the Rust crate object_store). Requests are anonymous where no
credentials are configured, so that a public bucket needs no set-up and no program waits for the
metadata address of a cloud that it does not run in. Credentials are found in the standard places
(see `store_credentials`) or in options (`use_storage_options`): any key of obstore's configuration,
such as `endpoint`, `region` or `access_key_id`; with the prefix `aws_`, `google_` or `azure_` it is
for that kind of store alone. `anonymous` (true or false) overrides the search for credentials,
`max_retries` and `retry_timeout` (seconds) the budget of retries, `read_timeout` (seconds) how long
a connection may be silent.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import IO, Any
from urllib.parse import unquote

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from pmc2vec.errors import UserError
from pmc2vec.storage.store_credentials import environment_defaults

# The prefix of the options that are for one kind of store alone.
_OPTION_PREFIXES = {"s3": "aws_", "gs": "google_", "az": "azure_", "http": "http_"}
_ALIASES = {"s3a": "s3", "gcs": "gs", "https": "http"}
SCHEMES = ("s3://", "gs://", "az://", "https://", "http://")

# One PUT up to this size; above it a multipart upload in parts of this size.
_PART_BYTES = 16 << 20

# A reader that jumps about (Parquet, zip) asks for at least this much at a time.
_RANGE_BYTES = 256 << 10
_STREAM_BYTES = 1 << 20

_OWN_OPTIONS = ("anonymous", "max_retries", "retry_timeout", "read_timeout")


@dataclass(frozen=True)
class FileMetadata:
    """What a file system says about a file.

    Attributes:
        size: in bytes.
        etag: changes with the content; None on a local disk.
        modified: when it was written last.
    """

    size: int
    etag: str | None
    modified: datetime | None


@dataclass(frozen=True)
class ObjectLocation:
    """A URL taken apart.

    Attributes:
        scheme: `s3`, `gs`, `az` or `http` (also of https).
        root: of the store: `s3://bucket`, `az://account/container`, `https://host`.
        key: of the object; no `/` at its ends.
    """

    scheme: str
    root: str
    key: str

    @property
    def url(self) -> str:
        """The URL in one spelling: `s3a://b//k/` is `s3://b/k`."""
        return f"{self.root}/{self.key}".rstrip("/")


def locate(url: str) -> ObjectLocation:
    """Returns the parts of a URL.

    >>> locate("s3a://bucket/a//b/")
    ObjectLocation(scheme='s3', root='s3://bucket', key='a/b')

    Raises:
        UserError: its scheme is none of ours, or it names no bucket.
    """
    scheme, _, address = url.partition("://")
    scheme = scheme.lower()
    kind = _ALIASES.get(scheme, scheme)
    if kind not in _OPTION_PREFIXES:
        raise UserError(
            f"{url}: no support for {scheme}://; give a local path or a URL with one of "
            + ", ".join(SCHEMES[:-1])
        )
    names = [name for name in address.split("/") if name not in ("", ".")]
    depth = 2 if kind == "az" else 1
    if len(names) < depth:
        part = {"az": "account and a container", "http": "host"}.get(kind, "bucket")
        raise UserError(f"{url}: names no {part}")
    if ".." in names:
        raise UserError(f"{url}: a key in an object store has no '..'; write it out")
    root_scheme = scheme if kind == "http" else kind
    root, key = "/".join(names[:depth]), "/".join(names[depth:])
    return ObjectLocation(kind, f"{root_scheme}://{root}", unquote(key) if kind == "http" else key)


# --- options -----------------------------------------------------------------------------------

_options: dict[str, str] = {}


def use_storage_options(options: Mapping[str, str]) -> None:
    """Sets the options of this process for all object stores; see the module's text for the keys.

    The process that was started first calls it with what the user gave. A process of a Beam job
    calls it when it unpickles the job's `Output`, which carries the options.
    """
    _options.clear()
    _options.update(options)
    _cached_store.cache_clear()


def storage_options() -> dict[str, str]:
    """Returns the options of this process."""
    return dict(_options)


def parse_storage_options(pairs: Iterable[str]) -> dict[str, str]:
    """Returns the options that were given as `key=value`.

    >>> parse_storage_options(["endpoint=http://127.0.0.1:9000", "region=eu-west-1"])
    {'endpoint': 'http://127.0.0.1:9000', 'region': 'eu-west-1'}

    Raises:
        ValueError: one is not of that form.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ValueError(f"--storage_option {pair}: must be key=value")
        options[key.strip().lower()] = value
    return options


# --- stores ------------------------------------------------------------------------------------


def _store(location: ObjectLocation) -> Any:
    """Returns the store of a location, which retries by itself."""
    return _cached_store(location.scheme, location.root, retries=True)


def store_without_retries(location: ObjectLocation) -> Any:
    """Returns the store of a location for a caller that retries."""
    return _cached_store(location.scheme, location.root, retries=False)


# Cleared with the options. Variables count as they are when a store is first used.
@lru_cache(maxsize=64)
def _cached_store(scheme: str, root: str, *, retries: bool) -> Any:
    anonymous = _options.get("anonymous", "").lower()
    if anonymous not in ("", "true", "false"):
        raise UserError(f"--storage_option anonymous={anonymous}: must be true or false")
    config: Any = _config(scheme)
    names = root.partition("://")[2].split("/")
    if scheme != "http":
        defaults, has_credentials = environment_defaults(scheme, root, config)
        config = {**defaults, **config}
        if anonymous == "true" or (anonymous == "" and not has_credentials):
            config.setdefault("skip_signature", "true")
    endpoint = str(config.get("endpoint") or config.get("base_url") or root)
    client_options: dict[str, Any] = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=10),
        # For each read. A limit for a whole request would end the stream of a large archive.
        "read_timeout": timedelta(seconds=_seconds("read_timeout", 60)),
        "timeout": timedelta(days=1),
    }
    keywords: Any = {
        "client_options": client_options,
        "retry_config": _retry_config(retries=retries),
    }
    try:
        if scheme == "http":
            return HTTPStore(root, **keywords)
        if scheme == "s3":
            return S3Store(names[0], config=config, **keywords)
        if scheme == "gs":
            return GCSStore(names[0], config=config, **keywords)
        config.setdefault("account_name", names[0])
        return AzureStore(names[1], config=config, **keywords)
    except (BaseError, ValueError) as error:
        raise UserError(f"{root}: {error_reason(error)}; see --storage_option") from error


def _config(scheme: str) -> dict[str, Any]:
    """Returns the options that are for a kind of store, without the prefix for it."""
    prefix = _OPTION_PREFIXES[scheme]
    other_prefixes = tuple({*_OPTION_PREFIXES.values()} - {prefix})
    config = {}
    for key, value in _options.items():
        if key not in _OWN_OPTIONS and not key.startswith(other_prefixes):
            name = key.removeprefix(prefix)
            config["endpoint" if name == "endpoint_url" else name] = value
    return config


@dataclass(frozen=True)
class RetryBudget:
    """How often and how long a request is repeated.

    Attributes:
        max_retries: after the first attempt.
        timeout: seconds from the first attempt to the last.
        first_pause: seconds; the pauses double.
        max_pause: seconds.
    """

    max_retries: int
    timeout: float
    first_pause: float = 0.2
    max_pause: float = 15.0

    def allows(self, retries: int, seconds: float) -> bool:
        """Returns whether there may be another retry, the `retries`-th, after so many seconds."""
        return retries <= self.max_retries and seconds <= self.timeout


def retry_budget() -> RetryBudget:
    """Returns the budget that the options of this process give."""
    return RetryBudget(int(_seconds("max_retries", 12)), _seconds("retry_timeout", 180))


def _seconds(option: str, default: float) -> float:
    try:
        return float(_options.get(option, default))
    except ValueError as error:
        raise UserError(f"--storage_option {option}: {error}") from error


def _retry_config(*, retries: bool) -> Any:
    budget = retry_budget()
    pauses = {
        "init_backoff": timedelta(seconds=budget.first_pause),
        "max_backoff": timedelta(seconds=budget.max_pause),
    }
    return {
        "max_retries": budget.max_retries if retries else 0,
        "retry_timeout": timedelta(seconds=budget.timeout),
        "backoff": {**pauses, "base": 2},
    }


# --- objects -----------------------------------------------------------------------------------


def error_reason(error: Exception) -> str:
    """Returns what obstore says, without its account of the source of the error."""
    text = str(error).partition("\n\nDebug source")[0]
    return " ".join(text.split()).rstrip(": ")


@contextmanager
def _errors(url: str, action: str) -> Iterator[None]:
    """Turns obstore's errors into a UserError that names the URL; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, ValueError, OSError) as error:
        raise UserError(f"{url}: cannot be {action} ({error_reason(error)})") from error


def object_metadata(url: str) -> FileMetadata | None:
    """Returns size, etag and time of an object; None where there is none."""
    location = locate(url)
    if not location.key:
        return None
    try:
        with _errors(url, "read"):
            head = obstore.head(_store(location), location.key)
    except FileNotFoundError:
        return None
    return FileMetadata(int(head["size"]), head["e_tag"], head["last_modified"])


def read_object(url: str) -> bytes | None:
    """Returns an object's bytes; None where there is none."""
    location = locate(url)
    try:
        with _errors(url, "read"):
            return bytes(obstore.get(_store(location), location.key).bytes())
    except FileNotFoundError:
        return None


def write_object(url: str, file: IO[bytes]) -> None:
    """Writes an object at once: nobody sees a part of it."""
    location = _writable(url)
    with _errors(url, "written"):
        obstore.put(_store(location), location.key, file, chunk_size=_PART_BYTES)


def list_objects(url: str) -> Iterator[tuple[str, FileMetadata]]:
    """Yields (URL, metadata) of each object below a folder, in no order.

    Only a whole name counts as a folder: `s3://b/out` has nothing of `s3://b/outer`.
    """
    location = locate(url)
    if location.scheme == "http":
        raise UserError(f"{url}: a web server lists no files; give each file by its URL")
    try:
        with _errors(url, "listed"):
            for chunk in obstore.list(_store(location), location.key or None):
                for entry in chunk:
                    metadata = FileMetadata(entry["size"], entry["e_tag"], entry["last_modified"])
                    yield f"{location.root}/{entry['path']}", metadata
    except FileNotFoundError as error:
        raise UserError(f"{location.root}: no such bucket ({error_reason(error)})") from error


def delete_objects(urls: Iterable[str]) -> None:
    """Deletes objects; one that is not there is no error."""
    keys: dict[str, list[str]] = {}
    for url in urls:
        location = _writable(url)
        keys.setdefault(location.root, []).append(location.key)
    for root, names in keys.items():
        store = _store(locate(root))
        with _errors(root, "deleted from"):
            try:
                obstore.delete(store, names)
            except FileNotFoundError:  # gs and az; one name after the other finds the others.
                for name in names:
                    try:
                        obstore.delete(store, name)
                    except FileNotFoundError:
                        continue


def _writable(url: str) -> ObjectLocation:
    location = locate(url)
    if location.scheme == "http":
        raise UserError(f"{url}: a web server is only read; give a folder or a bucket")
    if not location.key:
        raise UserError(f"{url}: names no object in its bucket")
    if location.scheme == "gs" and "skip_signature" in _store(location).config:
        # object_store would ask the metadata address for a token, also where it is no Google
        # machine.
        raise UserError(
            f"{url}: there are no credentials to write with; set GOOGLE_APPLICATION_CREDENTIALS, "
            "or log in with gcloud auth application-default login"
        )
    return location


class ObjectReader(io.RawIOBase):
    """An object as a file: read as one stream, and by ranges after a jump.

    The stream is a single request, which suits archives and shards. After `seek`, the first reads
    are requests for ranges, which suits Parquet and zip; when one begins where the last has ended,
    the rest is a stream again.

    A request that breaks is repeated from where it broke, within obstore's budget. An object that
    is replaced meanwhile is an error, and never a mixture of both.
    """

    def __init__(self, url: str) -> None:
        """Opens an object.

        Raises:
            FileNotFoundError: there is none.
            UserError: it cannot be read.
        """
        super().__init__()
        self.name = url
        location = locate(url)
        self._store, self._key = _store(location), location.key
        with _errors(url, "read"):
            result = obstore.get(self._store, self._key)
        self._size = int(result.meta["size"])
        etag = result.meta["e_tag"]
        self._etag = None if location.scheme == "http" else etag
        self._chunks: Iterator[Any] | None = iter(result.stream(_STREAM_BYTES))
        self._position = 0
        self._buffer = memoryview(b"")
        self._sequential = True

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position and returns it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        position = max(0, base + offset)
        ahead = position - self._position
        if 0 <= ahead <= len(self._buffer):
            self._buffer = self._buffer[ahead:]
        else:
            self._buffer, self._chunks, self._sequential = memoryview(b""), None, False
        self._position = position
        return position

    def readinto(self, target: Any) -> int:
        """Reads into a buffer and returns how many bytes; 0 at the end."""
        view = memoryview(target).cast("B")
        if not len(view) or self._position >= self._size:
            return 0
        if not len(self._buffer):
            with _errors(self.name, "read"):
                try:
                    self._buffer = memoryview(self._fetch(len(view))).cast("B")
                except FileNotFoundError as error:
                    raise UserError(f"{self.name}: deleted while it was read") from error
        count = min(len(view), len(self._buffer))
        view[:count] = self._buffer[:count]
        self._buffer = self._buffer[count:]
        self._position += count
        return count

    def _fetch(self, size: int) -> bytes:
        """Returns the next bytes at the position, at least one."""
        if self._chunks is None and self._sequential:
            result = self._get(self._position, None)
            self._chunks = iter(result.stream(_STREAM_BYTES))
        if self._chunks is not None:
            data = bytes(next(self._chunks, b""))
            if not data:
                raise ValueError(f"it ends at byte {self._position:,} of {self._size:,}")
            return data
        self._sequential = True
        end = min(self._size, self._position + max(size, _RANGE_BYTES))
        return bytes(self._get(self._position, end).bytes())

    def _get(self, begin: int, end: int | None) -> Any:
        options: Any = {"range": {"offset": begin} if end is None else (begin, end)}
        result = obstore.get(self._store, self._key, options=options)
        if self._etag is not None and result.meta["e_tag"] != self._etag:
            raise ValueError("it was replaced while it was read")
        return result

    def close(self) -> None:
        """Ends the request."""
        self._chunks, self._buffer = None, memoryview(b"")
        super().close()
