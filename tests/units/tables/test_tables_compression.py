"""Compressed inputs and outputs: the same rows as without, in bounded memory, or one line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.errors import InputError, ScorerError, UsageError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.tables import Source, open_reader
from scorer.tables.compression import COMPRESSIONS, ZIP, Compression
from tests.support.parrot import parrot
from tests.support.settings import settings_of

CSV = b'n,text\n007,good\n8,"bad,\nfilm"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def score(name: str, output: str | None = None) -> Path:
    (job,) = plan([name], output).jobs
    score_table(parrot(), job, settings_of())
    return Path(job.output_name)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def plain_zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, "zstd", asbytes=True))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": plain_zstd,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: zipped({"rows.csv": data}),
}
DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda data: pa.input_stream(io.BytesIO(data), compression="zstd").read(),
    "bzip2": bz2.decompress,
    "xz": lzma.decompress,
    "zip": lambda data: data,  # never written
}


def unpacked(path: Path, compression: Compression) -> bytes:
    return DECOMPRESS[compression.name](path.read_bytes())


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=str)
def test_compressed_rows_are_scored_like_others(compression: Compression) -> None:
    Path("in.csv").write_bytes(CSV)
    wanted = score("in.csv").read_bytes()
    packed = COMPRESS[compression.name](CSV)
    for suffix in compression.suffixes:
        Path(f"in.csv{suffix}").write_bytes(packed)
        Path("in.scored.csv").unlink(missing_ok=True)
        found = score(f"in.csv{suffix}")
        assert found.name == f"in.scored.csv{suffix if compression.compress else ''}"
        assert unpacked(found, compression) == wanted
    Path("noname").write_bytes(packed)
    assert unpacked(score("noname"), compression) == wanted


@pytest.mark.parametrize("compression", COMPRESSIONS, ids=str)
def test_what_is_cut_off_or_damaged_is_one_line(compression: Compression) -> None:
    rows = b"n,text\n" + b"".join(b"%d,good film %d\n" % (i, i * i) for i in range(5000))
    packed = COMPRESS[compression.name](rows)
    for name, data in {"cut": packed[:-200], "torn": packed[:300] + packed[301:]}.items():
        Path(f"{name}.csv").write_bytes(data)
        with pytest.raises(InputError, match=f"^{name}.csv: "):
            score(f"{name}.csv", "out.csv")
    assert not Path("out.csv").exists()


def test_streams_one_after_another_are_one_file() -> None:
    for name, compress in COMPRESS.items():
        if name == "zip":
            continue
        Path("in.csv").write_bytes(compress(CSV[:15]) + compress(CSV[15:]))
        assert score("in.csv", f"{name}.csv").read_bytes().count(b"\n") == 4
    reader, _ = open_reader(Source("in.csv", lambda: io.BytesIO(lzma.compress(CSV))))
    stream = reader._stream  # type: ignore[attr-defined]
    assert (stream.read(), stream.read(), stream.read(1)) == (CSV[7:], b"", b"")
    reader.close()
    Path("in.csv").write_bytes(lzma.compress(CSV[:15]) + b"\0" * 8 + lzma.compress(CSV[15:]))
    assert score("in.csv", "padded.csv").read_bytes().count(b"\n") == 4


def test_an_archive_tells_the_format_by_its_file() -> None:
    Path("reviews.zip").write_bytes(zipped({"deep/": b"", "deep/r.tsv": b"n\ttext\n1\ta, b\n"}))
    written = score("reviews.zip").read_bytes()
    assert written.startswith(b"n\ttext\tprediction\tprobability\n1\ta, b\t")


def test_what_macos_adds_to_an_archive_is_no_second_file() -> None:
    data = zipped({"in.csv": CSV, "__MACOSX/._in.csv": b"x", ".DS_Store": b"y"})
    Path("in.csv.zip").write_bytes(data)
    assert score("in.csv.zip").name == "in.scored.csv"


def test_an_archive_from_a_pipe() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    reader, found = open_reader(Source("stdin", lambda: Pipe(zipped({"in.csv": CSV}))))
    assert found.compression is ZIP
    assert sum(window.rows for window in reader.windows("text")) == 2
    reader.close()


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "several": (
        zipped({f"{i}.csv": CSV for i in range(5)}),
        "with 5 files (0.csv, 1.csv, 2.csv, ...), where one is expected: unpack it",
    ),
    "none": (zipped({}), "with no file, where one is expected: unpack it"),
    "lzma": (
        zipped({"a.csv": CSV}, zipfile.ZIP_LZMA),
        "a.csv in it is compressed in another way than zip's usual",
    ),
    "encrypted": (
        zipped({"a.csv": CSV}).replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
        "a.csv in it is encrypted",
    ),
    "cut": (zipped({"a.csv": CSV * 99})[:-9], "a zip archive that cannot be read"),
    "endless list": (
        zipped({f"{i:0>400}": b"" for i in range(3000)}),
        "its list of files is too long",
    ),
    "parquet": (b"", "a Parquet file inside zip: decompress it first"),
}


@pytest.mark.parametrize("archive", ARCHIVES)
def test_an_archive_that_is_not_read_says_why(archive: str) -> None:
    data, message = ARCHIVES[archive]
    if archive == "parquet":
        stream = io.BytesIO()
        pq.write_table(pa.table({"text": ["a"]}), stream)
        data = zipped({"in.parquet": stream.getvalue()})
    Path("in.zip").write_bytes(data)
    with pytest.raises(InputError, match=re.escape(message)):
        score("in.zip", "out.csv")


OPENED = """
from pathlib import Path
from scorer.errors import InputError
from scorer.tables import local_source, open_reader
try:
    open_reader(local_source(Path("in.zip")))
