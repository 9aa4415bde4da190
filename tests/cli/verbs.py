"""ls, check, rm: what they tell, what they change, and how they end."""
import json
import os
import pty
import shutil
import signal
import subprocess
import time

from harness import Dir, Link, case, check, equal, keys, main, make_tree, read, same_trees, scan, set_age, write

TREE = {"a": b"A", "sub/b": b"BB", "sub/deep/c": b"CCC", "sub/l": Link("b"), "empty": Dir()}


def stored(it, content=None):
    make_tree(it / "src", content or TREE)
    set_age(it / "src")
    it.lade("put", "src", "file:store")


# ---- ls ----

@case
def ls_lists_one_level(it):
    stored(it)
    equal(it.lade("ls", "file:store").out, "a\nempty/\nsub/\n")
    equal(it.lade("ls", "file:store/sub").out, "b\ndeep/\nl.rclonelink\n")
    equal(it.lade("ls", "file:store/sub/").out, "b\ndeep/\nl.rclonelink\n")


@case
def ls_recursive_lists_all_in_the_order_of_bytes(it):
    stored(it)
    expected = "a\nempty/\nsub/b\nsub/deep/c\nsub/l.rclonelink\n"
    equal(it.lade("ls", "--recursive", "file:store").out, expected)
    equal(it.lade("ls", "-R", "file:store/").out, expected)
    stored_names = ["a-b", "a.b", "a/b", "a0", "ab"]
    make_tree(it / "other", {name: b"" for name in stored_names})
    equal(it.lade("ls", "-R", "file:other").out, "".join(f"{name}\n" for name in sorted(stored_names)))


@case
def ls_of_one_object(it):
    stored(it)
    equal(it.lade("ls", "file:store/a").out, "a\n")
    it.lade("ls", "file:store/nothing", status=(1, 3)).has("nothing")
    it.lade("ls", "file:absent", status=(1, 3)).has("absent")


@case
def ls_long_has_columns_that_stay(it):
    stored(it, {"small": b"x", "large": b"x" * 1234567, "dir/f": b""})
    lines = it.lade("ls", "-l", "file:store").out.splitlines()
    files = [line for line in lines if line.endswith(("small", "large"))]
    equal(len(files), 2, "lines of files")
    starts = {line.index(name) for line, name in zip(files, ("large", "small"))}
    equal(len(starts), 1, "columns in which names start")
    check(any("1234567" in line for line in files), "the size is not told", lines)
    check(all(time.strftime("%Y-") in line for line in files), "the date is not told", lines)


@case
def ls_json_gives_names_back_as_bytes(it):
    stored(it, {b"\xff\n": b"abc", "plain": b""})
    rows = [json.loads(line) for line in it.lade("ls", "--json", "file:store").out.splitlines()]
    equal({os.fsencode(row["key"]): row["size"] for row in rows}, {b"\xff\n": 3, b"plain": 0})
    check(all(row["etag"] and row["time"] for row in rows), "no etag or time", rows)


@case
def ls_streams(it):
    """The first lines come while the listing goes on: a reader that closes early ends it early."""
    make_tree(it / "store", {f"f{number:05}": b"" for number in range(20000)})
    began = time.monotonic()
    process = it.start("ls", "file:store")
    equal(process.stdout.readline(), b"f00000\n")
    process.stdout.close()
    process.wait(timeout=20)
    check(time.monotonic() - began < 10, "went on although nobody reads")
    process.stdout = None


@case
def ls_on_a_terminal_escapes_names(it):
    stored(it, {"a\x1b[31mred": b""})
    leader, follower = pty.openpty()
    process = it.start("ls", "file:store", stdout=follower)
    os.close(follower)
    shown = os.read(leader, 1000)
    it.end(process)
    os.close(leader)
    check(b"\x1b" not in shown and b"red" in shown, f"shown: {shown!r}")


# ---- check ----

@case
def check_of_what_was_put_is_0_and_changes_nothing(it):
    stored(it)
    before, after = scan(it / "src"), scan(it / "store")
    for options in ((), ("--deep",), ("--download",), ("--deep", "--download"), ("--json",)):
        it.lade("check", *options, "src", "file:store")
    same_trees(it / "src", before)
    same_trees(it / "store", after)
    it.lade("check", next((it / "state/lade/jobs").iterdir()))


