"""Files of NTFS: found by their names in the file table, read as libfsntfs reads them, whatever is damaged around."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hunt.containers import _ntfs
from hunt.containers._wanted import File as Given
from hunt.containers._wanted import Rest, Wanted
from samples import ntfs_writer
from samples.ntfs_writer import CLUSTER, RECORD, Attribute, File, record_of, volume
from tests.hunt.containers.walking import walked_bytes

pyfsntfs = pytest.importorskip("pyfsntfs")

LOGS = "Windows/System32/winevt/Logs"
SECURITY = f"{LOGS}/Security.evtx"
TABLE = 4 * CLUSTER  # where the writer puts the file table
FIRST = 24  # record of the first file or folder
TIME = 133_500_000_000_000_000

_random = random.Random(4)
CONTENT = _random.randbytes(70_000)


def given(image: bytes, everything: int = 10_000) -> tuple[dict[str, bytes], list[str], list[str]]:
    """(contents by path, reasons, what was not handed on)."""
    files: dict[str, bytes] = {}
    reasons, rests = [], []
    for found in _ntfs.Volume(io.BytesIO(image), Wanted(everything), lambda: None).files({}):
        if isinstance(found, Given):
            files[found.name] = io.BufferedReader(found.open()).read()  # type: ignore[arg-type]
        elif isinstance(found, Rest):
            rests.append(found.said)
        else:
            reasons.append(found)
    return files, reasons, rests


def by_libfsntfs(image: bytes, path: str) -> bytes:
    opened = pyfsntfs.volume()
    opened.open_file_object(io.BytesIO(image))
    entry = opened.get_file_entry_by_path("\\" + path.replace("/", "\\"))
    return bytes(entry.read_buffer(entry.size))


def built(files: dict[str, bytes | File], clusters: int = 400) -> bytes:
    return volume(files, clusters, TIME)


def record_at(image: bytes, name: str) -> int:
    """Where the record of a name begins; that of the folder it lies in has it too, and comes before."""
    at = image.rindex(name.encode("utf-16-le"), TABLE, TABLE + 64 * RECORD)
    return at - (at - TABLE) % RECORD


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(File(CONTENT), id="in one piece"),
        pytest.param(File(CONTENT, fragments=5), id="in pieces, the last first"),
        pytest.param(File(CONTENT, valid=10_000), id="not written to its end"),
        pytest.param(File(b"short"), id="in the record itself"),
        pytest.param(File(b""), id="empty"),
    ],
)
def test_a_file_is_read_as_libfsntfs_reads_it(file: File) -> None:
    image = built({SECURITY: file})
    files, reasons, rests = given(image)
    assert files == {SECURITY: by_libfsntfs(image, SECURITY)}
    assert (reasons, rests) == ([], [])
    if file.valid is None:
        assert files[SECURITY] == file.content
    else:  # what lies on the disk behind it was never the file's
        assert files[SECURITY] == file.content[: file.valid] + bytes(len(file.content) - file.valid)


def test_of_a_large_volume_only_logs_and_archives_are_handed_on_by_name() -> None:
    image = built(
        {
            SECURITY: b"log",
            "Users/alice/SYSMON.EVTX": b"log",
            "Users/alice/collected.zip": b"archive",
            "Windows/System32/driver.zip": b"not collected",
            "Users/alice/AppData/Local/cache.7z": b"nor this",
            "Users/alice/report.docx": b"nor this",
            "Users/alice/evtx": b"nor this",
        }
    )
    files, reasons, rests = given(image, everything=10)
    assert sorted(files) == ["Users/alice/SYSMON.EVTX", "Users/alice/collected.zip", SECURITY]
    assert reasons == []
    assert rests == ["* (4 other files, neither event logs nor archives by name)"]
    assert sorted(given(image)[0]) == sorted(
        [*files, "Windows/System32/driver.zip", "Users/alice/AppData/Local/cache.7z", "Users/alice/report.docx",
         "Users/alice/evtx"]
    )  # fmt: skip


@pytest.mark.parametrize("length", range(128, 140))
def test_a_name_is_found_where_the_end_of_a_sector_cuts_it(length: int) -> None:
    path = f"{'x' * length}.evtx"  # its record holds other bytes at 510 and 511 than the name's
    assert given(built({path: b"log"}), everything=10)[0] == {path: b"log"}


def test_a_deleted_log_is_counted_and_not_read() -> None:
    image = built({SECURITY: File(CONTENT, deleted=True), "other.txt": b""})
    files, reasons, rests = given(image, everything=10)
    assert (files, reasons) == ({}, [])
    assert rests == ["* (1 other files, neither event logs nor archives by name; 1 deleted ones with such names)"]
    assert "1 deleted" in given(image)[2][0]


def test_a_damaged_folder_hides_no_file() -> None:
    image = bytearray(built({f"{LOGS}/{number}.evtx": b"log" for number in range(20)}))
    for at in range(0, len(image), CLUSTER):
        if image[at : at + 4] == b"INDX":
            image[at : at + CLUSTER] = bytes(CLUSTER)
    files, reasons, _ = given(bytes(image))
    assert (len(files), reasons) == (20, [])


def torn(image: bytearray, at: int) -> None:
    image[at + 510] ^= 0xFF


def bad(image: bytearray, at: int) -> None:
    image[at : at + 4] = b"BAAD"


def without_end(image: bytearray, at: int) -> None:
    struct.pack_into("<I", image, at + 0x38 + 4, 0)  # the first attribute's length


@pytest.mark.parametrize("damage", [torn, bad, without_end])
@pytest.mark.parametrize("everything", [10, 10_000])
def test_a_damaged_record_is_told_and_the_others_are_read(
    damage: Callable[[bytearray, int], None], everything: int
) -> None:
    image = bytearray(built({"first.evtx": b"one", "second.evtx": b"two", "third.evtx": b"three"}))
    damage(image, record_at(bytes(image), "second.evtx"))
    files, (reason,), _ = given(bytes(image), everything)
    assert files == {"first.evtx": b"one", "third.evtx": b"three"}
    assert reason.startswith(f"record {FIRST + 1} of the file table")


def test_a_file_whose_folder_is_lost_is_read() -> None:
    image = bytearray(built({SECURITY: b"log"}))
    at = record_at(bytes(image), "winevt")
    image[at + 16] = 9  # the record was used again
    assert given(bytes(image))[0] == {"$Orphan/Logs/Security.evtx": b"log"}


def test_folders_that_lie_in_each_other_hide_no_file() -> None:
    image = bytearray(built({SECURITY: b"log"}))
    windows, system = (record_at(bytes(image), name) for name in ("Windows", "System32"))
    struct.pack_into("<Q", image, windows + 0x98 + 24, (system - TABLE) // RECORD | 1 << 48)
    (path,) = given(bytes(image))[0]
    assert path.startswith("$Orphan/")
    assert path.endswith("winevt/Logs/Security.evtx")


def test_a_file_whose_record_goes_on_in_another_is_read() -> None:
    image = bytearray(built({SECURITY: CONTENT, "spare.evtx": b""}))
    base, more = ((record_at(bytes(image), name) - TABLE) // RECORD for name in ("Security.evtx", "spare.evtx"))
    own = image[TABLE + base * RECORD :][:RECORD]
    name = bytes(own[own.index(struct.pack("<I", 0x30), 0x38 + 0x60) + 24 :][: 0x42 + 2 * len("Security.evtx")])
    start = bytes(image).index(CONTENT[:CLUSTER]) // CLUSTER
    listed = b"".join(
        struct.pack("<IHBBQQH6x", kind, 32, 0, 26, 0, place | 1 << 48, number)
        for kind, place, number in ((0x10, base, 0), (0x30, base, 2), (0x80, more, 0))
    )
    attributes = [Attribute(0x10, bytes(72)), Attribute(0x20, listed), Attribute(0x30, name, indexed=True)]
    data = Attribute(0x80, runs=[(start, -(-len(CONTENT) // CLUSTER))], size=len(CONTENT))
    image[TABLE + base * RECORD :][:RECORD] = b""
    for number, record in (
        (base, record_of(base, attributes, 1)),
        (more, record_of(more, [data], 1, base | 1 << 48)),
    ):
        image[TABLE + number * RECORD : TABLE + (number + 1) * RECORD] = record
    assert by_libfsntfs(bytes(image), SECURITY) == CONTENT
    for everything in (10, 10_000):
        files, reasons, _ = given(bytes(image), everything)
        assert (files, reasons) == ({SECURITY: CONTENT}, [])


def test_an_encrypted_file_is_told() -> None:
    files, reasons, _ = given(built({SECURITY: File(CONTENT, flags=0x4000)}))
    assert (files, reasons) == ({}, [f"{SECURITY} is encrypted (EFS)"])


def test_a_file_that_claims_more_than_its_volume_has_is_refused(tmp_path: Path) -> None:
    image = bytearray(built({SECURITY: CONTENT, "other.evtx": b"log"}))
    at = image.index(struct.pack("<QQ", len(CONTENT), len(CONTENT)), TABLE)
    struct.pack_into("<QQ", image, at, 1 << 50, 1 << 50)
    found = walked_bytes(tmp_path, bytes(image))
    assert found.files == {"p0/other.evtx": b"log"}
    assert found.reasons == [(f"p0/{SECURITY}", f"claims {1 << 50} bytes, more than its volume has")]


def test_a_file_whose_clusters_lie_beyond_the_volume_fails(tmp_path: Path) -> None:
    image = built({SECURITY: CONTENT, "other.evtx": b"log"})
    found = walked_bytes(tmp_path, image[: image.index(CONTENT[-100:])])  # cut where the file is
    assert found.files == {"p0/other.evtx": b"log"}
    assert list(found.failed) == [f"p0/{SECURITY}"]


def test_a_volume_without_its_file_table_is_told(tmp_path: Path) -> None:
    image = bytearray(built({SECURITY: b"log"}))
    struct.pack_into("<Q", image, 48, 1 << 40)
    found = walked_bytes(tmp_path, bytes(image))
    ((place, reason),) = found.reasons
    assert (found.files, place) == ({}, "p0")
    assert reason.startswith("can't be read (on): ")


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_ends_and_is_no_crash(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    image = bytearray(built({SECURITY: File(CONTENT, fragments=4), "a.evtx": CONTENT}))
    for _ in range(choose.choice([1, 10, 200])):
        image[choose.randrange(TABLE, TABLE + 40 * RECORD)] = choose.randrange(256)
    walked_bytes(tmp_path, bytes(image))


def test_the_writer_names_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="too small"):
        ntfs_writer.volume({"a.evtx": bytes(1 << 20)}, 300, TIME)
