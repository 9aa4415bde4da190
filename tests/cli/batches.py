"""Batches: how large they are, and the list of them that tools before lade read."""
import json
import os

from harness import case, check, equal, main, make_tree, same_trees, set_age, write


def plan(it, job, *options, dest="file:store"):
    it.lade("plan", "--job", job, *options, "src", dest)


def exported(it, job, *options):
    plan(it, job, "--export", f"{job}.json", *options)
    return json.loads((it / f"{job}.json").read_text())


def sizes(it, job):
    """Entries of each batch, from the footers."""
    return len(list((it / job).glob("g000001/*.seg")))


@case
def batches_are_listed_as_whole_directories(it):
    make_tree(it / "src", {f"{top}/{sub}/f{number}": b"x" for top in "abc" for sub in "xy" for number in range(40)})
    src = str(it / "src")
    equal(exported(it, "one"), {"completed": [], "queued": [src], "failed": []})
    # What a batch of 80 and more entries holds: a (with x and y), b, c.
    equal(exported(it, "few", "--batch-objects", "80"),
          {"completed": [], "queued": [f"{src}/a", f"{src}/b", f"{src}/c"], "failed": []})
    equal(exported(it, "many", "--batch-objects", "30")["queued"],
          [f"{src}/{top}/{sub}" for top in "abc" for sub in "xy"])


@case
def a_batch_that_begins_in_a_directory_lists_what_is_left_of_it(it):
    make_tree(it / "src", {f"flat/f{number:03}": b"x" for number in range(100)} | {"z/one": b"1"})
    src = str(it / "src")
    queued = exported(it, "job", "--batch-objects", "20")["queued"]
    check(queued == [f"{src}/flat/f{number:03}" for number in range(100)] + [f"{src}/z"], "other paths", queued[:3], queued[-2:])
    # Bounded: a flat directory is cut at twice the number.
    check(sizes(it, "job") >= 3, "the flat directory is not cut")


@case
def batches_are_bounded_by_bytes(it):
    make_tree(it / "src", {f"d{number}/f{file}": b"x" * 10000 for number in range(10) for file in range(10)})
    plan(it, "min", "--batch-bytes", "200KB..1GB")
    equal(sizes(it, "min"), 5, "batches of two directories")
    plan(it, "max", "--batch-bytes", "40KB..50KB")
    equal(sizes(it, "max"), 20, "batches that are cut within a directory")
    for bad in ("0..1", "5..x", "9GB..1GB", "x"):
        it.lade("plan", "--batch-bytes", bad, "src", "file:store", status=2).has("--batch-bytes")
    it.lade("plan", "--batch-objects", "0", "src", "file:store", status=2).has("--batch-objects")


@case
def the_same_tree_gives_the_same_list_byte_for_byte(it):
    make_tree(it / "src", {f"d{number % 37:02}/e{number % 5}/f{number:05}": b"x" for number in range(5000)})
    lists = []
    for number, crawlers in enumerate((1, 2, 8, 16)):
        plan(it, f"job{number}", "--crawlers", str(crawlers), "--batch-objects", "700", "--export", "list.json")
        lists.append((it / "list.json").read_bytes())
    check(all(one == lists[0] for one in lists), "another plan, another list")
    out = it.lade("plan", "--job", "job0", "--batch-objects", "700", "--export", "-", "src", "file:store").out
    equal(out.encode(), lists[0], "what is written to standard output")


@case
def names_of_any_bytes_come_back(it):
    names = [b"new\nline", b'quote"back\\slash', b"latin-\xe9", "ü".encode(), b" spaces "]
    make_tree(it / "src", {os.fsdecode(b"d/" + name): b"x" for name in names} | {"a/b": b"1"})
    queued = exported(it, "job", "--batch-objects", "1")["queued"]
    found = {os.fsencode(path.rsplit("/", 1)[1]) for path in queued if "/src/d/" in path}
    equal(found, set(names))


@case
def completed_and_failed_batches_are_told(it):
    make_tree(it / "src", {f"{top}/f{number}": b"x" for top in "abc" for number in range(50)})
    set_age(it / "src")
    write(it / "rules", b"put key=b/f7 fail=denied\n")
    faults = {"LADE_FAULTS": "1"}
    dest = f"fault:{it / 'rules'}+{it / 'store'}"
    options = ("--job", "job", "--batch-objects", "40")
    it.lade("put", *options, "--max-batches", "2", "src", dest, env=faults, status=5)
    it.lade("plan", *options, "--export", "list.json", "src", dest, env=faults)
    src = str(it / "src")
    equal(json.loads((it / "list.json").read_text()),
          {"completed": [f"{src}/a"], "queued": [f"{src}/c"], "failed": [f"{src}/b"]})


@case
def several_sources_are_told_by_their_own_paths(it):
    make_tree(it / "one", {"x": b"1"})
    make_tree(it / "two", {"y": b"2"})
    it.lade("plan", "--job", "job", "--batch-objects", "1", "--export", "list.json", "one", "two", "file:store")
    equal(json.loads((it / "list.json").read_text())["queued"], [str(it / "one"), str(it / "two")])


@case
def an_export_is_whole_or_not_there(it):
    make_tree(it / "src", {"a": b"1"})
    it.lade("plan", "--export", "nowhere/list.json", "src", "file:store", status=1).has("nowhere/list.json")
    it.lade("plan", "--dry-run", "--export", "list.json", "src", "file:store", status=2).has("--export")
    check(not (it / "list.json").exists(), "a list was written")
    same_trees(it / "src", it / "src")


main()
