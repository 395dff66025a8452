"""Time and memory of inputs that are made to stop, hang or bloat a build.

    python -m benchmarks.hostile_inputs

Each input is read in a process of its own, as a worker of `pmc2vec build` reads it: to rows of the
corpus. A row of the table is the input, its bytes, seconds of processor time, the largest resident
memory in MB, and what the funnel says of it. The first row is an ordinary article, for comparison.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import describe_machine

TEXT = "<p>Cells of the skin carry mutations. Patients had fever.</p>"


def article(body: str = TEXT * 2000, head: str = "") -> bytes:
    """Returns a JATS article."""
    meta = '<article-meta><article-id pub-id-type="pmc">7</article-id></article-meta>'
    return f"{head}<article><front>{meta}</front><body>{body}</body></article>".encode()


def tar_of(data: bytes, **fields: str) -> bytes:
    """Returns a gzipped tar of one article, with these fields of a pax header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("P/PMC7.xml")
        info.size, info.pax_headers = len(data), fields
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def header(name: str, kind: bytes, size: int) -> bytes:
    """Returns a block that heads a member of a tar."""
    block = bytearray(512)
    block[: len(name)] = name.encode()
    octal, binary = b"%011o\0" % size, b"\x80" + size.to_bytes(11)  # GNU's, for large numbers
    block[124:136] = octal if len(octal) == 12 else binary
    block[156:157], block[257:263] = kind, b"ustar\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def packed(*pieces: tuple[bytes, int]) -> bytes:
    """Returns (piece, times) one after another, gzipped, without holding them."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as target:
        for piece, times in pieces:
            for _ in range(times):
                target.write(piece)
    return file.getvalue()


def laughs() -> bytes:
    """Returns an article whose entities would expand to 10^9 words."""
    entities = "".join(
        f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9)
    )  # fmt: skip
    return article("<p>&e9;</p>", f'<!DOCTYPE article [<!ENTITY e0 "ha">{entities}]>')


def licences() -> bytes:
    """Returns an article with text that is in each of 240 licences."""
    texts = "<license_ref>" * 240 + "<b/>x" * 500_000 + "</license_ref>" * 240
    permissions = f"<permissions>{texts}</permissions></article-meta>".encode()
    return article().replace(b"</article-meta>", permissions)


MIB = 1 << 20
INPUTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "an ordinary article": ("PMC7.xml", article),
    "member time of 2^50": ("a.tar.gz", lambda: tar_of(article(), mtime=str(2**50))),
    "member time `nan`": ("a.tar.gz", lambda: tar_of(article(), mtime="nan")),
    "3,000 chained headers": (
        "a.tar.gz", lambda: packed((header("x", b"L", 2) + b"y".ljust(512, b"\0"), 3000)),
    ),
    "pax header of 2 GB": (
        "a.tar.gz", lambda: packed((header("x", b"x", 2**31), 1), (bytes(MIB), 2048)),
    ),
    "sparse map without end": (
        "a.tar.gz",
        lambda: packed((header("P/PMC7.xml", b"S", 512), 1), (b"\x01" * 512, 200_000)),
    ),
    "member of 4 GB of zeros": (
        "a.tar.gz", lambda: packed((header("P/PMC7.xml", b"0", 2**32), 1), (bytes(MIB), 4096)),
    ),
    "member of 2^62 bytes": ("a.tar.gz", lambda: packed((header("P/PMC7.xml", b"0", 2**62), 1))),
    "100,000 comments before the root": ("PMC7.xml", lambda: article(head="<!-- -->" * 100_000)),
    "20,000 unclosed CDATA": ("PMC7.xml", lambda: b"<article>" + b"<![CDATA[" * 20_000),
    "row of 1,000,000 dots": ("PMC7.xml", lambda: article(f"<p>{'.' * 1_000_000}</p>")),
    "61 MB of `<b/>`": ("PMC7.xml", lambda: article("<p>" + "<b/>" * 15_250_000 + "</p>")),
    "1,000,000 nested `<b>`": ("PMC7.xml", lambda: article("<b>" * MIB + "</b>" * MIB)),
    "500,000 `<b/>` in 240 licences": ("PMC7.xml", licences),
    "entities for 10^9 words": ("PMC7.xml", laughs),
    "2 GB of zeros as `.xml.gz`": ("PMC7.xml.gz", lambda: packed((bytes(MIB), 2048))),
    "200 MB of text without a line end": ("a.txt", lambda: b"word " * 40_000_000),
    "200 MB of text in one word": ("a.txt", lambda: b"w" * 200_000_000),
}  # fmt: skip


def read(path: str) -> None:
    """Reads an input; prints the largest resident memory in kB, and what its funnel says."""
    from beam_pipelines.inputs.work_items import work_items
    from beam_pipelines.stages.corpus_parts import PartReader, Reading
    from beam_pipelines.stages.output_folder import OutputFolder

    reader = PartReader(Reading())
    (item,) = work_items([(path, Path(path).stat().st_size)])
    output = OutputFolder(str(Path(path).parent), None)
    for _ in reader.read(item, output.heartbeat("none")):
        pass
    outcome = ", ".join(
        f"{name} {count}"
        for name, count in reader.summary.funnel.items()
        if ":" in name or name.endswith("_archive")
    )
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    kilobytes = status.partition("VmHWM:")[2].split()[0]
    print(kilobytes, outcome or "kept")


def measure(name: str, content: bytes) -> tuple[float, float, str]:
    """Returns processor seconds, peak MB and the outcome of a process that reads an input."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        output, end = os.pipe()
        program = [sys.executable, "-m", "benchmarks.hostile_inputs", str(path)]
        child = os.posix_spawn(
            sys.executable, program, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, end, 1)]
        )
        os.close(end)
        with os.fdopen(output) as stream:
            kilobytes, _, outcome = stream.read().strip().partition(" ")
        _, _, usage = os.wait4(child, 0)
        seconds = usage.ru_utime + usage.ru_stime
        return seconds, int(kilobytes) / 1000, outcome


def main() -> None:
    """Prints the table."""
    if sys.argv[1:]:
        read(sys.argv[1])
        return
    print(describe_machine(), "\n")
    print("| input | bytes | CPU seconds | MB | outcome |\n|---|---|---|---|---|")
    for title, (name, make) in INPUTS.items():
        content = make()
        seconds, megabytes, outcome = measure(name, content)
        print(f"| {title} | {len(content):,} | {seconds:.1f} | {megabytes:.0f} | {outcome} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
