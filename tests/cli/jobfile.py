"""Job files: what is moved, where to and how, in one INI file."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

from harness import ROOT, Skip, as_nobody, case, check, equal, keys, main, make_tree, read, same_trees, scan, set_age, write

TREE = {"edr/spectro/redux/a.fits": b"A" * 1000, "edr/spectro/redux/b.tmp": b"B", "edr/spectro/data/c": b"C",
        "edr/vac/d": b"D", "dr1/e": b"E", "raw_spectro_data/f": b"F", "target/catalogs/g": b"G", "README": b"H"}
WHOLE = ["edr/spectro/data/c", "edr/spectro/redux/a.fits", "edr/spectro/redux/b.tmp", "edr/vac/d",
         "raw_spectro_data/f", "target/catalogs/g"]


def source(it, name="public"):
    make_tree(it / name, TREE)
    set_age(it / name)


def job_file(it, *lines, name="mirror.ini"):
    write(it / name, "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))


def release(it, *lines):
    """The file of most cases."""
    job_file(it, "root = public", "target = file:store", "release = edr", "common = raw_spectro_data", "common = target",
             *lines)


@case
def names_are_those_below_root(it):
    source(it)
    release(it, "# a comment", "; another one", "")
    it.lade("run", "-f", "mirror.ini")
    equal(keys(it / "store"), WHOLE, "keys")
    expected = {name: entry for name, entry in scan(it / "public").items()
                if name.decode().startswith(("edr/", "raw_spectro_data", "target"))}
    # What lies above the selected directories is no part of the job.
    same_trees({name: entry for name, entry in scan(it / "store").items() if name != b"edr"}, expected)
    it.lade("check", "--file", "mirror.ini").has("0 missing")
    os.remove(it / "store/edr/vac/d")
    it.lade("check", "-f", "mirror.ini", status=1).has("missing: edr/vac/d")


@case
def paths_are_relative_to_the_file_and_nothing_is_expanded(it):
    make_tree(it / "conf/~", {"$HOME/%s/x": b"X"})
    make_tree(it / "conf", {"rules": b"- *.skip\n"})
    make_tree(it / "conf/~", {"$HOME/y.skip": b"Y", "$HOME/a ;b": b"Z"})
    job_file(it, "root=~", "release=$HOME", "target=there", "filter-from=rules", "job=one.job", "exclude=a ;b",
             name="conf/mirror.ini")
    (it / "elsewhere").mkdir()
    it.lade("run", "-f", "../conf/mirror.ini", cwd=it / "elsewhere")
    equal(keys(it / "conf/there"), ["$HOME/%s/x"], "keys")
    check((it / "conf/one.job/job.ini").exists(), "the job is not where the file says")


@case
def the_target_can_have_each_form(it):
    source(it)
    for number, target in enumerate((f"{it}/s0".replace(str(it), str(it.path)), f"file:{it.path}/s1", "s2", "./s3", "null:")):
        job_file(it, "root=public", f"target: {target}", "subdir=edr/vac")
        it.lade("run", "-f", "mirror.ini")
        if target != "null:":
            equal(keys(it / f"s{number}"), ["edr/vac/d"], "keys")


@case
def what_is_selected(it):
    source(it)
    for number, (lines, expected) in enumerate([
            ((), sorted(TREE)),
            (("release=edr",), [key for key in WHOLE if key.startswith("edr/")]),
            ((f"release={it.path}/public/edr", f"subdir={it.path}/public/edr/vac"), ["edr/vac/d"]),
            (("release=edr", "subdir=spectro/redux", "common=target"),
             ["edr/spectro/redux/a.fits", "edr/spectro/redux/b.tmp", "target/catalogs/g"]),
            (("release=", "subdir=", "common=dr1", "common=README"), ["README", "dr1/e"]),
            (("[job]", "release=edr", "common=target", "  raw_spectro_data"), WHOLE)]):
        lines = (lines[0],) + (f"target=file:store{number}", "root=public") + lines[1:] if lines \
            else (f"target=file:store{number}", "root=public")
        job_file(it, *lines)
        it.lade("run", "-f", "mirror.ini")
        equal(keys(it / f"store{number}"), expected, f"keys of {lines}")


@case
def options_are_keys(it):
    source(it)
    make_tree(it / "public/edr", {"link": b"", "big": b"x" * 100})
    os.remove(it / "public/edr/link")
    os.symlink("big", it / "public/edr/link")
    release(it, "exclude=*.tmp", "exclude=/dr1/", "links=follow", "transfers=2", "memory=32M", "bwlimit=100M",
            "tpslimit=1000", "retries=1", "digest=sha256,md5", "checksum=yes", "overwrite=on", "max-batches=1",
            "metadata=project=edr", "stall-timeout=5", "crawlers=2", "storage-class=STANDARD", "acl=private",
            "region=eu-1", "profile=mine", "endpoint-url=https://example.org")
    it.lade("run", "-f", "mirror.ini")
    equal(keys(it / "store"), sorted([key for key in WHOLE if key != "edr/spectro/redux/b.tmp"] + ["edr/big", "edr/link"]),
          "keys")
    text = read(it.job() / "job.ini").decode()
    for line in ("checksum=1", "overwrite=1", "links=1", "digests=6", "storage-class=STANDARD", "acl=private",
                 "region=eu-1", "profile=mine", "endpoint-url=https://example.org", "meta-name=project"):
        check(f"\n{line}\n" in text, f"'{line}' is not in the job", text)


@case
def the_command_line_counts_more_and_the_environment_less(it):
    source(it)
    release(it, "exclude=*.tmp", "links=skip")
    os.symlink("d", it / "public/edr/vac/link")
    done = it.lade("plan", "-f", "mirror.ini", "--job", "a.job", env={"LADE_LINKS": "follow"})
    check("links=2" in read(it / "a.job/job.ini").decode(), "the environment counts more than the file", done)
    done = it.lade("plan", "-f", "mirror.ini", "--job", "b.job", "--links", "keep", "--exclude", "vac/")
    text = read(it / "b.job/job.ini").decode()
    check("links=0" in text, "the file counts more than the command line", done, text)
    check("filter=-%20%2A.tmp%0A-%20vac" in text, "not both rules", text)
    it.lade("plan", "-f", "mirror.ini", "--max-dirs", "0", "--dry-run").has("edr/vac/d")


@case
def what_is_wrong_is_named_with_its_line(it):
    source(it)
    base = "root=public\ntarget=file:store\n"
    for text, status, *says in [
            (base + "exclud=x", 3, "mirror.ini:3: unknown key 'exclud'", "did you mean 'exclude'"),
            (base + "\n--exclude=x", 3, "mirror.ini:4:", "without the dashes"),
            (base + "zzzzzzzzzzz=x", 3, "mirror.ini:3:", "root, target, release, subdir, common"),
            (base + "file=x", 3, "mirror.ini:3: unknown key 'file'"),
            (base + "root=other", 3, "mirror.ini:3: the key 'root' was there in line 1"),
            (base + "root=a\n  b", 3, "mirror.ini:3:"),
            (base + "transfers=2\ntransfers=3", 3, "mirror.ini:4: the key 'transfers' was there in line 3"),
            (base + "transfers=many", 3, "mirror.ini:3: key 'transfers': 'many' is not a number"),
            (base + "overwrite=perhaps", 3, "mirror.ini:3: key 'overwrite'", "lade help put"),
            (base + "immutable=yes\noverwrite=yes", 2, "contradict each other"),
            (base + "no value", 3, "mirror.ini:3: the line is no 'key=value'"),
            (base + "[other]\nlinks=skip", 3, "mirror.ini:4: the section [other]"),
            (base + "exclude=" + "x" * 9000, 3, "mirror.ini:3: the line has 9008 bytes"),
            (base + "\0", 3, "mirror.ini:3: a NUL byte"),
            (base + "release=../x", 3, "mirror.ini:3: release '../x' does not lie below"),
            (base + "release=edr\nsubdir=/tmp", 3, "mirror.ini:4: subdir '/tmp' does not lie below"),
            (base + "common=edr\ncommon=edr/vac", 2, "'", "which is moved as a whole"),
            (base + "release=none", 1, "public/none"),
            (base + "keep-name=yes", 2, "--keep-name does not go"),
            (base + "release=edr\nfiles-from=list", 2, "leave out release"),
            ("target=file:store", 3, "the key 'root' is missing", "add a line 'root="),
            ("root=public", 3, "the key 'target' is missing", "add a line 'target="),
            ("root=public\ntarget=ftp://x", 2, "ftp:"),
            ("", 3, "the key 'root' is missing")]:
        write(it / "mirror.ini", text.encode())
        for verb in ("run", "plan", "check"):
            done = it.lade(verb, "-f", "mirror.ini", status=None)
            check(done.status == status or (status == 1 and done.status in (1, 3)), f"status of {text[:200]!r}", done)
            done.has(*says)
    check(not (it / "store").exists(), "something was stored")
    it.lade("run", "-f", "none.ini", status=3).has("none.ini", "No such file")
    it.lade("run", "-f", "mirror.ini", "job", status=None).has("mirror.ini")
    job_file(it, base)
    it.lade("run", "-f", "mirror.ini", "job", status=2).has("one too many", "--only")
    it.lade("plan", "--only", "edr", "public", "file:store", status=2).has("--only goes with --file")


@case
def again_goes_on_and_then_looks_for_what_is_new(it):
    make_tree(it / "public", {f"edr/d{number % 6}/f{number:04}": b"%d" % number * 400 for number in range(600)})
    set_age(it / "public")
    job_file(it, "root=public", "target=file:store", "release=edr", "bwlimit=50K")
    process = it.start("run", "-f", "mirror.ini")
    it.wait_for(lambda: (it / "store").exists() and len(keys(it / "store")) > 10, process)
    process.send_signal(signal.SIGINT)
    it.end(process, 130)
    # Another file for the same job, as another option would be, until it is finished.
    job_file(it, "root=public", "target=file:store", "release=edr", "exclude=*9")
    it.lade("run", "-f", "mirror.ini", status=2).has("begun with other options", "the filter rules")
    job_file(it, "root=public", "target=file:store", "release=edr")
    it.lade("run", "-f", "mirror.ini", "--repeat", "--max-batches", "1")
    same_trees(it / "store/edr", it / "public/edr")
    write(it / "public/edr/new", b"N")
    it.lade("run", "-f", "mirror.ini").has("1 new")
    equal(read(it / "store/edr/new"), b"N", "content")
    job_file(it, "root=public", "target=file:store", "release=edr", "exclude=*9")
    it.lade("run", "-f", "mirror.ini").has("excluded")


@case
def a_plan_is_run_by_the_same_file(it):
    source(it)
    release(it, "job=one.job")
    it.lade("plan", "-f", "mirror.ini").has("run it: lade run")
    check(not keys(it / "store") if (it / "store").exists() else True, "a plan stored something")
    it.lade("run", "-f", "mirror.ini")
    equal(keys(it / "store"), WHOLE, "keys")
    equal(sorted(path.name for path in (it / "one.job").glob("g*")), ["g000001"], "generations")
    it.lade("run", "one.job")
    it.lade("status", "one.job").has("finished")


@case
def only_is_a_job_of_its_own(it):
    source(it)
    release(it, "job=one.job")
    it.lade("plan", "-f", "mirror.ini", "--only", "edr/spectro/redux")
    check(not (it / "one.job").exists(), "it took the job of the whole")
    it.lade("run", "-f", "mirror.ini", "--only", "edr/spectro/redux/a.fits")
    equal(keys(it / "store"), ["edr/spectro/redux/a.fits"], "keys")
    it.lade("run", "-f", "mirror.ini", "--only", it / "public/edr/spectro")
    equal(keys(it / "store"), [key for key in WHOLE if key.startswith("edr/spectro")], "keys")
    it.lade("check", "-f", "mirror.ini", "--only", "edr/spectro").has("0 missing")
    it.lade("check", "-f", "mirror.ini", "--only", "target", status=1).has("missing: target/catalogs/g")
    for part in ("dr1", "edr/../dr1", "..", "/tmp", "ed"):
        it.lade("run", "-f", "mirror.ini", "--only", part, status=2).has("is no part of what 'mirror.ini' moves")
    it.lade("run", "-f", "mirror.ini")
    equal(keys(it / "store"), WHOLE, "keys")


@case
def listed_paths_are_below_root(it):
    source(it)
    write(it / "list", b"edr/vac/d\ntarget/catalogs/g\n")
    job_file(it, "root=public", "target=file:store", "files-from=list")
    it.lade("run", "-f", "mirror.ini")
    equal(keys(it / "store"), ["edr/vac/d", "target/catalogs/g"], "keys")


# ---- DESI's makefile ----

def make(it, *words):
    if shutil.which("make") is None:
        raise Skip("make is missing")
    path = pathlib.Path(__file__).resolve().parents[2] / "contrib/desi/makefile"
    done = subprocess.run(["make", "-f", path, f"lade={it.lade_path}", f"root={it.path}/public", "fallback=", *words],
                          env={**it.env, "PATH": os.environ["PATH"]}, cwd=it.path, capture_output=True, text=True)
    equal(done.returncode, 0, f"status of make {words}: {done.stdout}{done.stderr}; it")
    return done.stdout + done.stderr


@case
def the_makefile_of_desi_uploads(it):
    source(it)
    make_tree(it / "public", {f"edr/many/d{number % 3}/f{number:04}": b"%d" % number for number in range(3000)})
    set_age(it / "public")
    words = ["upload", f"bucket=file:{it.path}/store"]
    make(it, *words, f"subdir={it.path}/public/edr/spectro", "common=")
    equal(keys(it / "store"), [key for key in WHOLE if key.startswith("edr/spectro")], "keys")
    text = make(it, *words, "max_dirs=1")
    check("batches are left: make upload again" in text, "it is not told that there are more", text)
    while "batches are left" in make(it, *words, "max_dirs=1"):
        pass
    equal(len(keys(it / "store")), 3000 + len(WHOLE), "number of keys")
    make(it, "check", words[1])
    check("mirror.ini" not in make(it, *words), "more is told than lade tells")


@case
def the_makefile_of_desi_lists_and_batches(it):
    source(it)
    words = [f"bucket=file:{it.path}/store"]
    make(it, *words, "find.json")
    make(it, *words, "batch.json")
    check(b"spectro" in read(it / "find.json"), "find.json lacks names", read(it / "find.json"))
    equal(json.loads(read(it / "batch.json"))["completed"], [], "what is done")
    os.remove(it / "batch.json")
    make(it, *words, f"subdir={it.path}/public/edr/vac", "batch.json")
    equal(json.loads(read(it / "batch.json"))["queued"], [f"{it.path}/public/edr/vac"], "batches")


# ---- the fallback root ----

def two_roots(it):
    """public can be read in part, other is the same and whole."""
    if not ROOT:
        raise Skip("only root can take the rights of another user away")
    for name in ("public", "other"):
        source(it, name)
        make_tree(it / name, {"edr/secret/x": b"X" * 100, "edr/secret/deep/y": b"Y", "edr/shut/in/z": b"Z", "edr/large": os.urandom(40 << 20)
                              if name == "public" else read(it / "public/edr/large")})
        set_age(it / name)
    os.chmod(it / "public/edr/secret", 0)
    os.chmod(it / "public/edr/large", 0)
    os.chmod(it / "public/edr/vac/d", 0)
    (it / "home").chmod(0o777)
    (it / "store").mkdir()
    (it / "store").chmod(0o777)
    return {"prefix": as_nobody(), "env": {"XDG_STATE_HOME": str(it / "home")}}


ODD = ["edr/large", "edr/secret/deep/y", "edr/secret/x", "edr/vac/d"]


@case
def what_cannot_be_read_is_read_below_the_fallback_root(it):
    plain = two_roots(it)
    release(it)
    done = it.lade("run", "-f", "mirror.ini", status=1, **plain)
    done.has("edr/secret", "edr/large", "edr/vac/d", "Permission denied")
    equal(keys(it / "store"), sorted({"edr/shut/in/z", *WHOLE} - set(ODD)), "keys")
    os.chmod(it / "public/edr/shut", 0o444)  # can be listed, and no more
    release(it, "fallback-root=other")
    done = it.lade("run", "-f", "mirror.ini", **plain)
    # Two files that this user may not read, four directories, and three files in them.
    done.matches(r"fallback +9 files and directories read below the fallback root")
    equal(keys(it / "store"), sorted({"edr/shut/in/z", *WHOLE, *ODD}), "keys")
    same_trees(it / "store/edr", it / "other/edr", ignore=("uid", "gid", "mtime_ns"))
    it.lade("check", "--deep", "-f", "mirror.ini", **plain).has("0 missing")


@case
def put_has_a_fallback_root_too(it):
    plain = two_roots(it)
    os.chmod(it / "public/edr/shut", 0o444)
    done = it.lade("put", "--json", "--fallback-root", "other/edr", "public/edr", "file:store/edr", **plain)
    check(done.summary()["fallback"] >= 5, "not counted", done)
    same_trees(it / "store/edr", it / "other/edr", ignore=("uid", "gid", "mtime_ns"))
    it.lade("put", "--dry-run", "--fallback-root", "other", "public/edr", "public/dr1", "file:again", **plain).has("secret/x")
    it.lade("put", "--fallback-root", "none", "public/edr", "file:again", status=(1, 3), **plain).has("the fallback root")
    it.lade("put", "--fallback-root", "other", "public/README", "file:store/name", status=2, **plain).has("--fallback-root")


@case
def a_fallback_root_can_be_given_to_an_unfinished_job(it):
    plain = two_roots(it)
    release(it, "max-batches=1")
    it.lade("plan", "-f", "mirror.ini", **plain)
    release(it, "fallback-root=other")
    it.lade("run", "-f", "mirror.ini", status=1, **plain).matches(r"^failed +1 object ")
    check("fallback-root=" in read(next((it / "home/lade/jobs").iterdir()) / "job.ini").decode(), "it is not kept")
    it.lade("run", "-f", "mirror.ini", **plain)
    same_trees(it / "store/edr", it / "other/edr", ignore=("uid", "gid", "mtime_ns"))


@case
def a_whole_directory_can_be_below_the_fallback_root_only(it):
    source(it)
    make_tree(it / "other", {"raw_spectro_data/f": b"F"})
    set_age(it / "other")
    os.rename(it / "public/raw_spectro_data", it / "gone")
    release(it, "fallback-root=other")
    it.lade("run", "-f", "mirror.ini")
    equal(keys(it / "store"), WHOLE, "keys")
    it.lade("check", "-f", "mirror.ini").has("0 missing")


if __name__ == "__main__":
    main()
