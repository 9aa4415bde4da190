"""lade get: names below the directory, what is there already, and keys that want to get out of it."""
import os
import stat

from harness import (Link, Skip, as_nobody, case, check, equal, keys, main, make_tree, read, same_trees, scan, set_age,
                     stamps, temporaries, write)

TREE = {"a": b"A", "sub/b": b"BB", "sub/deep/c": b"CCC", "sub/l": Link("b")}


def stored(it, name="store", content=None):
    """A store with objects, as lade put makes it, from src."""
    make_tree(it / "src", content or TREE)
    set_age(it / "src")
    it.lade("put", "src", f"file:{name}")


# ---- names ----

@case
def what_is_below_a_location_comes_below_the_directory(it):
    stored(it)
    for number, (location, target) in enumerate((("store", "o1"), ("store/", "o2"), ("store", "o3/"))):
        it.lade("get", f"file:{location}", target)
        same_trees(it / f"o{number + 1}", it / "src")


@case
def a_prefix_is_a_location_too(it):
    stored(it)
    it.lade("get", "file:store/sub", "out")
    same_trees(it / "out", it / "src/sub")


@case
def keep_name_puts_the_last_name_between(it):
    stored(it)
    it.lade("get", "--keep-name", "file:store/sub/", "out")
    same_trees(it / "out/sub", it / "src/sub")


@case
def several_locations_keep_their_last_names(it):
    stored(it)
    it.lade("get", "file:store/sub", "file:store/a", "out")
    equal(keys(it / "out"), ["a", "sub/b", "sub/deep/c", "sub/l"])
    it.lade("get", "file:store/a", "file:store/a", "out2", status=2).has("'a'")


@case
def several_locations_are_taken_in_the_order_of_their_keys(it):
    """"run-2/" comes before "run/", although "run" comes before "run-2"."""
    stored(it, content={f"{name}/{i}": b"%d" % i for name in ("run", "run-2", "run0") for i in range(3)})
    locations = [f"file:store/{name}" for name in ("run", "run-2", "run0")]
    it.lade("get", *locations, "out")
    same_trees(it / "out", it / "src", ignore=("mtime_ns",))
    before = stamps(it / "out")
    it.lade("get", *locations, "out").has_not("there already")
    equal(stamps(it / "out"), before)
    it.lade("get", "--job", "other", *locations, "out").has_not("there already")


@case
def one_object_keeps_its_name_below_the_directory(it):
    stored(it)
    it.lade("get", "file:store/sub/b", "out")
    equal(keys(it / "out"), ["b"])
    equal(read(it / "out/b"), b"BB")


@case
def to_gives_one_object_another_name(it):
    stored(it)
    it.lade("get", "--to", "new/name", "file:store/a")
    equal(read(it / "new/name"), b"A")
    write(it / "there", b"something else")
    it.lade("get", "--to", "there", "file:store/a", status=1).has("there")
    equal(read(it / "there"), b"something else")
    it.lade("get", "--overwrite", "--to", "there", "file:store/a")
    equal(read(it / "there"), b"A")


@case
def to_takes_exactly_one_object(it):
    stored(it)
    it.lade("get", "--to", "x", "file:store/sub", status=2).has("sub")
    it.lade("get", "--to", "x/", "file:store/a", status=2)
    it.lade("get", "--to", "x", "file:store/a", "file:store/sub/b", status=2)
    check(not (it / "x").exists(), "something was made")


@case
def locations_are_literal_without_glob(it):
    stored(it, content={"x*": b"star", "xy": b"no"})
    it.lade("get", "file:store/x*", "out")
    equal(keys(it / "out"), ["x*"])


@case
def glob_takes_wildcards(it):
    stored(it, content={"run1/a.fits": b"1", "run1/b.txt": b"2", "run2/a.fits": b"3", "other/a.fits": b"4"})
    it.lade("get", "--glob", "file:store/run*/a.fits", "out")
    equal(keys(it / "out"), ["run1/a.fits", "run2/a.fits"])


@case
def filters_apply_to_get(it):
    stored(it)
    it.lade("get", "--exclude", "deep/**", "file:store", "out")
    equal(keys(it / "out"), ["a", "sub/b", "sub/l"])


@case
def a_location_that_is_not_there_is_named(it):
    stored(it)
    it.lade("get", "file:store/nothing", "out", status=(1, 3)).has("nothing")
    it.lade("get", "file:absent", "out", status=(1, 3)).has("absent")
    equal(keys(it / "out") if (it / "out").exists() else [], [])


