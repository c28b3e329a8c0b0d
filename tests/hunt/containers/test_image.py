"""Disk images: what their logs say is found as if they lay in a folder, shadow copies included; damage is told."""

from __future__ import annotations

import gzip
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hunt import evidence, pipeline, registry
from hunt.containers import image as module
from hunt.containers.image import CONTAINER
from hunt.errors import ContainerError, EvidenceError, PartOfAnotherError
from hunt.model import Opening, Problem, Report
from samples import images
from samples.evtx_writer import log_bytes, sysmon_process
from samples.ntfs_writer import volume
from tests.helpers import ROOT
from tests.hunt.containers import disks
from tests.hunt.containers.disks import fat, gpt
from tests.hunt.containers.walking import walked, walked_bytes

LOGS = "Windows/System32/winevt/Logs"
TIME = 133_500_000_000_000_000
SMALL = {f"{LOGS}/Security.evtx": b"security", f"{LOGS}/System.evtx": b"system" * 1000}
HEAD = 8192


def small(**more: bytes) -> bytes:
    """An NTFS volume."""
    return volume(SMALL | more, 400, TIME)


def members(path: Path) -> dict[str, bytes]:
    """What the container gives, all of it readable."""
    found = {}
    for member in CONTAINER.members(path, Opening()):
        assert not isinstance(member, Problem), member
        found[member.name] = member.open().read()
    return found


