"""repack: packs that are small or stale become new ones; who has the word stays the same; kills, damage, other puts."""
import os
import shutil
import signal
import subprocess
import threading
import time

from harness import LONG, Link, case, check, equal, keys, main, make_tree, random_of, read, same_trees, scan, set_age, \
    temporaries, write

MIB = 1 << 20
ROUNDS = 12 if LONG else 4
KILLS = 60 if LONG else 9


def packs_of(store):
    return sorted([path for path in store.rglob("*.tar.zst")] + [path for path in store.rglob("*.tar")])


def ageless(tree):
    """Directories above a level, and those of objects of their own, are in no pack."""
    return {rel: entry._replace(mtime_ns=None) if entry.kind == "dir" else entry for rel, entry in scan(tree).items()}


def fetched(it, place="file:store", name="fetched"):
    shutil.rmtree(it / name, ignore_errors=True)
    it.lade("get", "--job", f"job-of-{name}", place, name)
    shutil.rmtree(it / f"job-of-{name}")
    return it / name


def same(it):
    same_trees(ageless(fetched(it)), ageless(it / "src"))


def renew(path, data, seconds):
    """A file that was modified so long ago; no other one is touched."""
    write(path, data)
    set_time(path, seconds)


def set_time(path, seconds):
    stamp = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(stamp, stamp), follow_symlinks=False)


def change(it, dice, number):
    """One generation later: some files go, some come, some are others. One that has an object of its own becomes no
    link: the object would stay, and come back beside it."""
    names = sorted(path for path in (it / "src").rglob("*") if not path.is_dir() or path.is_symlink())
    for _ in range(12):
        what = dice.randrange(6)
        path = dice.choice(names)
        if what == 0:
            path.unlink(missing_ok=True)
            continue
        if what == 1:
            path = it / f"src/new{dice.randrange(4)}/f{dice.randrange(30):02}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            continue
        path.unlink(missing_ok=True)
        if what == 2 and path.name != "large":
            os.symlink(f"target{number}", path)
        else:
            write(path, dice.randbytes(dice.choice((0, 10, 3000, 200000))))
        set_time(path, 500 - number)


def source(it, dice, count=150):
    make_tree(it / "src", {f"d{number % 6}/f{number:03}": dice.randbytes(dice.randrange(20000))
                           for number in range(count)} | {"d1/link": Link("f001"), "top": b"top"})
    os.mkdir(it / "src/d2/empty")
    set_age(it / "src", 1000)


def generations(it, dice, modes=("--pack",), count=5):
    for number in range(count):
        it.lade("put", "--job", "job", *dice.choice(modes), "src", "file:store")
        change(it, dice, number)
    it.lade("put", "--job", "job", *dice.choice(modes), "src", "file:store")


@case
def many_small_packs_become_one(it):
    dice = random_of("repack small", 1)
    source(it, dice)
    generations(it, dice, (("--pack",),))
    before = packs_of(it / "store")
    check(len(before) > 4, before)
    dry = it.lade("repack", "--dry-run", "--json", "file:store")
    equal(dry.summary()["rewritten"], len(before))
    check(all(line.get("dry_run") for line in dry.events("rewrite")), dry)
    equal(packs_of(it / "store"), before, "after a dry run")
    told = it.lade("repack", "--json", "file:store").summary()
    after = packs_of(it / "store")
    equal(len(after), 1)
    equal((told["packs_before"], told["packs_after"], told["removed"]), (len(before), 1, len(before)))
    equal(told["bytes_after"], after[0].stat().st_size)
    subprocess.run(["zstd", "-qt", after[0]], check=True)
    os.mkdir(it / "untarred")
    subprocess.run(["tar", "-xpf", after[0], "-C", it / "untarred"], check=True)
    same_trees(ageless(it / "untarred"), ageless(it / "src"))
    same(it)
    # The job moves nothing, and its next generation knows the new pack.
    for _ in range(2):
        equal(it.lade("put", "--job", "job", "--pack", "--json", "src", "file:store").summary()["done"]["count"], 0)
    equal(packs_of(it / "store"), after)
    it.lade("check", "job")
    it.lade("check", "--download", "src", "file:store")
    # Nothing to do.
    stamp = after[0].stat().st_ino
    it.lade("repack", "file:store").has("0 to rewrite")
    equal(after[0].stat().st_ino, stamp)
    # Later generations go on on top.
    change(it, dice, 50)
    it.lade("put", "--job", "job", "--pack", "src", "file:store")
    same(it)


PACKED = (("--pack",), ("--pack=1",), ("--pack=0",), ("--pack=auto", "--no-compress"), ("--pack", "--pack-size", "200K"))


