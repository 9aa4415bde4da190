"""put --pack: what comes into packs, read back by GNU tar and bsdtar; the second run; kills; what cannot be read."""
import os
import shutil
import subprocess
import threading
import time

from harness import LONG, Link, as_nobody, case, check, equal, journalled, keys, main, make_tree, random_of, read, \
    same_trees, scan, set_age, temporaries, write

MIB = 1 << 20
KILLS = 100 if LONG else 6
HUGE = 9 << 30 if LONG else 400 << 20


def unpack(pack, target, program="tar"):
    os.makedirs(target, exist_ok=True)
    subprocess.run([program, "-xpf", pack, "-C", target], check=True)


def packs_of(store):
    """Oldest first."""
    found = [path for path in store.rglob("*.tar.zst")] + [path for path in store.rglob("*.tar")]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def restored(it, program="tar", store="store", out="out"):
    """The tree again: all packs, and the objects of their own."""
    target = it / out
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    packs = packs_of(it / store)
    for pack in packs:
        unpack(pack, target, program)
    for path in (it / store).rglob("*"):
        if path.is_file() and path not in packs and not path.name.endswith(".index"):
            rel = path.relative_to(it / store)
            os.makedirs((target / rel).parent, exist_ok=True)
            if path.suffix == ".rclonelink":
                os.symlink(read(path), os.fsencode(target / rel.with_suffix("")))
                os.utime(target / rel.with_suffix(""), ns=(path.stat().st_mtime_ns,) * 2, follow_symlinks=False)
            else:
                shutil.copy2(path, target / rel)
    for directory in (it / "src").rglob("*"):  # what the objects of their own left behind
        if directory.is_dir() and not directory.is_symlink() and (target / directory.relative_to(it / "src")).is_dir():
            shutil.copystat(directory, target / directory.relative_to(it / "src"))
    return target


def names_in(pack):
    return sorted(subprocess.run(["bsdtar", "-tf", pack], check=True, capture_output=True, text=True).stdout.split())


def sources(it, dice):
    content = {f"cam{cam}/{day:02}/img{number:03}.jpg": dice.randbytes(dice.randrange(3000))
               for cam in range(3) for day in range(3) for number in range(20)}
    content |= {f"cam1/log{number}.txt": b"all is well\n" * dice.randrange(2000) for number in range(10)}
    content |= {"top.txt": b"top", "cam0/link": Link("../top.txt"), "cam2/empty-file": b"",
                "cam2/" + "long" * 50 + "/" + "name" * 40: b"long", b"cam2/n\xc3\xa4me": b"utf", b"cam2/\xff\xfe": b"bytes"}
    make_tree(it / "src", content)
    os.mkdir(it / "src/cam1/empty")
    set_age(it / "src")


@case
def each_directory_of_a_level_is_one_pack(it):
    sources(it, random_of("packs level", 1))
    for level, count in ((0, 1), (1, 3), (2, 11)):
        shutil.rmtree(it / "store", ignore_errors=True)
        it.lade("put", "--job", f"job{level}", f"--pack={level}", "src", "file:store").has_not("in no pack")
        packs = packs_of(it / "store")
        equal(len(packs), count, f"packs of level {level}")
        same_trees(restored(it), it / "src")
        same_trees(restored(it, "bsdtar"), it / "src")
    check((it / "store/cam0/00.tar.zst").exists() and (it / "store/cam1/log1.txt").exists(), keys(it / "store"))
    equal(names_in(it / "store/cam0/02.tar.zst")[:2], ["cam0/02/", "cam0/02/img000.jpg"])
    # A level that no directory has packs nothing, and says so.
    it.lade("put", "--job", "job9", "--pack=9", "src", "file:deep").has("in no pack")
    equal(packs_of(it / "deep"), [])


@case
def auto_packs_what_is_small_and_leaves_the_rest(it):
    dice = random_of("packs auto", 1)
    sources(it, dice)
    write(it / "src/cam1/large", dice.randbytes(9 * MIB))
    write(it / "src/cam1/just", dice.randbytes(8 * MIB - 1))
    done = it.lade("put", "--pack", "src", "file:store")
    equal(len(packs_of(it / "store")), 1)
    check((it / "store/cam1/large").exists() and not (it / "store/cam1/just").exists(), keys(it / "store"))
    same_trees(restored(it), it / "src")
    done.has("stored")
    shutil.rmtree(it / "store")
    it.lade("put", "--job", "small", "--pack=auto", "--pack-below", "1000", "--pack-size", "4K", "src", "file:store")
    check(len(packs_of(it / "store")) > 3, "the packs are not bounded", keys(it / "store"))
    own = sorted(key for key in keys(it / "store") if not key.endswith(".zst"))
    equal(own, sorted(rel.decode("utf-8", "backslashreplace") for rel, entry in scan(it / "src").items()
                      if entry.kind == "file" and entry.size >= 1000), "objects of their own")
    same_trees(restored(it), it / "src")


