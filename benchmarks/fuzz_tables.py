"""Fuzz the table readers: every input must be read or rejected in one line; a traceback or a crash is a fault.

    python -m benchmarks.fuzz_tables [--inputs N] [--first I]

Input number I is always the same: one of the samples below, damaged by a generator seeded with I (one in eight is made
of random bytes or characters). A child process reads them, so that even the death of a process is seen and counted; it
may take 4 GiB of memory and, for an input, 30 seconds of the processor. Exit code 1 where anything but a table or a
TableError came out.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import lzma
import pickle
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from contextlib import closing
from functools import cache
from pathlib import Path
from random import Random

FOREIGN = 100_000
"""Inputs from this number on are files of other programs, and texts as people write them."""
MEMORY = 4 << 30
SECONDS = 30
ALPHABET = ",;\t|\n\r\"' .0123456789-+eENAabczé?\ufeff\0\u2028"
MARKS = (
    b"",
    b"\0",
    b"\xff",
    b'"',
    b"'",
    b"\n",
    b"\r",
    b",",
    b";",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x7f\xff\xff\xff",
    b"9" * 400,
)


def main() -> None:
    """Read the inputs in child processes, and print the results."""
    options = _options()
    if options.worker:
        _work(options.first, options.inputs, Path(options.worker))
        return
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        first, last = options.first, options.first + options.inputs
        while first < last:
            first += _child(first, last - first, scratch, outcomes)
    faults = {what: n for what, n in outcomes.items() if what not in ("read", "refused")}
    read, refused = outcomes["read"], outcomes["refused"]
    print(f"{options.inputs} inputs: {read} read, {refused} refused, {sum(faults.values())} faults")
    for what, count in faults.items():
        print(f"  {count} x {what}")
    sys.exit(bool(faults))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _child(first: int, inputs: int, scratch: str, outcomes: Counter[str]) -> int:
    """Let a child read inputs until it is done or dies; returns how many it has read."""
    words = [sys.executable, "-m", __spec__.name, "--worker", scratch, "--first", str(first), "--inputs", str(inputs)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    outcomes.update(lines)
    if done.returncode and len(lines) < inputs:
        outcomes[f"death of the process with {done.returncode} at --first {first + len(lines)}"] += 1
        return len(lines) + 1
    return max(len(lines), 1)


def _work(first: int, inputs: int, scratch: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in range(first, first + inputs):
        # processor time, because wall-clock time depends on other processes
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        name, content = damaged(number)
        path = scratch / name
        path.write_bytes(content)
        try:
            said = outcome(path)
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            line = (str(error).splitlines() or [""])[0][:100]
            said = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno} ({line}), as --first {number}"
        path.unlink()
        print(said, flush=True)


def outcome(path: Path) -> str:
    """`read` or `refused`; any other exception is a fault, and so is an error of more than one line."""
    from unstuck.tabular.tables import TableError, read

    try:
        for batch in read(path).batches(64):
            batch.validate(full=True)
            batch.to_pydict()
    except TableError as error:
        if not str(error).isprintable() or len(str(error)) > 600 + len(str(path)):
            raise RuntimeError(f"a refusal that is no line: {error!r}") from None
        return "refused"
    return "read"


def damaged(number: int) -> tuple[str, bytes]:
    """A file name and content, reproducible by number."""
    random = Random(number)
    if number % 8 == 7:
        name = random.choice(["t.csv", "t.tsv", "t.txt", "t"])
        size = random.choice([1, 5, 50, 500])
        if random.random() < 0.3:
            return name, random.randbytes(size)
        return name, "".join(random.choices(ALPHABET, k=size)).encode(random.choice(["utf-8", "utf-16", "utf-16-le"]))
    known = samples() if number < FOREIGN else foreign()
    name = random.choice(sorted(known))
    content = known[name]
    if name.endswith(".gz") and random.random() < 0.5:
        return name, gzip.compress(damage(random, gzip.decompress(content)), mtime=0)
    return name, damage(random, content)


def damage(random: Random, content: bytes) -> bytes:
    """The content with one to four mutations."""
    for _ in range(random.randint(1, 4)):
        content = _damage_once(random, content)
    return content


def _damage_once(random: Random, content: bytes) -> bytes:
    at, length = random.randint(0, len(content)), random.choice([1, 2, 8, 100])
    before, part, after = content[:at], content[at : at + length], content[at + length :]
    match random.randrange(7):
        case 0:
            return before
        case 1:
            return before + after
        case 2:
            return before + part + part + after
        case 3:
            return before + random.choice(MARKS) + part + after
        case 4:
            return before + random.randbytes(len(part)) + after
        case 5:
            return before + bytes(byte ^ (1 << random.randrange(8)) for byte in part) + after
        case _:
            other = random.randint(0, len(content))
            return before + content[other : other + length] + after


@cache
def samples() -> dict[str, bytes]:
    """Valid files by name: every format, small enough that mutations hit the structure."""
    return {**_texts(), **_typed(), "data_batch_1": pickle.dumps({"data": bytes(2 * 3072), "labels": [3, 7]}, 3)}


@cache
def foreign() -> dict[str, bytes]:
    """More valid files by name: files of other programs, and texts as people write them."""
    rows = [
        (f"{i % 28 + 1:02d}/{i % 12 + 1:02d}/2020", f"${1000 + i * 37.5:,.2f}", f"{i}k", f"{i / 7:.1f}%", f"w{i % 3}")
        for i in range(40)
    ]
    names = ("day", "price", "sales", "share", "word")
    lines = "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows)
    people = f"A title\n# a comment\n{','.join(names)}\n{lines}".encode()
    objects = [dict(zip(names, row, strict=True)) | {"n": {"a": i, "b": None}} for i, row in enumerate(rows)]
    blanks = "".join(f"{i}.5   {i}  w{i % 3}\n" for i in range(30)).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("t.csv", people)
    return {
        "people.csv": people,
        "months.csv": "".join(
            f"{i % 28 + 1} Dec 20{i:02d} 3:{i:02d} PM;1.234,{i:02d} €\n" for i in range(10, 40)
        ).encode(),
        "spaced.csv": people.replace(b',"', b', "'),
        "blanks.dat": blanks,
        "t.zip": packed.getvalue(),
        "t.csv.xz": lzma.compress(people),
        "t.json": json.dumps({"rows": objects}, indent=1).encode(),
        "t.jsonl": "\n".join(map(json.dumps, objects)).encode(),
        **_databases(names, rows),
    }


def _databases(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> dict[str, bytes]:
    import openpyxl

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "t.sqlite")
        with closing(sqlite3.connect(file)) as opened, opened:
            opened.execute(f"create table t ({', '.join(names)})")
            opened.executemany("insert into t values (?, ?, ?, ?, ?)", rows)
        content = file.read_bytes()
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in (names, *rows):
        book.active.append(row)
    book.save(out)
    return {"t.sqlite": content, "t.xlsx": out.getvalue()}


def _texts() -> dict[str, bytes]:
    rows = "".join(
        f"{i};{i / 7:.4f};w{i % 3};2024-01-{i % 28 + 1:02d};{'true' if i % 2 else 'false'}\n" for i in range(40)
    )
    quoted = "".join(f'{i},"a ""b"" {i}","x\ny","1,{i % 10}00"\n' for i in range(30))
    return {
        "plain.csv": f"id;share;word;day;yes\n{rows}".encode(),
        "comma.csv": f"id;share;word;day;yes\n{rows}".replace(".", ",").encode(),
        "quoted.csv": f"id,text,lines,thousands\n{quoted}".encode(),
        "names.tsv": "a\tb\n1\tNA\n?\té\n3\t-\n".encode(),
        "wide.txt": "größe|name\n1|Zoë\n2|Ñu\n".encode("utf-16"),
        "latin.csv": "größe;name\n1;Zoë\n2;Ñu\n".encode("cp1252"),
        "packed.csv.gz": gzip.compress(f"id;share;word;day;yes\n{rows}".encode(), mtime=0),
    }


def _typed() -> dict[str, bytes]:
    import pyarrow as pa
    from pyarrow import ipc, parquet

    table = pa.table(
        {
            "n": pa.array(range(50)),
            "x": pa.array([i / 3 if i % 5 else None for i in range(50)]),
            "t": pa.array([f"word {i % 4}" for i in range(50)]),
            "c": pa.array([f"class {i % 2}" for i in range(50)]).dictionary_encode(),
            "b": pa.array([bool(i % 2) for i in range(50)]),
            "d": pa.array([i * 86_400_000 for i in range(50)], pa.timestamp("ms")),
        }
    )
    pictures = pa.table(
        {"img": [{"bytes": _picture(i), "path": f"{i}.png"} for i in range(6)], "label": list(range(6))}
    )
    made: dict[str, bytes] = {}
    for name, data, compression in (
        ("plain", table, "none"),
        ("zstd", table, "zstd"),
        ("pictures", pictures, "snappy"),
    ):
        out = io.BytesIO()
        parquet.write_table(data, out, compression=compression)
        made[f"{name}.parquet"] = out.getvalue()
    for name, new in (("plain.arrow", ipc.new_file), ("plain.arrows", ipc.new_stream)):
        for prefix, options in (("", None), ("lz4-", ipc.IpcWriteOptions(compression="lz4"))):
            out = io.BytesIO()
            with new(out, table.schema, options=options) as writer:
                writer.write_table(table, max_chunksize=20)
            made[prefix + name] = out.getvalue()
    return made


def _picture(value: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (6, 5), (value, 50, 200)).save(out, "PNG" if value % 2 else "JPEG")
    return out.getvalue()


if __name__ == "__main__":
    main()
