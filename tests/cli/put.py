"""lade put: names of keys, what takes part, what is refused, what is replaced."""
import os
import pathlib
import socket
import stat
import subprocess
import time

from harness import (Link, ROOT, Skip, as_nobody, case, check, equal, keys, main, make_tree, read, scan,
                     same_trees, set_age, stamps, temporaries, write)

SMALL = {"a": b"A", "sub/b": b"BB", "sub/deep/c": b"CCC"}


def small(it, name="src"):
    make_tree(it / name, SMALL)
    set_age(it / name)


# ---- names ----

@case
def one_directory_comes_below_the_destination(it):
    small(it)
    for source, dest in (("src", "d1"), ("src/", "d2"), ("src", "d3/"), ("./src/.", "d4"), ("file:src", "d5")):
        it.lade("put", source, f"file:{dest}")
        equal(keys(it / dest), ["a", "sub/b", "sub/deep/c"], f"keys of put {source} {dest}")


@case
def keep_name_puts_the_directory_s_name_between(it):
    small(it)
    it.lade("put", "--keep-name", "src/", "file:d")
    equal(keys(it / "d"), ["src/a", "src/sub/b", "src/sub/deep/c"])


@case
def several_sources_keep_their_names(it):
    small(it, "x/one")
    small(it, "y/two")
    write(it / "file", b"F")
    it.lade("put", "x/one", "y/two/", "file", "file:d/p")
    equal(keys(it / "d"), sorted(["p/file"] + [f"p/{name}/{key}" for name in ("one", "two") for key in SMALL]))


@case
def one_file_goes_to_exactly_that_key(it):
    write(it / "one", b"1")
    it.lade("put", "one", "file:d/sub/key")
    equal(keys(it / "d"), ["sub/key"])
    equal(read(it / "d/sub/key"), b"1")


@case
def one_file_goes_below_a_destination_with_a_slash(it):
    write(it / "one", b"1")
    it.lade("put", "one", "file:d/sub/")
    equal(keys(it / "d"), ["sub/one"])


@case
def one_file_goes_below_a_store_that_exists(it):
    write(it / "one", b"1")
    os.mkdir(it / "d")
    it.lade("put", "one", "file:d")
    equal(keys(it / "d"), ["one"])


@case
def a_link_to_a_directory_as_source_means_the_directory(it):
    small(it)
    os.symlink("src", it / "link")
    it.lade("put", "link", "file:d")
    equal(keys(it / "d"), ["a", "sub/b", "sub/deep/c"])


@case
def one_link_as_source_is_kept(it):
    os.symlink("nowhere", it / "link")
    it.lade("put", "link", "file:d/")
    equal(keys(it / "d"), ["link.rclonelink"])
    equal(read(it / "d/link.rclonelink"), b"nowhere")


@case
def two_sources_with_one_key_are_refused_and_named(it):
    small(it, "x/same")
    small(it, "y/same")
    done = it.lade("put", "x/same", "y/same", "file:d", status=2)
    done.has("x/same", "y/same", "'same'")
    check(not (it / "d").exists() or keys(it / "d") == [], "something was moved", done)


@case
def a_link_and_a_file_with_one_key_are_both_named(it):
    make_tree(it / "src", {"n": Link("t"), "n.rclonelink": b"x", "other": b"o"})
    done = it.lade("put", "src", "file:d", status=1)
    done.has("n.rclonelink", "same key")
    check("other" in keys(it / "d"), "the rest does not go on", done)
    check(read(it / "d/n.rclonelink") in (b"x", b"t") if (it / "d/n.rclonelink").exists() else True, "mixed content")


@case
def the_destination_inside_the_source_is_refused(it):
    small(it)
    before = scan(it / "src")
    for dest in ("src", "src/", "src/sub", "src/new/dir", "./src/../src/x"):
        it.lade("put", "src", f"file:{dest}", status=2).has("lies in the source")
    same_trees(it / "src", before)


@case
def a_destination_whose_name_begins_like_the_source_is_fine(it):
    small(it)
    it.lade("put", "src", "file:src2")
    equal(keys(it / "src2"), ["a", "sub/b", "sub/deep/c"])