@case
def plain_tar_and_levels(it):
    sources(it, random_of("packs plain", 1))
    it.lade("put", "--pack=0", "--no-compress", "src", "file:store")
    equal(keys(it / "store"), ["src.tar", "src.tar.index"])
    subprocess.run(["tar", "-tf", it / "store/src.tar"], check=True, stdout=subprocess.DEVNULL)
    same_trees(restored(it, "bsdtar"), it / "src")
    sizes = []
    for level in (1, 19):
        it.lade("put", "--job", f"level{level}", "--pack=0", "--level", str(level), "src", f"file:l{level}")
        sizes.append((it / f"l{level}/src.tar.zst").stat().st_size)
    check(sizes[1] < sizes[0], "level 19 is not smaller", sizes)
    it.lade("put", "--job", "job-both", "--pack=0", "--no-compress", "--compress", "src", "file:both")
    equal(keys(it / "both"), ["src.tar.zst"], "the last one counts")
    it.lade("put", "--pack=x", "src", "file:other", status=2).has("--pack=x", "auto")
    it.lade("put", "--pack", "--level", "20", "src", "file:other", status=2).has("--level")


@case
def the_plan_tells_packs(it):
    make_tree(it / "src", {f"d{number}/f{name}": b"x" * 1000 for number in range(3) for name in range(10)} | {"top": b"t"})
    out = it.lade("put", "--dry-run", "--pack=1", "src", "file:store").out
    check("store/d0.tar.zst!/d0/f0" in out and "store/top" in out and "!/top" not in out, out)
    check(not (it / "store").exists(), "a dry run made something")
    it.lade("plan", "--job", "job", "--pack=1", "--json", "src", "null:")
    told = [event for event in it.lade("plan", "--job", "job2", "--pack=1", "--json", "src", "null:").events("estimate")]
    equal(told[0]["objects"], 4, "objects of the plan")
    equal(told[0]["requests"], 4, "requests of the plan")


@case
def the_second_run_packs_only_what_is_new(it):
    sources(it, random_of("packs again", 1))
    put = ("put", "--pack=1", "--json", "src", "file:store")
    it.lade(*put)
    first = keys(it / "store")
    check(it.lade(*put).summary()["unchanged"]["count"] > 0, "nothing is unchanged")
    equal(keys(it / "store"), first, "after a run with nothing to do")
    write(it / "src/cam0/00/img000.jpg", b"changed")
    write(it / "src/cam2/new", b"new")
    it.lade(*put)
    more = [key for key in keys(it / "store") if key not in first]
    equal(len(more), 2, f"new packs {more}")
    check(all(".g3." in key for key in more), more)
    equal([name for name in names_in(it / "store/cam0.g3.tar.zst") if not name.endswith("/")], ["cam0/00/img000.jpg"])
    same_trees(restored(it), it / "src")
    equal(it.lade(*put).summary()["done"]["count"], 0, "moved by a run with nothing to do")
    # A pack that is gone is made again.
    os.unlink(it / "store/cam1.tar.zst")
    it.lade(*put)
    same_trees(restored(it), it / "src")
    # Packs off: what is in packs stays there.
    equal(it.lade("put", "--json", "src", "file:store").summary()["done"]["count"], 0)


def ageless(tree):
    """Directories above a level, and those of objects of their own, are in no pack."""
    return {rel: entry._replace(mtime_ns=None) if entry.kind == "dir" else entry
            for rel, entry in (tree if isinstance(tree, dict) else scan(tree)).items()}


def fetched(it, place="file:store", name="fetched", *options):
    shutil.rmtree(it / name, ignore_errors=True)
    it.lade("get", "--job", f"job-of-{name}", *options, place, name)
    shutil.rmtree(it / f"job-of-{name}")
    return it / name