def chances(dice):
    return [dice.choice(("--pack-size=100K", "--pack-size=400K", "--pack-size=1G")),
            *dice.choice(([], ["--no-compress"], ["--compress", "--level", "3"], ["--min-live", "90%"], ["--min-live=0"],
                          ["--min-live", "100"], ["--transfers", "1"]))]


def nothing_is_left(it):
    equal(temporaries(it / "store"), [])
    check(not [key for key in keys(it / "store")
               if key.endswith(".index") and not (it / "store" / key[:-6]).exists()], keys(it / "store"))


@case
def any_generations_against_the_tree(it):
    for number in range(ROUNDS):
        dice = random_of(f"repack model {number}", 1)
        for name in ("src", "store", "job"):
            shutil.rmtree(it / name, ignore_errors=True)
        source(it, dice)
        (it / "src/top").unlink()  # no pack of a directory has it
        for _ in range(3):
            generations(it, dice, PACKED, dice.randrange(1, 4))
            it.lade("repack", *chances(dice), "file:store")
            same(it)
            equal(it.lade("put", "--job", "job", *dice.choice(PACKED), "--json", "src", "file:store")
                  .summary()["done"]["count"], 0, "moved after a repack")
            it.lade("check", "job")
            nothing_is_left(it)


def shown(it):
    """Names and sizes, also where a link and an object of its own would get one path."""
    lines = it.lade("get", "--dry-run", "--json", "file:store", "nowhere", status=(0, 1)).events("dryrun")
    return sorted((line["source"], line["size"]) for line in lines)


@case
def objects_of_their_own_among_them_change_nothing(it):
    """What was an object of its own is not removed by a put, so what shows is compared with what showed before."""
    modes = (*PACKED, (), ("--pack=auto", "--pack-below", "2500"))
    for number in range(ROUNDS):
        dice = random_of(f"repack mixed {number}", 1)
        for name in ("src", "store", "job"):
            shutil.rmtree(it / name, ignore_errors=True)
        source(it, dice)
        for _ in range(2):
            generations(it, dice, modes, dice.randrange(1, 4))
            before = shown(it)
            read_before = sorted(it.lade("check", "--download", "src", "file:store", status=(0, 1, 4)).out.splitlines())
            it.lade("repack", *chances(dice), "file:store")
            equal(shown(it), before, "what shows")
            equal(sorted(it.lade("check", "--download", "src", "file:store", status=(0, 1, 4)).out.splitlines()),
                  read_before)
            nothing_is_left(it)


@case
def what_is_gone_stays_gone_while_a_pack_knows_it(it):
    dice = random_of("repack gone", 1)
    make_tree(it / "src", {"big/large": dice.randbytes(7 * MIB), "big/a": b"1", "big/b": b"2", "c": b"3"})
    set_age(it / "src", 100)
    put = ("put", "--job", "job", "--pack", "src", "file:store")
    it.lade(*put)
    first = packs_of(it / "store")[0]
    for number, name in enumerate(("big/a", "big/b")):
        (it / "src" / name).unlink()
        renew(it / "src/c", b"new" * (number + 1), 90 - number)
        it.lade(*put)
    # The first is neither small nor stale here, so it stays, and knows both names.
    it.lade("repack", "--pack-size", "10M", "file:store")
    check(first.exists(), packs_of(it / "store"))
    equal(len(packs_of(it / "store")), 2)
    same(it)
    # All of them: now nobody knows them.
    it.lade("repack", "--pack-size", "1G", "file:store")
    equal(len(packs_of(it / "store")), 1)
    same(it)
    names = subprocess.run(["tar", "-tf", packs_of(it / "store")[0]], check=True, capture_output=True, text=True).stdout
    check("big/a" not in names and "big/large" in names, names)


@case
def what_is_an_object_of_its_own_is_left_behind(it):
    dice = random_of("repack own", 1)
    make_tree(it / "src", {"d/a": b"small", "d/b": b"b", "d/c": b"c"})
    set_age(it / "src", 100)
    it.lade("put", "--job", "job", "--pack", "src", "file:store")
    renew(it / "src/d/a", dice.randbytes(9 * MIB), 90)
    renew(it / "src/d/b", b"newer", 90)
    it.lade("put", "--job", "job", "--pack", "src", "file:store")
    it.lade("repack", "file:store")
    pack, = packs_of(it / "store")
    names = subprocess.run(["tar", "-tf", pack], check=True, capture_output=True, text=True).stdout.split()
    check("d/a" not in names and "d/b" in names and "d/c" in names, names)
    same(it)


