"""A tree that changes while it is crawled and read: reported as changed, or the right content; never wrong content
as done."""
import os
import random
import shutil
import threading
import time

from harness import LONG, case, check, equal, keys, main, make_tree, random_of, read, same_trees, scan, set_age, \
    temporaries, write

MIB = 1 << 20


def slow_put(it, *options):
    """Reads a file of 4 MiB over two seconds."""
    process = it.start("put", "--bwlimit", "2M", "--retries", "0", "--json", *options, "src", "file:store")
    it.wait_for(lambda: (it / "store").exists() and temporaries(it / "store"), process)
    time.sleep(0.3)
    return process


def one_file(it, size=4 * MIB):
    make_tree(it / "src", {"f": os.urandom(size), "still": b"still"})
    set_age(it / "src")


def reported_as_changed(it, done):
    items = [item for item in done.events("item") if item["status"] == "failed"]
    equal([item["name"] for item in items], ["f"], "what failed")
    check(items[0]["kind"] in ("changed", "absent", "source"), "another kind", items)
    check(not (it / "store/f").exists(), "there is an object", done)
    equal(read(it / "store/still"), b"still")
    equal(temporaries(it / "store"), [])


def settles(it):
    """Another run, when it holds still, brings it."""
    it.lade("put", "src", "file:store")
    same_trees(it / "store", it / "src")


@case
def a_file_that_grows_all_the_time_is_reported_as_changed(it):
    one_file(it)
    process = slow_put(it)
    while process.poll() is None:
        with open(it / "src/f", "ab") as file:
            file.write(b"more")
        time.sleep(0.05)
    reported_as_changed(it, it.end(process, 1))
    settles(it)


@case
def a_file_that_grew_once_is_read_again(it):
    one_file(it, MIB)
    process = it.start("put", "--bwlimit", "1M", "src", "file:store")
    it.wait_for(lambda: (it / "store").exists() and temporaries(it / "store"), process)
    time.sleep(0.2)
    with open(it / "src/f", "ab") as file:
        file.write(b"more")
    it.end(process)
    same_trees(it / "store", it / "src")


@case
def a_file_that_shrinks_is_reported_or_right(it):
    one_file(it)
    process = slow_put(it)
    os.truncate(it / "src/f", MIB)
    done = it.end(process, (0, 1))
    if done.status == 1:
        reported_as_changed(it, done)
    settles(it)


@case
def a_file_that_is_written_with_its_size_and_time_kept_is_seen(it):
    one_file(it)
    st = os.stat(it / "src/f")
    process = slow_put(it)
    while process.poll() is None:
        with open(it / "src/f", "r+b") as file:
            file.seek(random.randrange(4 * MIB))
            file.write(b"x")
        os.utime(it / "src/f", ns=(st.st_mtime_ns, st.st_mtime_ns))
        time.sleep(0.05)
    reported_as_changed(it, it.end(process, 1))
    settles(it)


@case
def a_file_that_is_replaced_is_read_again(it):
    one_file(it)
    write(it / "other", os.urandom(MIB))
    set_age(it.path)
    process = slow_put(it)
    os.rename(it / "other", it / "src/f")
    done = it.end(process, (0, 1))
    if done.status == 1:
        reported_as_changed(it, done)
    settles(it)


@case
def a_file_that_vanishes_is_named(it):
    one_file(it)
    process = slow_put(it)
    os.unlink(it / "src/f")
    reported_as_changed(it, it.end(process, 1))


@case
def a_file_that_becomes_a_fifo_does_not_hang(it):
    one_file(it)
    it.lade("plan", "--job", "job", "src", "file:store")
    os.unlink(it / "src/f")
    os.mkfifo(it / "src/f")
    it.lade("run", "job", status=1, timeout=30).has("f: ", "not a regular file")
    equal(keys(it / "store"), ["still"])


@case
def a_file_that_becomes_a_link_is_not_followed(it):
    one_file(it)
    write(it / "secret", b"secret")
    it.lade("plan", "--job", "job", "src", "file:store")
    os.unlink(it / "src/f")
    os.symlink("../secret", it / "src/f")
    it.lade("run", "job", status=1)
    equal(keys(it / "store"), ["still"])


@case
def a_directory_that_becomes_a_link_is_not_followed(it):
    make_tree(it / "src", {"d/f": b"F", "still": b"S"})
    make_tree(it / "outside", {"f": b"secret"})
    it.lade("plan", "--job", "job", "src", "file:store")
    shutil.rmtree(it / "src/d")
    os.symlink("../outside", it / "src/d")
    it.lade("run", "job", status=1).has("d/f")
    check("d/f" not in keys(it / "store"), "a link led out of the source")
    equal(read(it / "store/still"), b"S")


@case
def what_vanished_since_the_plan_is_named(it):
    make_tree(it / "src", {"d/e/f": b"F", "gone": b"G", "still": b"S", "link": b""})
    os.unlink(it / "src/link")
    os.symlink("still", it / "src/link")
    it.lade("plan", "--job", "job", "src", "file:store")
    shutil.rmtree(it / "src/d")
    os.unlink(it / "src/gone")
    os.unlink(it / "src/link")
    it.lade("run", "job", status=1).has("d/e/f", "gone", "link")
    equal(read(it / "store/still"), b"S")
    it.lade("put", "--job", "job", "src", "file:store")