@case
def check_names_what_is_missing(it):
    stored(it)
    os.unlink(it / "store/sub/b")
    os.rmdir(it / "store/empty")
    done = it.lade("check", "src", "file:store", status=1)
    done.has("missing: sub/b").has_not("missing: a\n")


@case
def check_names_what_differs_in_size_or_time(it):
    stored(it)
    write(it / "store/a", b"other")
    it.lade("check", "src", "file:store", status=4).has("different: a: ")


@case
def check_finds_content_that_differs_behind_equal_size_and_time(it):
    stored(it)
    for place, option in (("src", "--deep"), ("store", "--download")):
        path = it / place / "a"
        st = os.stat(path)
        data = read(path)
        write(path, b"x")
        os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))
        it.lade("check", option, "src", "file:store", status=4).has("different: a: ")
        write(path, data)
        os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))
    it.lade("check", "--deep", "--download", "src", "file:store")


@case
def check_works_without_a_record(it):
    stored(it)
    shutil.rmtree(it / "state")
    it.lade("check", "src", "file:store")
    it.lade("check", "--deep", "--download", "src", "file:store")
    os.unlink(it / "store/a")
    it.lade("check", "src", "file:store", status=1).has("missing: a")


@case
def check_missing_writes_a_list_that_put_takes(it):
    stored(it, {**{f"d/f{number}": b"%d" % number for number in range(50)}, "new\nline": b"N", b"\xff": b"F"})
    os.unlink(it / "store/d/f7")
    os.unlink(it / "store/new\nline")
    os.unlink(os.path.join(os.fsencode(it / "store"), b"\xff"))
    write(it / "store/d/f9", b"different now")
    it.lade("check", "--missing", "left", "src", "file:store", status=4)
    equal(sorted(read(it / "left").split(b"\0")), sorted([b"", b"d/f7", b"new\nline", b"\xff", b"d/f9"]))
    it.lade("put", "-0", "--files-from", "left", "--overwrite", "--job", "again", "src", "file:store")
    it.lade("check", "--missing", "left", "src", "file:store")
    equal(read(it / "left"), b"", "the list when all is well")


@case
def check_of_an_unreadable_source_is_told(it):
    stored(it)
    it.lade("check", "absent", "file:store", status=(1, 3)).has("absent")
    it.lade("check", "src", "file:absent", status=(1, 3)).has("absent")


@case
def check_names_what_only_the_store_has_or_passes_over_it(it):
    """What the store has besides is no fault of the copy: exit 0."""
    stored(it)
    write(it / "store/foreign", b"F")
    it.lade("check", "src", "file:store")


@case
def sigint_ends_a_check(it):
    make_tree(it / "src", {"f": b"x" * (8 << 20)})
    set_age(it / "src")
    it.lade("put", "src", "file:store")
    process = it.start("check", "--deep", "--bwlimit", "500K", "src", "file:store")
    time.sleep(0.6)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    it.end(process, 130)
    check(time.monotonic() - began < 2, "took long to end")


# ---- rm ----

@case
def rm_removes_one_object(it):
    stored(it)
    it.lade("rm", "file:store/sub/b")
    equal(keys(it / "store"), ["a", "sub/deep/c", "sub/l.rclonelink"])


@case
def rm_without_recursive_keeps_what_is_below(it):
    stored(it)
    before = keys(it / "store")
    it.lade("rm", "file:store/sub", status=(1, 2)).has("--recursive")
    it.lade("rm", "file:store/sub/", status=(1, 2))
    it.lade("rm", "file:store", status=(1, 2))
    equal(keys(it / "store"), before)


@case
def rm_recursive_removes_all_below_and_nothing_else(it):
    stored(it)
    make_tree(it / "store", {"sub2/x": b"X", "su": b"S"})
    it.lade("rm", "--recursive", "file:store/sub")
    equal(keys(it / "store"), ["a", "su", "sub2/x"])
    check(not (it / "store/sub").exists(), "the directory is left")