@case
def stale_packs_are_rewritten_and_fresh_ones_stay(it):
    dice = random_of("repack stale", 1)
    make_tree(it / "src", {f"d{number}/f{part}": dice.randbytes(150000) for number in range(6) for part in range(4)})
    set_age(it / "src", 100)
    put = ("put", "--job", "job", "--pack=1", "--json", "src", "file:store")
    it.lade(*put)
    for part in range(3):
        renew(it / f"src/d3/f{part}", dice.randbytes(400000), 90)
    it.lade(*put)
    before = {path: path.stat().st_ino for path in packs_of(it / "store")}
    told = it.lade("repack", "--pack-size", "600K", "--json", "file:store")
    equal([line["pack"] for line in told.events("rewrite")], ["d3.tar.zst"])
    after = {path: path.stat().st_ino for path in packs_of(it / "store")}
    equal({path for path in before if after.get(path) != before[path]}, {it / "store/d3.tar.zst"})
    same(it)
    equal(it.lade(*put).summary()["done"]["count"], 0)
    it.lade("repack", "--pack-size", "600K", "file:store").has("0 to rewrite")


@case
def a_damaged_member_is_named_and_its_pack_left(it):
    dice = random_of("repack damaged", 1)
    make_tree(it / "src", {f"d{number}/f{part}": dice.randbytes(3000) for number in range(5) for part in range(9)}
              | {"d2/large": dice.randbytes(40 * MIB)})
    set_age(it / "src", 100)
    put = ("put", "--job", "job", "--pack=1", "src", "file:store")
    it.lade(*put)
    for name in ("d2/f1", "d1/f1"):
        (it / "src" / name).unlink()
    renew(it / "src/d2/f2", b"newer", 90)
    it.lade(*put)
    pack = it / "store/d2.tar.zst"
    for at, most, names in ((2000, 8, ["d2/f0", "d2/f3"]), (20 * MIB, 0, ["d2/large"])):
        shutil.rmtree(it / "other", ignore_errors=True)
        shutil.copytree(it / "store", it / "other")
        data = bytearray(read(pack))
        data[at] ^= 0x40
        write(it / "other/d2.tar.zst", bytes(data))
        done = it.lade("repack", "--pack-size", "1G", "--json", "file:other", status=4)
        told = [line["name"] for line in done.events("damaged")]
        check(set(names) <= set(told) and all(line["pack"] == "d2.tar.zst" for line in done.events("damaged")), done)
        equal(read(it / "other/d2.tar.zst"), bytes(data), "the damaged pack")
        left = [path.name for path in packs_of(it / "other")]
        check(len(left) == 2 and "d2.tar.zst" in left, left)
        # What was gone in it stays gone; all else is there.
        shutil.rmtree(it / "got", ignore_errors=True)
        it.lade("get", "--job", f"get{at}", "file:other", "got", status=(1, 4))
        found = {key for key in keys(it / "got")}
        wanted = {key for key in keys(it / "src")}
        check(found <= wanted and wanted - found == set(told), sorted(wanted - found), told)
        for key in found:
            check(read(it / "got" / key) == read(it / "src" / key), "another content", key)
    # An index that cannot be read: nobody knows what it hides.
    shutil.copytree(it / "store", it / "third")
    data = bytearray(read(pack))
    data[-150] ^= 0x40
    write(it / "third/d2.tar.zst", bytes(data))
    before = keys(it / "third")
    it.lade("repack", "file:third", status=4).has("d2.tar.zst")
    equal(keys(it / "third"), before)