@case
def a_file_that_grew_since_the_plan_is_put_as_it_is(it):
    make_tree(it / "src", {"f": b"small", "g": b"larger than it will be", "h": b"H"})
    it.lade("plan", "--job", "job", "src", "file:store")
    write(it / "src/f", b"x" * 100000)
    write(it / "src/g", b"")
    it.lade("run", "job")
    same_trees(it / "store", it / "src")


@case
def a_large_file_that_changes_under_its_parts_is_reported(it):
    os.mkdir(it / "src")
    with open(it / "src/f", "wb") as file:
        file.truncate(200 * MIB)
        file.seek(10 * MIB)
        file.write(os.urandom(MIB))
    write(it / "src/still", b"still")
    set_age(it / "src")
    process = it.start("put", "--bwlimit", "60M", "--retries", "0", "--json", "src", "file:store")
    it.wait_for(lambda: (it / "store").exists() and temporaries(it / "store"), process)
    while process.poll() is None:
        with open(it / "src/f", "r+b") as file:
            file.seek(random.randrange(200 * MIB))
            file.write(b"x")
        time.sleep(0.05)
    reported_as_changed(it, it.end(process, 1))
    settles(it)


def churn(top, dice, stop):
    """Make, change, rename and remove entries below top until stop is set."""
    number = 0
    while not stop.is_set():
        number += 1
        folder = os.path.join(top, f"d{dice.randrange(8)}", *([f"e{dice.randrange(3)}"] * dice.randrange(2)))
        path = os.path.join(folder, f"f{dice.randrange(40)}")
        try:
            kind = dice.randrange(7)
            if kind <= 2:
                os.makedirs(folder, exist_ok=True)
                with open(path, "wb") as file:
                    # Whatever is read of it, it is one letter, and its length is in its name of content.
                    file.write(b"%c" % dice.choice(b"abcdef") * dice.randrange(200000))
            elif kind == 3:
                os.unlink(path)
            elif kind == 4:
                shutil.rmtree(folder, ignore_errors=True)
            elif kind == 5:
                os.rename(path, path + "x")
            else:
                os.symlink("f1", path)
        except OSError:
            pass
        time.sleep(0.0005)


@case
def a_tree_in_constant_change_never_gives_torn_objects(it):
    dice = random_of("churn", 1)
    for _ in range(20 if LONG else 3):
        shutil.rmtree(it / "src", ignore_errors=True)
        make_tree(it / "src", {f"d{a}/e{b}/f{c}": b"z" * 10000 for a in range(8) for b in range(3) for c in range(20)})
        make_tree(it / "src", {"quiet/" + str(number): os.urandom(3000) for number in range(50)})
        stop = threading.Event()
        thread = threading.Thread(target=churn, args=(os.fspath(it / "src"), dice, stop))
        thread.start()
        try:
            for _ in range(3):
                done = it.lade("put", "--bwlimit", "20M", "--overwrite", "--retries", "1", "src", "file:store",
                               status=(0, 1))
                for rel, entry in scan(it / "store").items():
                    if entry.kind == "file" and not rel.endswith(b".rclonelink") and not rel.startswith(b"quiet"):
                        letters = set(read(os.path.join(os.fsencode(it / "store"), rel)))
                        check(len(letters) <= 1, f"{rel} mixes two contents: {letters}", done)
        finally:
            stop.set()
            thread.join()
        it.lade("put", "--overwrite", "src", "file:store", status=(0, 1))
        found, expected = scan(it / "store"), scan(it / "src")
        for rel, entry in expected.items():
            if entry.kind == "file" and found.get(rel) is not None and found[rel].kind == "file":
                equal(found[rel].content, entry.content, f"content of {rel}")
        for rel, entry in expected.items():
            if rel.startswith(b"quiet/"):
                equal(found[rel], entry, f"{rel}, which nobody touched")
        equal(temporaries(it / "store"), [])
        shutil.rmtree(it / "store")
        shutil.rmtree(it / "state")


@case
def an_object_that_changes_while_it_is_fetched_is_never_given_out_torn(it):
    make_tree(it / "src", {"f": b"a" * 4 * MIB})
    set_age(it / "src")
    it.lade("put", "src", "file:store")
    process = it.start("get", "--bwlimit", "2M", "--retries", "0", "file:store", "out")
    it.wait_for(lambda: (it / "out").exists() and temporaries(it / "out"), process)
    time.sleep(0.3)
    write(it / "new", b"b" * 4 * MIB)
    os.rename(it / "new", it / "store/f")
    done = it.end(process, (0, 1, 4))
    if (it / "out/f").exists():
        check(len(set(read(it / "out/f"))) == 1, "two contents in one file", done)
    else:
        check(done.status != 0, "nothing there and status 0", done)


@case
def writing_into_an_object_while_it_is_fetched_is_seen(it):
    make_tree(it / "src", {"f": b"a" * 4 * MIB})
    set_age(it / "src")
    it.lade("put", "src", "file:store")
    process = it.start("get", "--bwlimit", "2M", "--retries", "0", "file:store", "out")
    it.wait_for(lambda: (it / "out").exists() and temporaries(it / "out"), process)
    while process.poll() is None:
        with open(it / "store/f", "r+b") as file:
            file.seek(random.randrange(4 * MIB))
            file.write(b"x")
        time.sleep(0.05)
    done = it.end(process, (1, 4))
    check(not (it / "out/f").exists(), "given out", done)


if __name__ == "__main__":
    main()