@case
def a_source_that_is_not_there_is_named(it):
    done = it.lade("put", "absent", "file:d", status=(1, 3))
    done.has("absent", "No such file")


@case
def a_destination_that_is_no_store_is_refused(it):
    small(it)
    it.lade("put", "src", "nosuch:bucket", status=2).has("nosuch:")
    write(it / "plain", b"")
    it.lade("put", "src", "file:plain/x", status=(1, 3)).has("plain")


# ---- what takes part ----

FILTERS = {"a.txt": b"a", "b.tmp": b"b", "keep/c.txt": b"c", "keep/d.tmp": b"d", "cache/e.txt": b"e",
           "cache/deep/f.txt": b"f"}


def put_filtered(it, *options, **more):
    make_tree(it / "src", FILTERS)
    it.lade("put", *options, "src", "file:d", **more)
    return keys(it / "d")


@case
def exclude_leaves_out_what_matches(it):
    equal(put_filtered(it, "--exclude", "*.tmp"), ["a.txt", "cache/deep/f.txt", "cache/e.txt", "keep/c.txt"])


@case
def exclude_of_a_directory_leaves_out_all_it_holds(it):
    equal(put_filtered(it, "--exclude", "cache/**"), ["a.txt", "b.tmp", "keep/c.txt", "keep/d.tmp"])


@case
def include_takes_only_what_matches(it):
    equal(put_filtered(it, "--include", "/keep/*.txt"), ["keep/c.txt"])


@case
def filter_rules_are_tried_in_order(it):
    equal(put_filtered(it, "--filter", "+ c.txt", "--filter", "- *.txt"), ["b.tmp", "keep/c.txt", "keep/d.tmp"])


@case
def rules_come_from_files_and_standard_input(it):
    write(it / "rules", b"# comment\n\n- *.tmp\n- cache/**\n")
    equal(put_filtered(it, "--filter-from", "rules"), ["a.txt", "keep/c.txt"])
    it.lade("put", "--exclude-from", "-", "src", "file:e", input=b"*.txt\n")
    equal(keys(it / "e"), ["b.tmp", "keep/d.tmp"])
    write(it / "some", b"e.txt\n")
    it.lade("put", "--include-from", "some", "src", "file:f")
    equal(keys(it / "f"), ["cache/e.txt"])


@case
def a_bad_rule_is_refused_before_anything_is_read(it):
    make_tree(it / "src", FILTERS)
    it.lade("put", "--filter", "what", "src", "file:d", status=2).has("what")
    it.lade("put", "--exclude", "[a", "src", "file:d", status=2)
    check(not (it / "d").exists(), "a destination was made")


@case
def files_from_takes_lines(it):
    make_tree(it / "src", FILTERS)
    write(it / "list", b"keep/c.txt\na.txt\n")
    it.lade("put", "--files-from", "list", "src", "file:d")
    equal(keys(it / "d"), ["a.txt", "keep/c.txt"])


@case
def files_from_takes_nul_from_standard_input(it):
    make_tree(it / "src", {"new\nline": b"1", "other": b"2", b"\xff": b"3"})
    it.lade("put", "-0", "--files-from", "-", "src", "file:d", input=b"new\nline\0\xff\0")
    equal(sorted(os.listdir(os.fsencode(it / "d"))), [b"new\nline", b"\xff"])


@case
def files_from_names_what_is_not_there(it):
    make_tree(it / "src", FILTERS)
    write(it / "list", b"a.txt\nabsent.txt\n")
    it.lade("put", "--files-from", "list", "src", "file:d", status=1).has("absent.txt")
    equal(keys(it / "d"), ["a.txt"])


@case
def files_from_never_leaves_the_source(it):
    make_tree(it / "src", FILTERS)
    write(it / "secret", b"secret")
    for name in (b"../secret", b"keep/../../secret", os.fsencode(it / "secret")):
        it.lade("put", "--files-from", "-", "--job", f"job{len(name)}", "src", "file:d", input=name + b"\n",
                status=(1, 2))
    for _, _, files in os.walk(it / "d"):
        check("secret" not in files, "a name led out of the source")