except InputError as error:
    print(error)
"""


def test_a_refused_archive_leaves_nothing_half_made() -> None:
    """Python 3.13 tells on stderr what fails when an object is freed; earlier ones with -X dev."""
    Path("in.zip").write_bytes(zipped({}))
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-c", OPENED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("in.zip: a zip archive")
    assert done.stderr == ""


# --- names of outputs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.xlsx", ".xlsx files cannot be written: use the suffix .csv, .tsv, "),
        ("out.txt", ".txt files cannot be written"),
        ("out.csv.lz4", ".lz4 files cannot be written"),
        ("out.xlsx.gz", ".xlsx files cannot be written"),
        ("out.csv.zip", "zip is read but not written: leave .zip out, or use .gz, "),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(output: str, message: str) -> None:
    Path("in.csv").write_bytes(CSV)
    with pytest.raises(UsageError, match=re.escape(f"{output}: {message}")) as refused:
        plan(["in.csv"], output)
    assert refused.value.exit_code == 2


def test_an_output_without_a_suffix_is_as_its_input() -> None:
    Path("in.tsv.gz").write_bytes(gzip.compress(b"n\ttext\n1\ta\n"))
    assert gzip.decompress(score("in.tsv.gz", "out").read_bytes()).startswith(b"n\ttext\tpred")
    Path("in.txt").write_bytes(CSV)
    assert score("in.txt").name == "in.scored.txt"
    assert score("in.txt", "mine.txt").read_bytes().startswith(CSV[:6])
    assert gzip.decompress(score("in.txt", "out.gz").read_bytes()).startswith(CSV[:6])


# --- bombs ---------------------------------------------------------------------------------------

BOMB_BYTES = 192 << 20


def endless_line(compressor: Any) -> bytes:
    """A CSV whose first record is endless."""
    parts = [compressor.compress(b"n,text\n1,ok\n2,")]
    parts += [compressor.compress(b"x" * (1 << 22)) for _ in range(BOMB_BYTES >> 22)]
    return b"".join([*parts, compressor.flush()])


def large_dictionary() -> bytes:
    """An xz file whose header asks for 3 GiB of memory."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 28}]
    data = lzma.compress(CSV, filters=filters)
    header = bytearray(data[12:24])
    header[4] = 39  # the dictionary's size: 3 GiB
    header[8:12] = zlib.crc32(header[:8]).to_bytes(4, "little")
    return data[:12] + bytes(header) + data[24:]


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "bz2": (lambda: endless_line(bz2.BZ2Compressor()), "2"),
    "xz": (lambda: endless_line(lzma.LZMACompressor(preset=0)), "2"),
    "xz that wants memory": (large_dictionary, "xz: Memory usage limit exceeded"),
    "zip": (lambda: zipped({"a.csv": b"n,text\n1,ok\n2," + b"x" * BOMB_BYTES}), "2"),
}