@case
def the_directory_is_needed(it):
    stored(it)
    it.lade("get", "file:store", status=2).has("directory")


@case
def nothing_comes_out_of_null(it):
    it.lade("get", "null:", "out", status=(2, 3)).has("null:")


# ---- what is there ----

@case
def a_different_file_is_never_replaced_without_overwrite(it):
    stored(it)
    make_tree(it / "out", {"a": b"mine", "sub/b": b"my other"})
    done = it.lade("get", "file:store", "out", status=1)
    done.has("a: ", "sub/b", "--overwrite")
    equal(read(it / "out/a"), b"mine")
    equal(read(it / "out/sub/b"), b"my other")
    equal(read(it / "out/sub/deep/c"), b"CCC")
    it.lade("get", "--overwrite", "file:store", "out")
    same_trees(it / "out", it / "src")


@case
def a_directory_in_the_way_is_never_replaced(it):
    stored(it)
    make_tree(it / "out", {"a/inside": b"mine"})
    it.lade("get", "file:store", "out", status=1).has("a")
    it.lade("get", "--overwrite", "file:store", "out", status=1).has("a")
    equal(read(it / "out/a/inside"), b"mine")
    equal(read(it / "out/sub/b"), b"BB")


@case
def a_file_where_a_directory_must_be_is_named(it):
    stored(it)
    make_tree(it / "out", {"sub": b"mine"})
    it.lade("get", "file:store", "out", status=1).has("sub")
    equal(read(it / "out/sub"), b"mine")
    equal(read(it / "out/a"), b"A")


@case
def a_second_run_fetches_nothing(it):
    stored(it)
    it.lade("get", "file:store", "out")
    before = stamps(it / "out")
    it.lade("get", "file:store", "out")
    equal(stamps(it / "out"), before)
    it.lade("get", "--job", "another", "file:store", "out")
    equal(stamps(it / "out"), before)


@case
def a_second_run_fetches_only_what_is_missing(it):
    stored(it)
    it.lade("get", "file:store", "out")
    before = stamps(it / "out")
    os.unlink(it / "out/sub/b")
    it.lade("get", "file:store", "out")
    same_trees(it / "out", it / "src")
    after = stamps(it / "out")
    equal([rel for rel in before if after[rel] != before[rel]], [b"sub/b"], "what was fetched")


@case
def checksum_compares_content(it):
    stored(it)
    it.lade("get", "file:store", "out")
    st = os.stat(it / "out/a")
    write(it / "out/a", b"x")
    os.utime(it / "out/a", ns=(st.st_mtime_ns, st.st_mtime_ns))
    it.lade("get", "--checksum", "file:store", "out", status=1).has("a: ", "--overwrite")
    equal(read(it / "out/a"), b"x")
    it.lade("get", "--checksum", "--overwrite", "file:store", "out")
    same_trees(it / "out", it / "src")


@case
def files_that_lade_did_not_fetch_stay(it):
    stored(it)
    make_tree(it / "out", {"mine": b"mine", "sub/mine": b"mine"})
    it.lade("get", "file:store", "out")
    equal(read(it / "out/mine"), b"mine")
    equal(read(it / "out/sub/mine"), b"mine")


@case
def a_dry_run_of_get_keeps_nothing(it):
    stored(it)
    done = it.lade("get", "--dry-run", "file:store", "out")
    done.has(f"(dryrun) download: file:{it / 'store/a'} to {it / 'out/a'}\n")
    check(not (it / "out").exists(), "the directory was made")


@case
def a_dry_run_of_get_into_a_directory_that_is_not_there(it):
    stored(it)
    it.lade("get", "--dry-run", "file:store", "none/out").has("(dryrun) download:", "sub/b")
    check(not os.path.lexists(it / "none"), "the directory was made")


@case
def max_batches_of_get_stops_with_5_and_goes_on(it):
    stored(it, content={f"d{i:02}/f{j:03}": b"%d" % j for i in range(30) for j in range(100)})
    it.lade("get", "--max-batches", "1", "file:store", "out", status=5)
    check(0 < len(keys(it / "out")) < 3000, "not one batch")
    it.lade("get", "file:store", "out")
    same_trees(it / "out", it / "src")