@case
def links_keep_follow_skip(it):
    make_tree(it / "src", {"f": b"F", "dir/g": b"G", "l": Link("f"), "ld": Link("dir"), "dead": Link("nothing")})
    it.lade("put", "src", "file:keep")
    equal(keys(it / "keep"), ["dead.rclonelink", "dir/g", "f", "l.rclonelink", "ld.rclonelink"])
    done = it.lade("put", "--links", "follow", "src", "file:follow", status=1)
    done.has("dead", "link to nothing")
    equal(keys(it / "follow"), ["dir/g", "f", "l", "ld/g"])
    equal(read(it / "follow/l"), b"F")
    os.unlink(it / "src/dead")
    it.lade("put", "-L", "src", "file:follow2")
    equal(keys(it / "follow2"), ["dir/g", "f", "l", "ld/g"])
    it.lade("put", "--links", "skip", "src", "file:skip").has("l: is a symbolic link")
    equal(keys(it / "skip"), ["dir/g", "f"])


@case
def following_a_loop_ends(it):
    make_tree(it / "src", {"d/f": b"F", "d/up": Link(".."), "d/self": Link(".")})
    done = it.lade("put", "--links", "follow", "src", "file:d", timeout=60)
    done.has("link to a directory above")
    equal(keys(it / "d"), ["d/f"])


@case
def one_file_system_stays_on_it(it):
    if not ROOT:
        raise Skip("only root may mount")
    make_tree(it / "src", {"f": b"F", "other/hidden": b"H"})
    it.mount("-t", "tmpfs", "none", it / "src/other")
    write(it / "src/other/g", b"G")
    it.lade("put", "--one-file-system", "src", "file:d").has("other", "another file system")
    equal(keys(it / "d"), ["f"])
    it.lade("put", "src", "file:e")
    equal(keys(it / "e"), ["f", "other/g"])