@case
def get_gives_the_tree_back_whatever_was_packed(it):
    dice = random_of("packs get", 1)
    sources(it, dice)
    write(it / "src/cam0/large", dice.randbytes(20 * MIB))
    set_age(it / "src")
    for mode in ("0", "1", "2", "auto"):
        shutil.rmtree(it / "store", ignore_errors=True)
        it.lade("put", "--job", f"job{mode}", f"--pack={mode}", "src", "file:store")
        same_trees(ageless(fetched(it)), ageless(it / "src"))
    # Of one directory, of one pack, of several.
    shutil.rmtree(it / "store")
    it.lade("put", "--job", "again", "--pack=2", "src", "file:store")
    same_trees(fetched(it, "file:store/cam0", "cam0", "--exclude", "/large", "--exclude", "/link*"),
               {rel[5:]: entry for rel, entry in scan(it / "src").items()
                if rel.startswith(b"cam0/") and rel not in (b"cam0/link", b"cam0/large")})
    out = fetched(it, "file:store/cam1/02.tar.zst", "one")
    equal(keys(out), [f"cam1/02/img{number:03}.jpg" for number in range(20)])
    equal(it.lade("get", "--keep-packs", "file:store/cam1/02.tar.zst", "asis/").status, 0)
    equal(read(it / "asis/02.tar.zst"), read(it / "store/cam1/02.tar.zst"))