@case
def foreign_files_can_be_fetched(it):
    make_tree(it / "store", {"a": b"A", "d/b": b"B", "l": Link("a")})
    set_age(it / "store")
    it.lade("get", "file:store", "out", status=(0, 1))
    equal(read(it / "out/a"), b"A")
    equal(read(it / "out/d/b"), b"B")


# ---- no way out ----

@case
def links_on_the_way_to_the_target_are_the_user_s_own(it):
    stored(it)
    os.mkdir(it / "real")
    os.symlink("real", it / "link")
    os.mkdir(it / "real/home")
    it.lade("get", "file:store", "link/deep/out", env={"XDG_STATE_HOME": str(it / "link/home/state")})
    same_trees(it / "real/deep/out", it / "src")


@case
def links_in_the_target_lead_nowhere(it):
    stored(it, content={"sub/f": b"F", "g": b"G", "h": b"H"})
    make_tree(it / "outside", {"f": b"mine", "g": b"mine"})
    before = scan(it / "outside")
    make_tree(it / "out", {"sub": Link("../outside"), "g": Link("../outside/g"), "h": Link("../outside/new")})
    for options in ((), ("--overwrite",)):
        it.lade("get", *options, "file:store", "out", status=(0, 1))
        same_trees(it / "outside", before, "directory outside")
    check(stat.S_ISREG(os.lstat(it / "out/g").st_mode), "--overwrite does not replace the link itself")


@case
def a_stored_link_is_not_followed_when_what_is_below_it_comes(it):
    """The store holds a link `x` and, put there by somebody else, an object x/f."""
    stored(it, content={"x": Link("../outside"), "a": b"A"})
    make_tree(it / "outside", {"f": b"mine"})
    before = scan(it / "outside")
    make_tree(it / "store", {"x/f": b"hostile", "x/new": b"hostile"})
    for options in ((), ("--overwrite",), ("--transfers", "1")):
        it.lade("get", "--job", f"job{len(options)}", *options, "file:store", "out", status=1)
        same_trees(it / "outside", before, "directory outside")


@case
def a_link_that_appears_while_get_runs_is_not_followed(it):
    many = {f"d/f{i:04}": b"%d" % i * 100 for i in range(2000)}
    stored(it, content=many)
    os.mkdir(it / "outside")
    process = it.start("get", "--bwlimit", "200K", "file:store", "out")
    it.wait_for(lambda: (it / "out/d").exists() and len(os.listdir(it / "out/d")) > 50, process)
    os.rename(it / "out/d", it / "out/moved")
    os.symlink("../outside", it / "out/d")
    process.terminate()
    it.end(process, status=(0, 1, 143))
    equal(os.listdir(it / "outside"), [], "what was written outside")


@case
def what_cannot_be_written_is_named_and_the_rest_goes_on(it):
    stored(it)
    make_tree(it / "out/sub", {"mine": b""})
    for name in ("home", "out", "."):
        os.chmod(it / name, 0o777)
    os.chmod(it / "out/sub", 0o555)
    done = it.lade("get", "--job", "home/job", "file:store", "out", prefix=as_nobody(), status=1)
    done.has("sub/b", "ermission denied")
    equal(read(it / "out/a"), b"A")


@case
def what_is_damaged_in_the_store_is_never_given_out(it):
    """A bit flipped under the recorded digest: corrupt, exit 4 or 1, and no file of that name."""
    stored(it, content={"good": b"good", "bad": b"x" * 100000})
    st = os.stat(it / "store/bad")
    data = bytearray(read(it / "store/bad"))
    data[5000] ^= 1
    write(it / "store/bad", bytes(data))
    os.utime(it / "store/bad", ns=(st.st_mtime_ns, st.st_mtime_ns))
    done = it.lade("get", "--retries", "0", "file:store", "out", status=(1, 4))
    done.has("bad")
    equal(keys(it / "out"), ["good"])
    equal(temporaries(it / "out"), [])


@case
def get_as_another_user_sets_what_it_may(it):
    stored(it)
    if not as_nobody():
        raise Skip("only root can become somebody else")
    for name in ("home", "."):
        os.chmod(it / name, 0o777)
    it.lade("get", "--job", "home/job", "file:store", "out", prefix=as_nobody(), status=0)
    same_trees(it / "out", it / "src", ignore=("uid", "gid"))
    equal(os.stat(it / "out/a").st_uid, 65534)


if __name__ == "__main__":
    main()