READ = """
import re, sys
from pathlib import Path
from scorer.errors import InputError
from scorer.tables import local_source, open_reader
from scorer.tables.text.fields import prepare_loops

def megabytes(name):
    return int(re.search(name + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

prepare_loops()
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = megabytes("VmRSS")
try:
    reader, _ = open_reader(local_source(Path(sys.argv[1])))
    print(sum(window.rows + len(window.rejects) for window in reader.windows("text")))
except InputError as error:
    print(error)
print(megabytes("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak on Linux")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_takes_little_memory(bomb: str) -> None:
    """Beyond what the program has loaded and compiled: less than the bomb unpacks to."""
    make, told = BOMBS[bomb]
    Path("in.csv").write_bytes(make())
    ended = subprocess.run(
        [sys.executable, "-c", READ, "in.csv"], capture_output=True, text=True, check=True
    )
    said, taken = ended.stdout.splitlines()
    assert told in said
    assert int(taken) < 180


# --- kinds of files that are not read ------------------------------------------------------------

FOREIGN: dict[str, tuple[bytes, str]] = {
    "ods": (
        zipped({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet"}, 0),
        "is an OpenDocument spreadsheet",
    ),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "is an old Excel workbook"),
    "sqlite": (b"SQLite format 3\0" + bytes(84), "is an SQLite database"),
    "duckdb": (bytes(8) + b"DUCK" + bytes(50), "is a DuckDB database"),
    "avro": (b"Obj\x01\x04\x16avro.schema", "is an Avro file"),
    "feather": (b"FEA1" + bytes(40), "is a Feather file of the old version 1"),
    "h5": (b"\x89HDF\r\n\x1a\n\0\0", "is an HDF5 file"),
    "npy": (b"\x93NUMPY\x01\0", "is a NumPy array"),
    "pkl": (b"\x80\x04\x95\x1e", "is a Python pickle"),
    "tar": (b"in.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), "is a tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "is a 7z archive"),
    "html": (b"\n <!DOCTYPE html><html>", "is a web page (HTML)"),
    "pdf": (b"%PDF-1.7\n", "is a PDF document"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("suffix", ["own", "csv", "jsonl", "parquet", "none", "csv.gz"])
def test_other_files_are_named_as_what_they_are(kind: str, suffix: str) -> None:
    data, message = FOREIGN[kind]
    name = {"own": f"in.{kind}", "none": "in"}.get(suffix, f"in.{suffix}")
    Path(name).write_bytes(gzip.compress(data) if suffix == "csv.gz" else data)
    with pytest.raises(InputError, match=re.escape(f"{name}: {message}")):
        score(name, "out.csv")


@pytest.mark.parametrize("start", ["Obj", "ORC", "DUCK", "FEA1", "BZh9", "PK", "7z", "RDX3"])
def test_a_column_may_be_named_like_another_format(start: str) -> None:
    Path("in.csv").write_text(f"{start},text\n1,good\n")
    assert score("in.csv").read_text().startswith(f"{start},text,prediction")
    Path("in2.csv").write_text(f"{start}\ntext\n")
    with pytest.raises(ScorerError, match="no column 'text'"):
        score("in2.csv")