@case
def get_sees_the_newest_and_nothing_that_is_gone(it):
    dice = random_of("packs newest", 1)
    sources(it, dice)
    put = ("put", "--pack=1", "--json", "src", "file:store")
    it.lade(*put)
    names = [rel for rel in keys(it / "src") if "\\" not in rel and not os.path.islink(it / "src" / rel)]
    for number in range(6):
        for name in dice.sample(names, 6):
            path = it / "src" / name
            what = dice.randrange(5)
            if what == 0:
                path.unlink(missing_ok=True)
            elif what == 1 and path.parent != it / "src":
                shutil.rmtree(path.parent, ignore_errors=True)
                path.parent.mkdir(parents=True)
            elif what == 2:
                path.unlink(missing_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                os.symlink("../top.txt", path)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.is_symlink():
                    path.unlink()
                write(path, dice.randbytes(dice.choice((10, 1000, 9 * MIB))))
        set_age(it / "src", 90 - number)
        it.lade(*put)
        same_trees(ageless(fetched(it)), ageless(it / "src"))
        told = it.lade(*put).summary()
        equal(told["done"]["count"], 0, "moved by a run with nothing to do")
    check(len(packs_of(it / "store")) > 6, keys(it / "store"))


@case
def check_knows_what_is_in_packs(it):
    dice = random_of("packs check", 1)
    sources(it, dice)
    put = ("put", "--job", "job", "--pack=1", "src", "file:store")
    it.lade(*put)
    write(it / "src/cam0/00/img001.jpg", b"newer")
    (it / "src/cam1/log3.txt").unlink()
    it.lade(*put)
    for options in ((), ("--deep",), ("--download",)):
        it.lade("check", *options, "src", "file:store")
        it.lade("check", *options, "job")
    write(it / "src/cam0/00/img002.jpg", b"other content")
    (it / "src/cam0/00/img003.jpg").unlink()
    write(it / "src/cam0/00/more", b"more")
    done = it.lade("check", "src", "file:store", status=(1, 4))
    done.has("cam0/00/img002.jpg", "cam0/00/more").has_not("img001", "img004")
    # A content that differs at equal size and time: by its digest.
    time_ns = (it / "src/cam2/01/img000.jpg").stat().st_mtime_ns
    data = bytearray(read(it / "src/cam2/01/img000.jpg"))
    data[0] ^= 1
    write(it / "src/cam2/01/img000.jpg", bytes(data))
    os.utime(it / "src/cam2/01/img000.jpg", ns=(time_ns, time_ns))
    it.lade("check", "--deep", "src", "file:store", status=4).has("cam2/01/img000.jpg")


def flip(path, at):
    data = bytearray(read(path))
    data[at] ^= 0x10
    write(path, bytes(data))


@case
def damaged_packs_are_named_and_never_unpacked_as_good(it):
    dice = random_of("packs damaged", 1)
    make_tree(it / "src", {f"d/f{number:02}": dice.randbytes(30000) for number in range(60)})
    set_age(it / "src")
    it.lade("put", "--pack=1", "src", "file:store")
    pack = it / "store/d.tar.zst"
    good = read(pack)
    for number in range(12):
        write(pack, good)
        at = dice.randrange(len(good)) if number % 2 else dice.randrange(len(good) - 3000, len(good))
        flip(pack, at)
        shutil.rmtree(it / "out", ignore_errors=True)
        done = it.lade("get", "--json", "--job", f"get{number}", "file:store", "out", status=(0, 1, 3, 4))
        if done.status == 1:
            equal(done.summary()["retries"], 0, "tries of what is damaged where it is stored")
        for rel in keys(it / "out") if (it / "out").exists() else ():
            if rel.startswith("d/f"):
                check(read(it / "out" / rel) == read(it / "src" / rel), f"wrong bytes as good, flipped at {at}", rel, done)
        if done.status == 0:
            # The seek table alone, or what no member is in; or it is no pack of ours any more.
            check((it / "out/d.tar.zst").exists() or len(keys(it / "out")) == 60, "not all came", at, done)
    write(pack, good[:len(good) // 2])
    shutil.rmtree(it / "out")
    it.lade("get", "--job", "cut", "file:store", "out")
    equal(keys(it / "out"), ["d.tar.zst"], "what a pack without an end is")


@case
def a_file_that_outgrows_its_pack_is_fetched_as_it_is_now(it):
    make_tree(it / "src", {"d/a": b"small", "d/b": b"b"})
    set_age(it / "src")
    it.lade("put", "--pack", "src", "file:store")
    write(it / "src/d/a", b"large" * (2 * MIB))
    set_age(it / "src", 50)
    it.lade("put", "--pack", "src", "file:store")
    check((it / "store/d/a").exists(), keys(it / "store"))
    same_trees(ageless(fetched(it)), ageless(it / "src"))
    write(it / "src/d/a", b"small again")
    set_age(it / "src", 40)
    it.lade("put", "--pack", "src", "file:store")
    same_trees(ageless(fetched(it)), ageless(it / "src"))
    # Without --pack, too.
    write(it / "src/d/b", b"changed")
    set_age(it / "src", 30)
    it.lade("put", "src", "file:store")
    same_trees(ageless(fetched(it)), ageless(it / "src"))


@case
def what_is_gone_is_told_only_when_it_is(it):
    sources(it, random_of("packs gone", 1))
    it.lade("put", "--pack=1", "src", "file:store")
    before = keys(it / "store")
    # What a filter or a list leaves out is not gone.
    it.lade("put", "--pack=1", "--exclude", "cam1/**", "src", "file:store")
    equal(keys(it / "store"), before)
    write(it / "list", b"cam0/00/img000.jpg\n")
    it.lade("put", "--pack=1", "--files-from", "list", "src", "file:store")
    equal(keys(it / "store"), before)
    same_trees(ageless(fetched(it)), ageless(it / "src"))


@case
def what_is_an_object_of_its_own_stays_one(it):
    make_tree(it / "src", {"d/a": b"1", "d/b": b"2"})
    set_age(it / "src")
    it.lade("put", "src", "file:store")
    write(it / "src/d/a", b"changed")
    write(it / "src/d/c", b"3")
    it.lade("put", "--pack", "src", "file:store")
    equal(read(it / "store/d/a"), b"changed")
    equal([name for name in names_in(packs_of(it / "store")[0]) if not name.endswith("/")], ["d/c"])


@case
def a_pack_of_someone_else_is_not_replaced(it):
    make_tree(it / "src", {"d/a": b"1"})
    make_tree(it / "store", {"d.tar.zst": b"theirs"})
    it.lade("put", "--pack=1", "src", "file:store", status=1).has("d.tar.zst", "--overwrite")
    equal(read(it / "store/d.tar.zst"), b"theirs")
    it.lade("put", "--job", "new", "--pack=1", "--overwrite", "src", "file:store")
    equal(names_in(it / "store/d.tar.zst"), ["d/", "d/a"])
    # A file beside the directory has the name that its pack would get.
    make_tree(it / "tree", {"d/a": b"1", "d.tar.zst": b"a file"})
    it.lade("put", "--pack=1", "tree", "file:other")
    equal(keys(it / "other"), ["d.lade.tar.zst", "d.tar.zst"])


@case
def what_cannot_be_read_is_named_and_not_in_the_pack(it):
    make_tree(it / "src", {f"d/f{number:02}": b"x" * 100 for number in range(40)})
    os.chmod(it / "src/d/f07", 0)
    make_tree(it / "home", {})
    make_tree(it / "store", {})
    for name in ("home", "store"):
        os.chmod(it / name, 0o777)
    done = it.lade("put", "--job", "home/job", "--pack=0", "--json", "src", "file:store", status=1, prefix=as_nobody())
    equal([item["name"] for item in done.events("item") if item["status"] == "failed"], ["d/f07"])
    pack = it / "store/src.tar.zst"
    equal(len([name for name in names_in(pack) if not name.endswith("/")]), 39)
    before = pack.stat().st_mtime_ns
    os.chmod(it / "src/d/f07", 0o644)
    it.lade("put", "--job", "home/job", "--pack=0", "src", "file:store", prefix=as_nobody())
    equal(pack.stat().st_mtime_ns, before, "the first pack")
    others = [path for path in packs_of(it / "store") if path != pack]
    equal([name for name in names_in(others[0]) if not name.endswith("/")], ["d/f07"])


@case
def members_that_move_are_whole_or_named(it):
    dice = random_of("packs moving", 1)
    make_tree(it / "src", {f"d{number % 20}/f{number:04}": dice.randbytes(20000) for number in range(1500)})
    set_age(it / "src")
    it.lade("plan", "--job", "job", "--pack=1", "src", "file:store")
    ended = threading.Event()

    def disturb():
        while not ended.is_set():
            number = dice.randrange(1500)
            path = it / f"src/d{number % 20}/f{number:04}"
            what = dice.randrange(4)
            if what == 0:
                write(path, dice.randbytes(dice.randrange(40000)))
            elif what == 1:
                with open(path, "ab") as file:
                    file.write(b"more")
            elif what == 2 and path.exists():
                os.truncate(path, dice.randrange(20000))
            else:
                path.unlink(missing_ok=True)
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        done = it.lade("run", "job", "--bwlimit", "20M", "--json", status=(0, 1))
    finally:
        ended.set()
        thread.join()
    for pack in packs_of(it / "store"):
        unpack(pack, it / "out")
        unpack(pack, it / "out2", "bsdtar")
    failed = {item["name"] for item in done.events("item") if item["status"] == "failed"}
    there = {key for key in keys(it / "out")}
    check(not failed & there, "failed, and in a pack", sorted(failed & there)[:5])
    missing = {f"d{number % 20}/f{number:04}" for number in range(1500)} - failed - there
    told = done.summary()
    equal(told["done"]["count"] + told["failed"]["count"], told["planned"]["count"], "entries that have an end")
    # Only the first hundred or so are named on the way.
    equal(len(missing), told["failed"]["count"] - len(failed), "files that are neither in a pack nor failed")
    it.lade("put", "--job", "job", "--pack=1", "src", "file:store")
    out = restored(it)
    for key in keys(it / "src"):
        check(read(it / "src" / key) == read(out / key), "another content", key)


def large_source(it, dice):
    content = {f"d{number % 12:02}/f{number:04}": dice.randbytes(dice.randrange(30000)) for number in range(2500)}
    content |= {"d05/large": dice.randbytes(40 * MIB + 17), "d11/medium": dice.randbytes(3 * MIB)}
    make_tree(it / "src", content)
    set_age(it / "src")


@case
def kill_in_the_middle_of_a_pack(it):
    dice = random_of("packs kill", 1)
    large_source(it, dice)
    modes = ("--pack=0", "--pack=1", "--pack=auto")
    hits = resumed = 0
    for number in range(KILLS):
        mode = modes[number % len(modes)]
        command = ("put", "--job", "job", mode, "--bwlimit", "150M", "src", "file:store")
        for _ in range(dice.choice((1, 2, 3))):
            hits += it.kill_at(dice.uniform(0.02, 0.4), *command)
        resumed += sum(journal.read_bytes().count(b"") > 0 for journal in (it / "job").glob("g*/journal-*.log")) > 1
        it.lade(*command)
        for pack in packs_of(it / "store"):
            subprocess.run(["zstd", "-qt", pack], check=True)
        same_trees(restored(it), it / "src")
        equal(temporaries(it / "store"), [], "temporary names left")
        names = [name for pack in packs_of(it / "store") for name in names_in(pack) if not name.endswith("/")]
        equal(len(names), len(set(names)), "members that are in two packs")
        stamps = {path: path.stat().st_ino for path in packs_of(it / "store")}
        it.lade(*command)
        equal({path: path.stat().st_ino for path in packs_of(it / "store")}, stamps, "what a run after the end moved")
        shutil.rmtree(it / "store")
        shutil.rmtree(it / "job")
    check(hits >= KILLS // 2, f"only {hits} kills hit")


@case
def a_file_of_many_pieces_comes_whole(it):
    dice = random_of("packs pieces", 1)
    sizes = (0, 1, 511, 512, 513, MIB - 1, MIB, 8 * MIB, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 24 * MIB, 50 * MIB + 3)
    make_tree(it / "src", {f"d/f{size}": dice.randbytes(size) for size in sizes})
    with open(it / "src/d/sparse", "wb") as file:
        file.truncate(100 * MIB)
        file.seek(33 * MIB)
        file.write(b"in the middle")
    set_age(it / "src")
    for options in ((), ("--no-compress",), ("--memory", "32M"), ("--transfers", "1")):
        shutil.rmtree(it / "store", ignore_errors=True)
        it.lade("put", "--job", "-".join(("job", *options)), "--pack=0", *options, "src", "file:store")
        same_trees(restored(it), it / "src")


@case
def a_large_member_that_changes_spoils_no_other(it):
    dice = random_of("packs large moving", 1)
    make_tree(it / "src", {"d/a": b"a", "d/large": dice.randbytes(60 * MIB), "d/z": b"z"})
    set_age(it / "src")
    process = it.start("put", "--job", "job", "--pack=0", "--bwlimit", "20M", "src", "file:store")
    it.wait_for(lambda: (it / "store").exists() and temporaries(it / "store"), process)
    with open(it / "src/d/large", "r+b") as file:
        file.write(b"moved")
    it.end(process, status=(0, 1))
    it.lade("put", "--job", "job", "--pack=0", "src", "file:store")
    same_trees(restored(it), it / "src")


@case
def a_large_member_that_changes_at_its_end_has_an_end_too(it):
    """The last of its pieces is all that fails."""
    make_tree(it / "src", {"d/a": b"a", "d/large": random_of("packs last piece", 1).randbytes(133 * MIB), "d/z": b"z"})
    set_age(it / "src")
    process = it.start("put", "--job", "job", "--pack=0", "--bwlimit", "30M", "--transfers", "1", "src", "file:store")
    it.wait_for(lambda: journalled(it / "job", parts=True) >= 1, process)
    time.sleep(0.5)  # now later parts are being sent, and the last piece is not read yet
    set_age(it / "src", 50)
    # The pack is made again at the end of the run.
    it.end(process, status=0)
    same_trees(restored(it), it / "src")


@case
def large_members_are_of_one_version(it):
    """Files beside each other that are replaced all the time by others of the same size: none may be half and half."""
    size = 17 * MIB
    names = [f"f{number}" for number in range(6)]
    make_tree(it / "src", {name: bytes([1]) * size for name in names})
    set_age(it / "src")
    ended = threading.Event()

    def replace():
        version = 1
        while not ended.is_set():
            version = version % 250 + 1
            for name in names:
                write(it / "next", bytes([version]) * size)
                os.rename(it / "next", it / "src" / name)
    for number in range(10 if LONG else 2):
        ended.clear()
        thread = threading.Thread(target=replace)
        thread.start()
        try:
            it.lade("put", "--job", f"job{number}", "--pack=0", "--transfers", "8", "--memory", "1G", "src",
                    f"file:store{number}", status=(0, 1))
        finally:
            ended.set()
            thread.join()
        for pack in packs_of(it / f"store{number}"):
            unpack(pack, it / f"out{number}")
        for path in (it / f"out{number}").glob("f*") if (it / f"out{number}").exists() else ():
            data = read(path)
            check(data == data[:1] * size, f"{path.name} is of several versions")


@case
def holes_cost_nothing_and_come_back(it):
    dice = random_of("packs holes", 1)
    make_tree(it / "src", {"d/a": b"a", "d/z": b"z"})
    for name, size, runs in (("d/huge", HUGE, ((HUGE // 2, 3 * MIB), (HUGE - MIB, 10))), ("d/none", 3 * MIB, ()),
                             ("d/all-hole", 300 * MIB, ()), ("d/small", 4 * MIB, ((MIB, 70000),)),
                             ("d/end", 40 * MIB, ((40 * MIB - 4096, 4096),)), ("d/start", 30 * MIB, ((0, 5000),))):
        with open(it / "src" / name, "wb") as file:
            file.truncate(size)
            for at, length in runs:
                file.seek(at)
                file.write(dice.randbytes(length))
    set_age(it / "src")
    for options in ((), ("--no-compress",)):
        shutil.rmtree(it / "store", ignore_errors=True)
        it.lade("put", "--job", "-".join(("job", *options)), "--pack=0", *options, "src", "file:store")
        pack, = packs_of(it / "store")
        check(pack.stat().st_size < 5 * MIB, pack.stat().st_size)
        shutil.rmtree(it / "out", ignore_errors=True)
        unpack(pack, it / "out")
        got = fetched(it)
        for name in keys(it / "src"):
            for other in ("out", got):
                subprocess.run(["cmp", it / "src" / name, it / other / name], check=True)
                check((it / other / name).stat().st_blocks <= (it / "src" / name).stat().st_blocks + 16, "no holes",
                      it / other / name, (it / other / name).stat().st_blocks)
        it.lade("repack", "--min-live", "100", "file:store")
    # A pack beside it, so that they are made into a new one.
    write(it / "src/d/b", b"b")
    it.lade("put", "--job", "job---no-compress", "--pack=0", "src", "file:store")
    it.lade("repack", "--pack-size", "1T", "file:store")
    pack, = packs_of(it / "store")
    check(pack.stat().st_size < 5 * MIB, pack.stat().st_size)
    for name in keys(fetched(it)):
        subprocess.run(["cmp", it / "src" / name, it / "fetched" / name], check=True)


@case
def further_names_of_a_file_are_hard_links(it):
    dice = random_of("packs links", 1)
    make_tree(it / "src", {f"d/f{number:03}": dice.randbytes(30000) for number in range(50)})
    for number in range(50):
        os.link(it / f"src/d/f{number:03}", it / f"src/d/g{number:03}")
        (it / "src/e").mkdir(exist_ok=True)
        os.link(it / f"src/d/f{number:03}", it / f"src/e/h{number:03}")
    set_age(it / "src")
    put = ("put", "--job", "job", "--pack=0", "src", "file:store")
    it.lade(*put)
    pack, = packs_of(it / "store")
    check(pack.stat().st_size < 50 * 30000 * 3 // 2, pack.stat().st_size)
    for program in ("tar", "bsdtar"):
        same_trees(restored(it, program), it / "src")
        equal((it / "out/d/f007").stat().st_nlink, 3, program)
    same_trees(ageless(fetched(it)), ageless(it / "src"))
    names = [f"{top}{number:03}" for number in range(50) for top in ("d/f", "d/g", "e/h")]
    equal([(it / "fetched" / name).stat().st_nlink for name in names], [3] * 150, "names of each file that was fetched")
    # What is not asked for is no name of what is.
    it.lade("get", "--job", "some", "--exclude", "*/g*", "file:store", "some")
    equal([(it / "some" / name).stat().st_nlink for name in names if "g" not in name], [2] * 100, "without g")
    check(not (it / "some/d/g007").exists(), "it was excluded")
    it.lade("check", "--download", "src", "file:store")
    equal(it.lade(*put, "--json").summary()["done"]["count"], 0)
    # The first name becomes another file: its other names keep the content.
    (it / "src/d/f007").unlink()
    write(it / "src/d/f007", b"another")
    (it / "src/d/f009").unlink()
    it.lade(*put)
    same_trees(ageless(fetched(it)), ageless(it / "src"))
    it.lade("repack", "--pack-size", "1G", "file:store")
    pack, = packs_of(it / "store")
    check(pack.stat().st_size < 50 * 30000 * 3 // 2, pack.stat().st_size)
    same_trees(ageless(fetched(it)), ageless(it / "src"))
    unpack(pack, it / "untarred")
    equal((it / "untarred/d/f008").stat().st_nlink, 3)
    equal(read(it / "untarred/e/h007"), read(it / "src/e/h007"))
    equal(it.lade(*put, "--json").summary()["done"]["count"], 0)


@case
def several_processes_share_the_packs(it):
    dice = random_of("packs crew", 1)
    large_source(it, dice)
    it.lade("plan", "--job", "job", "--pack=1", "--batch-objects", "200", "src", "file:store")
    crew = [it.start("run", "--bwlimit", "60M", "job") for _ in range(4)]
    for process in crew:
        it.end(process)
    same_trees(restored(it), it / "src")
    equal(len(packs_of(it / "store")), 12)
    equal(temporaries(it / "store"), [])


main()