@case
def rm_dry_run_changes_nothing(it):
    stored(it)
    before = scan(it / "store")
    it.lade("rm", "--recursive", "--dry-run", "file:store/sub").has("sub/b", "sub/deep/c")
    same_trees(it / "store", before)


@case
def rm_of_what_is_not_there_ends_with_1(it):
    stored(it)
    it.lade("rm", "file:store/nothing", status=1).has("nothing")
    it.lade("rm", "--recursive", "file:store/nothing", status=1).has("nothing")


@case
def rm_never_follows_links_out_of_the_store(it):
    stored(it)
    make_tree(it / "outside", {"f": b"mine", "g/h": b"mine"})
    before = scan(it / "outside")
    os.symlink("../outside", it / "store/sub/out")
    it.lade("rm", "--recursive", "file:store/sub", status=(0, 1))
    it.lade("rm", "file:store/sub/out/f", status=(0, 1, 3))
    same_trees(it / "outside", before)


# ---- all of them ----

@case
def what_was_removed_is_put_again(it):
    stored(it)
    it.lade("rm", "file:store/a")
    it.lade("check", "src", "file:store", status=1)
    it.lade("put", "src", "file:store")
    it.lade("check", "src", "file:store")


@case
def a_full_standard_output_is_an_error(it):
    if not os.path.exists("/dev/full"):
        return
    stored(it)
    with open("/dev/full", "wb") as full:
        process = it.start("ls", "file:store", stdout=full)
        status = process.wait(timeout=20)
    process.stdout = None
    check(status != 0, "lost output, and exit status 0")


@case
def the_environment_sets_options(it):
    stored(it)
    it.lade("get", "file:store", "out", env={"LADE_KEEP_NAME": "1"})
    check((it / "out/store/a").exists(), "LADE_KEEP_NAME=1 has no effect", subprocess.run(
        ["find", str(it / "out")], capture_output=True, check=False).stdout.decode())


# ---- all verbs ----

@case
def every_verb_has_help_by_option_and_by_verb(it):
    for verb in json.loads(it.lade("help", "--json").out)["verbs"]:
        name = verb["name"]
        page = it.lade(name, "--help").out
        equal(it.lade(name, "-h").out, page, f"lade {name} -h")
        equal(it.lade("help", name).out, page, f"lade help {name}")
        check(f"usage: lade {name}" in page, f"no usage of {name}", page)
        for row in verb["options"]:
            check(f"--{row['name']}" in page, f"the help of {name} lacks --{row['name']}", page)


@case
def help_writes_man_pages_and_completions(it):
    page = it.lade("help", "--man", "put").out
    check(page.startswith(".") and ".SH OPTIONS" in page, "that is no manual page", page[:200])
    for shell, word in (("bash", "-F _lade lade"), ("zsh", "#compdef lade"), ("fish", "complete -c lade")):
        it.lade("help", "--completion", shell).has(word)
    it.lade("help", "--completion", "tcsh", status=2).has("tcsh")


@case
def long_and_short_options_do_the_same(it):
    make_tree(it / "src", {"f": b"F", "l": Link("f"), "x\ny": b"X"})
    set_age(it / "src")
    name = "x\ny"
    for long, short in (("--copy-links", "-L"), ("--null", "-0")):
        for option in (long, short):
            store = f"file:{option.strip('-')}"
            more = ("--files-from", "-") if long == "--null" else ()
            it.lade("put", option, *more, "src", store, input=b"x\ny\0")
            equal(keys(it / option.strip("-")), [name] if more else ["f", "l", "x\ny"], f"what {option} put")
            if long == "--copy-links":
                it.lade("check", option, "src", store)
                it.lade("check", "src", store, status=1)
    store = "file:copy-links"
    equal(it.lade("ls", "--long", store).out, it.lade("ls", "-l", store).out, "lade ls --long")
    make_tree(it / "twice", {"f": b"F", "f.tmp": b"T"})
    for option in ("--verbose", "-v"):
        it.lade("put", "--dry-run", option, "--exclude", "*.tmp", "twice", "file:v").has("f.tmp")


if __name__ == "__main__":
    main()