@case
def killed_at_any_moment_nothing_is_lost(it):
    dice = random_of("repack kill", 1)
    content = {f"d{number % 9}/f{number:04}": dice.randbytes(dice.randrange(40000)) for number in range(300)}
    large = dice.randbytes(20 * MIB)
    hits = 0
    for number in range(KILLS):
        for name in ("src", "store", "job"):
            shutil.rmtree(it / name, ignore_errors=True)
        make_tree(it / "src", content | {"d4/large": large})
        set_age(it / "src", 1000)
        generations(it, dice, (("--pack=1",), ("--pack",), ("--pack", "--no-compress")), 3)
        options = (("--pack-size", "3M"), ("--pack-size", "3M", "--no-compress"), ())[number % 3]
        command = ("repack", *options, "file:store")
        for _ in range(dice.choice((1, 2))):
            process = it.start(*command, "--bwlimit", "8M")
            time.sleep(dice.uniform(0.01, 0.7))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                hits += 1
            it.end(process, status=(0, -signal.SIGKILL))
            if number % 4 == 0:
                same(it)
        it.lade(*command)
        same(it)
        equal(temporaries(it / "store"), [], "temporary names left")
        check(not [key for key in keys(it / "store")
                   if key.endswith(".index") and not (it / "store" / key[:-6]).exists()], keys(it / "store"))
        told = it.lade(*command, "--json").summary()
        check(told["rewritten"] == 0 or told["packs_after"] <= told["packs_before"], told)
        same(it)
    check(hits >= KILLS // 2, f"only {hits} kills hit")


@case
def interrupted_it_ends_cleanly(it):
    dice = random_of("repack stop", 1)
    make_tree(it / "src", {"d/a": dice.randbytes(60 * MIB), "e/b": b"b", "f/c": b"c"})
    set_age(it / "src", 100)
    it.lade("put", "--pack=1", "src", "file:store")
    process = it.start("repack", "--pack-size", "1G", "--bwlimit", "10M", "file:store")
    it.wait_for(lambda: temporaries(it / "store"), process)
    # Another one is refused meanwhile.
    it.lade("repack", "file:store", status=1).has("another repack")
    process.send_signal(signal.SIGINT)
    it.end(process, status=130)
    same(it)
    it.lade("repack", "--pack-size", "1G", "file:store")
    same(it)
    equal(len(keys(it / "store")), 1)


@case
def a_put_of_the_same_job_meanwhile_has_the_word(it):
    dice = random_of("repack put", 1)
    source(it, dice)
    generations(it, dice, (("--pack",),), 3)
    renew(it / "src/d0/large", dice.randbytes(7 * MIB), 300)
    it.lade("put", "--job", "job", "--pack", "src", "file:store")
    for number in range(6 if LONG else 3):
        change(it, dice, 300 + number)
        process = it.start("repack", "--bwlimit", "15M", "file:store")
        time.sleep(dice.uniform(0, 0.5))
        it.lade("put", "--job", "job", "--pack", "src", "file:store")
        it.end(process)
        same(it)
        equal(it.lade("put", "--job", "job", "--pack", "--json", "src", "file:store").summary()["done"]["count"], 0)


@case
def a_put_that_goes_on_after_it_has_the_word(it):
    """One generation, half of it before the repack: what comes later is newer than what was merged to it."""
    make_tree(it / "src", {f"d{number}/f{part}": b"old" for number in range(4) for part in range(5)})
    set_age(it / "src", 100)
    put = ("--pack=1", "--batch-objects", "1")
    it.lade("put", "--job", "job", *put, "src", "file:store")
    for number in range(4):
        renew(it / f"src/d{number}/f1", b"newer", 90)
    it.lade("plan", "--job", "job", *put, "src", "file:store")
    it.lade("run", "--max-batches", "1", "job", status=5)
    it.lade("repack", "file:store")
    it.lade("run", "job")
    same(it)


@case
def two_jobs_keep_their_order(it):
    make_tree(it / "src", {"d/a": b"first", "d/b": b"first", "d/c": b"first"})
    set_age(it / "src", 100)
    it.lade("put", "--job", "one", "--pack=0", "src", "file:store")
    os.rename(it / "store/src.tar.zst", it / "store/one.tar.zst")
    renew(it / "src/d/a", b"second", 90)
    it.lade("put", "--job", "two", "--pack=0", "src", "file:store")
    told = it.lade("repack", "--json", "file:store").summary()
    equal(told["packs_after"], 1, "all that the first has is hidden")
    same(it)


@case
def a_pack_that_comes_meanwhile_and_is_older_ends_it(it):
    dice = random_of("repack newcomer", 1)
    make_tree(it / "src", {"d/a": b"first", "d/b": dice.randbytes(7 * MIB), "d/e": dice.randbytes(7 * MIB)})
    make_tree(it / "late", {"d/a": b"between"})
    for name in ("src", "late"):
        set_age(it / name, 100)
    it.lade("put", "--job", "one", "--pack", "src", "file:store")
    it.lade("put", "--job", "two", "--pack", "late", "file:elsewhere")
    late, = packs_of(it / "elsewhere")
    renew(it / "src/d/c", b"c", 90)
    it.lade("put", "--job", "one", "--pack", "src", "file:store")
    before = keys(it / "store")
    process = it.start("repack", "--bwlimit", "4M", "file:store")
    it.wait_for(lambda: temporaries(it / "store"), process)
    shutil.copy2(late, it / "store")
    done = it.end(process, status=1)
    done.has("meanwhile", late.name)
    equal(keys(it / "store"), sorted([*before, late.name]))
    equal(read(fetched(it) / "d/a"), b"between")
    it.lade("repack", "file:store")
    equal(read(fetched(it) / "d/a"), b"between")


@case
def odd_places_are_refused(it):
    make_tree(it / "src", {"top/d/a": b"1", "top/e/b": b"2"})
    set_age(it / "src", 100)
    it.lade("put", "--pack=2", "src", "file:store")
    it.lade("repack", "file:store/top", status=2).has("above this place")
    it.lade("repack", "--min-live", "120%", "file:store", status=2).has("--min-live")
    it.lade("repack", "--bucket-objects", "3", "file:store", status=2)
    it.lade("repack", "file:nowhere", status=(1, 3))
    it.lade("repack", "--quiet", "file:store")
    same(it)


main()