@case
def special_files_are_skipped_with_the_reason(it):
    make_tree(it / "src", {"f": b"F"})
    os.mkfifo(it / "src/fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.fspath(pathlib.Path("src/sock")) if os.chdir(it.path) is None else "")
        if ROOT:
            os.mknod(it / "src/dev", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        done = it.lade("put", "src", "file:d")
    done.has("fifo: is a FIFO", "sock: is a socket")
    if ROOT:
        done.has("dev: is a device")
    equal(keys(it / "d"), ["f"])


@case
def what_cannot_be_read_is_named_and_the_rest_goes_on(it):
    make_tree(it / "src", {"f": b"F", "locked": b"L", "dir/g": b"G", "z": b"Z"})
    os.chmod(it / "src/locked", 0)
    os.chmod(it / "src/dir", 0)
    os.makedirs(it / "d")
    for name in ("home", "d", "."):
        os.chmod(it / name, 0o777)
    done = it.lade("put", "src", "file:d", "--job", "home/job", prefix=as_nobody(), status=1)
    done.has("locked", "dir", "Permission denied")
    equal(keys(it / "d"), ["f", "z"])


# ---- dry run ----

@case
def a_dry_run_tells_and_keeps_nothing(it):
    small(it)
    for option in ("--dry-run", "--dryrun", "-n"):
        done = it.lade("put", option, "src", "file:d")
        for key in SMALL:
            done.has(f"(dryrun) upload: {it / 'src' / key} to file:{it / 'd' / key}\n")
    check(not (it / "d").exists(), "the destination was made")
    check(not (it / "state").exists(), "a job was made")


@case
def a_dry_run_tells_only_what_would_be_moved(it):
    small(it)
    it.lade("put", "src", "file:d")
    write(it / "src/new", b"N")
    done = it.lade("put", "--dry-run", "src", "file:d")
    done.has("src/new to").has_not("src/a to")


@case
def a_verbose_dry_run_tells_the_rule_that_excluded(it):
    make_tree(it / "src", FILTERS)
    done = it.lade("put", "--dry-run", "-v", "--exclude", "*.tmp", "src", "file:d")
    done.matches(r"b\.tmp.*- \*\.tmp")
    done.has_not("upload: %s" % (it / "src/b.tmp"))


# ---- again ----

@case
def a_second_run_sends_nothing(it):
    small(it)
    it.lade("put", "src", "file:d")
    before = stamps(it / "d")
    it.lade("put", "src", "file:d")
    equal(stamps(it / "d"), before, "inodes and ctimes after a second run")


@case
def a_second_run_with_another_job_sends_nothing(it):
    small(it)
    it.lade("put", "src", "file:d")
    before = stamps(it / "d")
    it.lade("put", "--job", "other", "src", "file:d")
    equal(stamps(it / "d"), before, "inodes and ctimes after a run of another job")


@case
def a_second_run_sends_new_changed_and_missing(it):
    small(it)
    it.lade("put", "src", "file:d")
    before = stamps(it / "d")
    write(it / "src/new", b"N")
    write(it / "src/a", b"another")
    os.unlink(it / "d/sub/b")
    it.lade("put", "src", "file:d")
    same_trees(it / "d", it / "src", "destination")
    equal(stamps(it / "d")[b"sub/deep/c"], before[b"sub/deep/c"], "the one that did not change")


@case
def a_change_of_the_mode_travels(it):
    small(it)
    it.lade("put", "src", "file:d")
    os.chmod(it / "src/a", 0o600)
    os.chmod(it / "src/sub", 0o700)
    it.lade("put", "src", "file:d")
    same_trees(it / "d", it / "src", "destination")


@case
def a_racy_file_that_changes_in_the_same_instant_is_seen(it):
    make_tree(it / "src", {"f": b"before"})
    it.lade("put", "src", "file:d")
    st = os.stat(it / "src/f")
    write(it / "src/f", b"behind")
    os.utime(it / "src/f", ns=(st.st_mtime_ns, st.st_mtime_ns))
    it.lade("put", "src", "file:d")
    equal(read(it / "d/f"), b"behind", "content after a change with equal size and time")


@case
def checksum_finds_a_change_that_size_and_time_hide(it):
    small(it)
    it.lade("put", "src", "file:d")
    it.lade("put", "src", "file:d")
    st = os.stat(it / "src/a")
    write(it / "src/a", b"x")
    os.utime(it / "src/a", ns=(st.st_mtime_ns, st.st_mtime_ns))
    it.lade("put", "src", "file:d")
    equal(read(it / "d/a"), b"A", "content where size and time decide")
    before = stamps(it / "d")
    it.lade("put", "--checksum", "src", "file:d")
    equal(read(it / "d/a"), b"x", "content where content decides")
    equal(stamps(it / "d")[b"sub/b"], before[b"sub/b"], "the one that did not change")


@case
def what_someone_else_changed_is_a_conflict(it):
    small(it)
    it.lade("put", "src", "file:d")
    write(it / "d/a", b"theirs")
    write(it / "src/a", b"ours!!!")
    done = it.lade("put", "src", "file:d", status=1)
    done.has("a: was changed at the destination by someone else", "--overwrite")
    equal(read(it / "d/a"), b"theirs")
    it.lade("put", "--overwrite", "src", "file:d")
    equal(read(it / "d/a"), b"ours!!!")


@case
def immutable_never_replaces(it):
    small(it)
    make_tree(it / "d", {"a": b"theirs"})
    done = it.lade("put", "--immutable", "src", "file:d", status=1)
    done.has("a:", "--immutable")
    equal(read(it / "d/a"), b"theirs")
    equal(read(it / "d/sub/b"), b"BB")


@case
def immutable_and_overwrite_exclude_each_other(it):
    small(it)
    it.lade("put", "--immutable", "--overwrite", "src", "file:d", status=2).has("immutable", "overwrite")


@case
def an_object_where_a_directory_must_be_is_named(it):
    small(it)
    make_tree(it / "d", {"sub": b"a file"})
    it.lade("put", "src", "file:d", status=1).has("sub")
    equal(read(it / "d/sub"), b"a file")
    equal(read(it / "d/a"), b"A")


# ---- what is stored with it ----

def attribute(path, name):
    return os.getxattr(path, f"user.lade.{name}")


@case
def metadata_is_stored_with_each_object(it):
    small(it)
    it.lade("put", "--metadata", "project=p 1", "--metadata", "x=a=b", "src", "file:d")
    for key in SMALL:
        equal(attribute(it / "d" / key, "meta.project"), b"p 1")
        equal(attribute(it / "d" / key, "meta.x"), b"a=b")


@case
def metadata_without_a_value_is_refused(it):
    small(it)
    it.lade("put", "--metadata", "nothing", "src", "file:d", status=2).has("nothing")


@case
def metadata_beyond_the_limit_is_refused_before_a_byte_moves(it):
    small(it)
    os.mkdir(it / "d")
    for options in (("--dry-run",), ()):
        it.lade("put", *options, "--metadata", "k=" + "v" * 3000, "src", "file:d", status=2).has("--metadata", "3001")
    equal(keys(it / "d"), [], "objects")
    # The same job takes what is mended: nothing was planned.
    it.lade("put", "--metadata", "k=v", "src", "file:d")
    equal(attribute(it / "d/a", "meta.k"), b"v")


@case
def a_list_that_is_not_there_can_be_mended(it):
    small(it)
    it.lade("put", "--files-from", "absent", "src", "file:d", status=(1, 2, 3)).has("absent")
    write(it / "list", b"a\n")
    it.lade("put", "--files-from", "list", "src", "file:d")
    equal(keys(it / "d"), ["a"])


@case
def a_crc_is_stored_with_each_file(it):
    write(it / "f", b"123456789")
    it.lade("put", "f", "file:d/f")
    equal(attribute(it / "d/f", "crc64nvme").split()[0], b"ae8b14860a799888", "the check value of CRC64NVME")


@case
def a_crc_of_what_someone_else_wrote_over_is_not_believed(it):
    make_tree(it / "src", {"f": b"hello"})
    set_age(it / "src")
    it.lade("put", "src", "file:d")
    write(it / "d/f", b"HELLO")
    it.lade("check", "src", "file:d", status=4)
    it.lade("get", "file:d", "out")
    equal(read(it / "out/f"), b"HELLO")
    it.lade("put", "--job", "other", "--checksum", "src", "file:d")
    equal(read(it / "d/f"), b"hello")
    it.lade("check", "--download", "--deep", "src", "file:d")


@case
def digests_are_chosen_from_a_list(it):
    small(it)
    it.lade("put", "--digest", "sha256,md5", "src", "file:d")
    same_trees(it / "d", it / "src", "destination")
    it.lade("put", "--digest", "sha1", "src", "file:d", status=2).has("sha1")


# ---- batches, limits ----

def many(it, directories=30, files=100):
    make_tree(it / "src", {f"d{i:02}/f{j:03}": b"%d" % (i * j) for i in range(directories) for j in range(files)})
    set_age(it / "src")


@case
def max_batches_stops_with_5_and_goes_on(it):
    many(it)
    it.lade("put", "--max-batches", "1", "src", "file:d", status=5)
    first = stamps(it / "d")
    count = len(keys(it / "d"))
    check(0 < count < 3000, f"{count} objects after one batch")
    it.lade("put", "src", "file:d")
    same_trees(it / "d", it / "src", "destination")
    after = stamps(it / "d")
    moved = [rel for rel, stamp in first.items() if after[rel] != stamp]
    equal(moved, [], "objects sent twice")


@case
def max_batches_goes_on_behind_failures(it):
    many(it)
    make_tree(it / "src", {"d00/l": Link("f000"), "d00/l.rclonelink": b"the same key"})
    for _ in range(10):
        done = it.lade("put", "--max-batches", "1", "src", "file:d", status=(1, 5))
        if done.status == 1:
            break
    equal(done.status, 1, "exit status after all batches")
    equal(len([key for key in keys(it / "d") if "/f" in key]), 3000, "objects")


@case
def a_plan_that_lost_segments_is_made_again(it):
    """Other entries would get the numbers, and so the results, of those that are gone."""
    many(it)
    it.lade("put", "--job", "job", "src", "file:d")
    segments = sorted((it / "job/g000001").glob("*.seg"))
    check(len(segments) > 1, "one segment only")
    for path in [it / "job/g000001/end", it / "job/g000001/finished", segments[-1]]:
        path.unlink()
    make_tree(it / "src", {f"d{i:02}/n{j:03}": b"new" for i in range(30) for j in range(100)})
    set_age(it / "src")
    it.lade("put", "--job", "job", "src", "file:d").has("missing")
    same_trees(it / "d", it / "src", "destination")


@case
def a_damaged_record_is_no_record(it):
    many(it, 2, 50)
    it.lade("put", "--job", "job", "src", "file:d")
    with open(it / "job/g000001/000001.seg", "r+b") as file:
        file.seek(40)
        file.write(b"XX")
    write(it / "src/d00/f000", b"changed")
    it.lade("put", "--job", "job", "src", "file:d").has("record of the last run is damaged")
    equal(read(it / "d/d00/f000"), b"changed")


@case
def a_list_from_standard_input_is_not_read_twice(it):
    small(it)
    it.lade("plan", "--job", "job", "--files-from", "-", "src", "file:d", input=b"a\nsub/b\n")
    for path in [it / "job/g000001/end", *(it / "job/g000001").glob("*.seg")]:
        path.unlink()
    it.lade("run", "job", status=2).has("standard input")


@case
def plan_then_run_is_put(it):
    many(it)
    it.lade("plan", "--job", "job", "src", "file:d")
    equal(keys(it / "d") if (it / "d").exists() else [], [], "objects after the plan")
    it.lade("run", "job")
    same_trees(it / "d", it / "src", "destination")


@case
def the_plan_of_a_tree_is_always_the_same(it):
    many(it, 50, 60)
    plans = []
    for number in range(3):
        it.lade("plan", "--job", f"job{number}", "--crawlers", str(1 + 7 * number), "src", "file:d")
        plans.append({path.name: path.read_bytes() for path in (it / f"job{number}/g000001").glob("*.seg")})
    check(len(plans[0]) > 1, "one segment only")
    check(plans[0] == plans[1] == plans[2], "the plans differ")


@case
def transfers_and_memory_bound_what_is_used(it):
    many(it, 5, 50)
    write(it / "src/large", os.urandom(40 << 20))
    set_age(it / "src")
    it.lade("put", "--transfers", "1", "--memory", "16M", "src", "file:d")
    same_trees(it / "d", it / "src", "destination")
    it.lade("put", "--memory", "1K", "src", "file:e", status=2).has("memory")


@case
def bwlimit_holds(it):
    write(it / "f", os.urandom(3 << 20))
    began = time.monotonic()
    it.lade("put", "--bwlimit", "1M", "f", "file:d/f")
    seconds = time.monotonic() - began
    check(1.5 < seconds < 12, f"3 MiB at 1 MiB/s took {seconds:.1f} s")


@case
def a_large_file_goes_in_parts(it):
    path = it / "src/large"
    make_tree(it / "src", {})
    with open(path, "wb") as file:
        for at in range(0, 300 << 20, 37 << 20):
            file.seek(at)
            file.write(os.urandom(1 << 20))
        file.truncate(300 << 20)
    set_age(it / "src")
    it.lade("put", "src", "file:d")
    same_trees(it / "d", it / "src", "destination")
    equal(temporaries(it / "d"), [])


@case
def null_takes_everything(it):
    many(it, 3, 10)
    it.lade("put", "src", "null:")


@case
def the_store_is_not_readable_by_others_before_its_mode_is_set(it):
    make_tree(it / "src", {"private": b"P"})
    os.chmod(it / "src/private", 0o600)
    it.lade("put", "src", "file:d")
    equal(stat.S_IMODE(os.stat(it / "d/private").st_mode), 0o600)


@case
def an_empty_source_makes_an_empty_destination(it):
    os.mkdir(it / "src")
    it.lade("put", "src", "file:d")
    equal(keys(it / "d"), [])


@case
def the_store_driver_writes_no_other_names(it):
    many(it, 3, 10)
    it.lade("put", "src", "file:d")
    found = subprocess.run(["find", str(it / "d"), "-name", ".*"], capture_output=True, check=True).stdout
    equal(found, b"", "hidden names in the store")
    same_trees(it / "d", it / "src", "destination")


if __name__ == "__main__":
    main()