def run(*paths: Path) -> Report:
    return pipeline.run(pipeline.Request(paths, ["outlook-script-host"]))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed disk, unpacked."""
    path = tmp_path_factory.mktemp("image") / "cleared-sysmon.img"
    path.write_bytes(gzip.decompress((images.HERE / images.NAME).read_bytes()))
    return path


def test_the_committed_image_is_rebuilt_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert images.main(["--check"]) == 0
    assert images.main(["--check", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{images.NAME}: missing\n"
    assert images.main(["--out", str(tmp_path)]) == 0
    (tmp_path / images.NAME).write_bytes(gzip.compress(b"other"))
    assert images.main(["--check", "--out", str(tmp_path)]) == 1


def test_a_cleared_log_is_found_in_the_shadow_copy(sample: Path) -> None:
    before = sample.stat()
    report = run(sample)
    assert report.problems == ()
    assert report.findings["host"].to_list() == ["WS-IMAGE.contoso.example"]
    assert report.findings["sources"].to_list() == [[f"cleared-sysmon.img!p1@vss1/{images.SYSMON}"]]
    # Security.evtx did not change between the copy and now: it is read once.
    assert [tally.evidence.source.partition("!")[2] for tally in report.tallies] == [
        f"p1/{images.LOGS}/Security.evtx",
        f"p1/{images.SYSMON}",
        f"p1/{images.LOGS}/System.evtx",
        f"p1@vss1/{images.SYSMON}",
    ]
    assert report.tallies[3].evidence.modified == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert sample.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.skipif(not shutil.which("mke2fs"), reason="needs mke2fs (e2fsprogs)")
def test_logs_on_ext4_give_the_findings_of_their_folder(tmp_path: Path, samples: Path) -> None:
    shutil.copytree(samples / "logs", tmp_path / "in" / "collected" / "logs")
    made = tmp_path / "disk.img"
    command = ["mke2fs", "-q", "-t", "ext4", "-d", str(tmp_path / "in"), str(made), "8M"]
    subprocess.run(command, check=True, capture_output=True)
    ours, folder = run(made), run(samples / "logs")
    assert ours.findings["finding_id"].to_list() == folder.findings["finding_id"].to_list()
    assert len(folder.findings) > 30
    assert ours.problems == folder.problems
    assert {source.partition("/")[0] for row in ours.findings["sources"] for source in row} == {"disk.img!p0"}


def test_an_e01_in_three_segments_is_one_image(sample: Path, tmp_path: Path) -> None:
    segments = disks.write_e01(tmp_path / "case.E01", sample.read_bytes(), segments=3)
    for report in (run(tmp_path), run(*segments)):  # in a folder, and named as by case.E*
        assert report.problems == ()
        assert report.findings["sources"].to_list() == [[f"case.E01!p1@vss1/{images.SYSMON}"]]
        assert report.skipped == ("case.E02", "case.E03")


@pytest.mark.parametrize("packed", [True, False])
def test_an_e01_is_read_as_libewf_reads_it(tmp_path: Path, packed: bool) -> None:
    pyewf = pytest.importorskip("pyewf")
    content = images.partitioned(small())
    segments = disks.write_e01(tmp_path / "case.E01", content, segments=2, packed=packed)
    oracle = pyewf.handle()
    oracle.open([str(path) for path in segments])
    assert oracle.read(len(content)) == content
    oracle.close()
    assert members(segments[0]) == {f"p1/{name}": data for name, data in SMALL.items()}


def test_a_missing_segment_is_told(tmp_path: Path) -> None:
    disks.write_e01(tmp_path / "case.E01", images.partitioned(small()), segments=3)
    (tmp_path / "case.E03").unlink()
    found = list(CONTAINER.members(tmp_path / "case.E01", Opening()))
    reasons = [entry.reason for entry in found if isinstance(entry, Problem)]
    assert reasons[0] == "segment 3 is missing or case.E02 is cut: what lies there is not read"
    (tmp_path / "case.E01").unlink()
    with pytest.raises(ContainerError, match="is segment 2 of an image whose first does not lie beside it"):
        list(CONTAINER.members(tmp_path / "case.E02", Opening()))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("disk.vmdk", disks.write_vmdk_flat),
        ("disk.vmdk", disks.write_vmdk_sparse),
        ("disk.vhdx", disks.write_vhdx),
        ("disk.vhd", disks.write_vhd),
        ("disk.qcow2", disks.write_qcow2),
    ],
)
def test_virtual_disks_are_read(tmp_path: Path, name: str, write: Callable[[Path, bytes], Path]) -> None:
    path = write(tmp_path / name, images.partitioned(small()))
    assert CONTAINER.accepts(path.read_bytes()[:HEAD])
    assert walked(path).files == {f"p1/{name}": content for name, content in SMALL.items()}


def test_the_parts_of_a_virtual_disk_are_read_with_it_alone(tmp_path: Path) -> None:
    disks.write_vmdk_flat(tmp_path / "disk.vmdk", images.partitioned(small()))
    with pytest.raises(PartOfAnotherError, match=r"is read with disk\.vmdk"):
        list(CONTAINER.members(tmp_path / "disk-flat.vmdk", Opening()))


def test_a_part_that_is_named_without_what_it_is_read_with_is_a_problem(tmp_path: Path, samples: Path) -> None:
    whole = disks.write_vmdk_flat(tmp_path / "disk.vmdk", images.partitioned(small()))
    part, log = tmp_path / "disk-flat.vmdk", samples / "logs" / "security.evtx"
    with evidence.collect([part, log], registry.parsers(), registry.containers()) as collected:
        (problem,) = collected.problems
        assert (problem.source, problem.reason) == ("disk-flat.vmdk", "is read with disk.vmdk, which is to be named")
        assert collected.skipped == ()
    with evidence.collect([part, log, whole], registry.parsers(), registry.containers()) as collected:
        assert collected.skipped == ("disk-flat.vmdk",)
        assert "disk-flat.vmdk" not in {problem.source for problem in collected.problems}


def test_a_raw_image_in_pieces_is_one(tmp_path: Path) -> None:
    content = images.partitioned(small())
    for number in range(3):
        share = -(-len(content) // 3)
        (tmp_path / f"disk.{number + 1:03}").write_bytes(content[number * share : (number + 1) * share])
    assert walked(tmp_path / "disk.001").files == {f"p1/{name}": data for name, data in SMALL.items()}


def test_every_volume_of_a_disk_is_read(tmp_path: Path) -> None:
    content = gpt(small(), fat({"Logs/a.evtx": b"stick"}), bytes(1 << 20))  # the last was never formatted
    found = walked_bytes(tmp_path, bytes(content))
    assert found.files == {f"p1/{name}": data for name, data in SMALL.items()} | {"p2/Logs/a.evtx": b"stick"}
    assert (found.reasons, found.failed) == ([], {})


def marked(offset: int, magic: bytes) -> bytes:
    content = bytearray(b"\x01" * (1 << 17))
    content[offset : offset + len(magic)] = magic
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (marked(3, b"-FVE-FS-"), "is encrypted with BitLocker, nothing of it is read"),
        (
            marked(424, bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")),
            "is encrypted with BitLocker, nothing of it is read",
        ),
        (marked(0, b"LUKS\xba\xbe"), "is encrypted with LUKS, nothing of it is read"),
        (marked(3, b"ReFS\0\0\0\0"), "its file system is ReFS, nothing of it is read"),
        (marked(0, b""), "its file system is not known, nothing of it is read"),
        pytest.param(
            bytes(1 << 17) + fat({"a.evtx": b"log"})[1 << 17 :] + b"\x01" * 512,
            "its file system is not known, nothing of it is read",
            id="its begin is wiped",
        ),
    ],
)
def test_a_volume_that_is_not_read_is_told_and_the_others_are(tmp_path: Path, content: bytes, said: str) -> None:
    found = walked_bytes(tmp_path, bytes(gpt(content, small())))
    assert set(found.files) == {f"p2/{name}" for name in SMALL}
    assert found.reasons == [("p1", said)]


def ext4(folder: Path) -> bytes:
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(folder / "ext"), "1M"], check=True, capture_output=True)
    return (folder / "ext").read_bytes()


@pytest.mark.parametrize(
    "whole",
    [
        lambda _: small(),
        lambda _: fat({"a.evtx": b"log"}),
        lambda _: fat({"a.evtx": b"log"}, bits=32),
        lambda _: disks.exfat({"a.evtx": b"log"}, chained=True),
        pytest.param(ext4, marks=pytest.mark.skipif(not shutil.which("mke2fs"), reason="needs mke2fs (e2fsprogs)")),
    ],
    ids=["ntfs", "fat16", "fat32", "exfat", "ext4"],
)
def test_a_volume_that_is_cut_is_told(tmp_path: Path, whole: Callable[[Path], bytes]) -> None:
    content = whole(tmp_path)
    assert walked_bytes(tmp_path, content).reasons == []
    (place, reason), *_ = walked_bytes(tmp_path, content[: len(content) * 3 // 4]).reasons
    assert (place, reason) == ("", "its volume reaches beyond the end of the image, what is there is read")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"EVF2\x0d\x0a\x81\x00", "is an Ex01"),
        (b"LVF\x09\x0d\x0a\xff\x00", "is logical evidence"),
        (b"ADSEGMENTEDFILE", "is an AD1"),
    ],
)
def test_an_image_that_is_not_read_is_told(tmp_path: Path, head: bytes, said: str) -> None:
    path = tmp_path / "case.bin"
    path.write_bytes(head.ljust(1000, b"\0"))
    assert CONTAINER.accepts(path.read_bytes())
    with pytest.raises(ContainerError, match=said):
        list(CONTAINER.members(path, Opening()))


def vmdk(extent: str, parent: str = "ffffffff", hint: str = "") -> str:
    return (
        f'# Disk DescriptorFile\nversion=1\nCID=1\nparentCID={parent}\nparentFileNameHint="{hint}"\n'
        f'createType="monolithicFlat"\n{extent}\n'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (vmdk('RW 100 FLAT "../secret.img" 0'), "does not lie beside it"),
        (vmdk('RW 100 FLAT "/etc/passwd" 0'), "does not lie beside it"),
        (vmdk('RW 100 FLAT "gone.vmdk" 0'), "does not lie beside it"),
        (vmdk('RW 100 FLAT "disk.vmdk" 0', "12345678", "/etc/passwd"), "is a snapshot; the disk it stands on"),
        (vmdk('RW 100 FLAT "disk.vmdk" 0', "12345678", "disk.vmdk"), "more than 16 snapshots"),
        (vmdk("RW 100 ZERO"), "with such an extent is not read"),
        (vmdk('RW 100 FLAT "disk.vmdk" 64'), "with such an extent is not read"),
    ],
)
def test_a_vmdk_leads_nowhere_but_to_its_folder(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "case" / "disk.vmdk"
    path.parent.mkdir()
    (tmp_path / "secret.img").write_bytes(images.partitioned(small()))
    path.write_text(text)
    with pytest.raises(ContainerError, match=said):
        walked(path)


def test_an_unreadable_stretch_costs_what_lies_there(tmp_path: Path) -> None:
    (path,) = disks.write_e01(tmp_path / "case.E01", images.partitioned(small()))
    content = bytearray(path.read_bytes())
    system = small().index(b"system" * 100) + (1 << 20)  # byte of the disk
    table = content.rindex(b"table\0")
    (entry,) = struct.unpack_from("<I", content, table + 76 + 24 + 4 * (system // 32768))
    content[(entry & 0x7FFFFFFF) + 2 : (entry & 0x7FFFFFFF) + 20] = bytes(18)
    path.write_bytes(content)
    names, failed = [], []
    for member in CONTAINER.members(path, Opening()):
        assert not isinstance(member, Problem)
        try:
            member.open().read()
            names.append(member.name)
        except OSError as error:
            failed.append((member.name, str(error)))
    assert names == [f"p1/{LOGS}/Security.evtx"]
    ((name, said),) = failed
    assert name == f"p1/{LOGS}/System.evtx"
    assert "can't be read at" in said


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_of_a_disk_ends_and_is_no_crash(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    content = bytearray(images.disk())
    begin = 2048 * 512
    for _ in range(choose.choice([5, 50, 500])):
        content[choose.choice([choose.randrange(512), begin + choose.randrange(1 << 21)])] = choose.randrange(256)
    try:
        walked_bytes(tmp_path, bytes(content))
    except ContainerError:
        assert content[510:512] != b"\x55\xaa"


def test_archives_in_an_image_are_opened_as_well(tmp_path: Path) -> None:
    events = [sysmon_process(Image=r"C:\Windows\explorer.exe", time="2026-03-02 08:15:00")]
    packed = tmp_path / "collected.zip"
    shutil.make_archive(str(packed.with_suffix("")), "zip", _folder_with(tmp_path, log_bytes(events)))
    path = tmp_path / "disk.img"
    path.write_bytes(volume({"Users/alice/collected.zip": packed.read_bytes()}, 400, TIME))
    (tally,) = run(path).tallies
    assert tally.evidence.source == "disk.img!p0/Users/alice/collected.zip!Sysmon.evtx"


def _folder_with(tmp_path: Path, log: bytes) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "Sysmon.evtx").write_bytes(log)
    return folder


def test_without_the_extra_one_line_says_how_to_get_it(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIBRARIES", ("not_there",))
    with pytest.raises(EvidenceError, match=r"is a disk image; to read it: pip install 'evtx-hunt\[images\]'"):
        run(sample)
    report = run(sample.parent, ROOT / "samples" / "logs" / "security.evtx")
    assert [problem.source.rpartition("/")[2] for problem in report.problems] == ["cleared-sysmon.img"]
    assert len(report.tallies) == 1


def test_nothing_that_reads_images_is_imported_before_an_image_is_met() -> None:
    code = (
        "import sys; from hunt import registry; registry.containers(); "
        "print([name for name in sys.modules if name.split('.')[0] in ('dissect', 'numpy')"
        " or name in ('multiprocessing', 'hunt.containers._walk', 'hunt.containers._sandbox')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["evtx", "zip", "text", "random", "zeros", "boot code"])
def test_other_files_are_no_images(kind: str, samples: Path) -> None:
    heads = {
        "evtx": (samples / "logs" / "security.evtx").read_bytes(),
        "zip": b"PK\x03\x04" + bytes(8000),
        "text": b"what is this\n" * 800,
        "random": random.Random(7).randbytes(HEAD),
        "zeros": bytes(HEAD),
        "boot code": random.Random(8).randbytes(446) + bytes(64) + b"\x55\xaa" + bytes(HEAD),
    }
    assert not CONTAINER.accepts(heads[kind][:HEAD])
    assert CONTAINER in registry.containers()
