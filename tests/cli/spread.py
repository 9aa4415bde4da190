"""Many buckets as one destination: templates of keys, and numbered buckets. Against a real gateway: tests/servers/with
python3 tests/cli/spread.py LADE. What is where is asked of the gateway by other code than lade's."""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import time

from harness import (LONG, Dir, Link, case, check, equal, journalled, main, make_tree, random_of, same_trees, set_age, write)
from s3_gateway import MIB, as_other, ask, contents, no_uploads

FORMATS = pathlib.Path(__file__).parent / "../../docs/formats.md"
TREE = {"cam01/2026/a.jpg": b"A", "cam01/2026/b.jpg": b"BB" * 5000, "cam01/l": Link("2026/a.jpg"), "cam01-x/c": b"",
        "cam02/d/e/f": b"F", "cam02/empty": Dir(), "cam02/x.rclonelink": b"file", "cam02/ä +%": b"odd"}


def base(it):
    """The beginning of this case's buckets."""
    return f"{it.name.replace('_', '-').strip('-')[:34].strip('-')}-{os.getpid()}"


def buckets(it):
    """All buckets of the case, without the beginning of their names."""
    names = re.findall(r"<Name>([^<]*)</Name>", ask(it, "GET", "/").decode())
    return sorted(name.removeprefix(base(it)) for name in names if name.startswith(base(it)))


def held(it, bucket):
    """The keys in a bucket, as the gateway tells them."""
    text = ask(it, "GET", f"/{base(it)}{bucket}", "max-keys=1000").decode()
    check("<IsTruncated>false</IsTruncated>" in text, "more keys than one page has")
    return re.findall(r"<Key>([^<]*)</Key>", text)


def stored(it):
    """What each bucket holds."""
    return {bucket: held(it, bucket) for bucket in buckets(it)}


def template(it, tail="-{1}/{2+}"):
    return f"s3://{base(it)}{tail}"


def tree(it, content=None):
    make_tree(it / "src", content or TREE)
    set_age(it / "src")


def back(it, there, *options):
    """All of it comes back, at a new place."""
    shutil.rmtree(it / "back", ignore_errors=True)
    shutil.rmtree(it / "back.job", ignore_errors=True)
    it.lade("get", "--job", "back.job", *options, there, "back")
    same_trees(contents(it / "back"), contents(it / "src"))


def never_above(it, limit, names=None):
    """No bucket has more than it may have, nothing is doubled; and, where names are given, these are all."""
    found = stored(it)
    check(all(len(keys) <= limit for keys in found.values()), f"more than {limit}", {b: len(k) for b, k in found.items()})
    every = collections.Counter(key for keys in found.values() for key in keys)
    check(all(count == 1 for count in every.values()), "doubled", [key for key, count in every.items() if count > 1])
    if names is not None:
        equal(sorted(every), sorted(names), "keys in all buckets")


def numbered(it, count, tail="f{0:04}"):
    return {f"d{number // 50}/" + tail.format(number): b"%d" % number for number in range(count)}


# ---- by component ----

@case
def components_choose_buckets(it):
    tree(it)
    there = template(it)
    it.lade("put", "--make-bucket", "src", there)
    equal(stored(it), {"-cam01": ["2026/a.jpg", "2026/b.jpg", "l.rclonelink"], "-cam01-x": ["c"],
                       "-cam02": ["d/e/f", "empty/", "x.rclonelink", "ä +%"]})
    back(it, there)
    it.lade("check", "src", there)
    it.lade("check", "--deep", "--download", "src", there)
    again = it.lade("put", "--json", "src", there).summary()
    equal((again["done"]["count"], again["moved_bytes"]), (0, 0), "what a second put moved")
    # By a job that has no record, and through the real bucket.
    equal(it.lade("put", "--job", "other", "--json", "src", there).summary()["done"]["count"], 0, "what another job moved")
    it.lade("check", "src/cam01", f"s3://{base(it)}-cam01")


@case
def second_runs_see_what_is_new_changed_gone_and_foreign(it):
    tree(it)
    there = template(it)
    it.lade("put", "--make-bucket", "--job", "job", "src", there)
    make_tree(it / "src", {"cam01/2026/new.jpg": b"N", "cam03/first": b"1"})
    write(it / "src/cam01/2026/b.jpg", b"changed")
    ask(it, "DELETE", f"/{base(it)}-cam02/d/e/f")
    ask(it, "PUT", f"/{base(it)}-cam01/2026/a.jpg", body=b"of another")
    # --make-bucket need not be said again, since no option of the plan is changed by leaving it out: but cam03 is missing.
    done = it.lade("put", "--job", "job", "src", there, status=3)
    done.has(f"there is no bucket '{base(it)}-cam03'", "--make-bucket")
    done = it.lade("put", "--json", "--make-bucket", "--job", "job", "src", there, status=1)
    done.has("changed at the destination by someone else")
    end = done.summary()
    equal((end["done"]["count"], end["failed"]["count"]), (4, 1), "moved and failed")
    it.lade("put", "--overwrite", "--make-bucket", "--job", "job", "src", there)
    back(it, there)
    # Of others, in the same buckets: fetched like all, and left alone by a put.
    ask(it, "PUT", f"/{base(it)}-cam01/foreign", body=b"f")
    equal(it.lade("put", "--overwrite", "--json", "--make-bucket", "--job", "job", "src", there).summary()["done"]["count"], 0)
    it.lade("get", there, "with")
    equal((it / "with/cam01/foreign").read_bytes(), b"f")


@case
def templates_of_any_form_round_trip(it):
    tree(it, {f"{a}/{b}/{c}": f"{a}{b}{c}".encode() for a in ("r1", "r1-b", "r2") for b in ("x", "y", "y-2") for c in ("1", "2/3")})
    for number, tail in enumerate(("-{2}/{1}/{3+}", "-{1}-raw/p/{1}/{2+}", "-{2}-z/lit/{1}/all/{3+}", "/{1}/k/{2+}")):
        there = f"s3://{base(it)}{number}{tail}"
        it.lade("put", "--make-bucket", "--job", f"job{number}", "src", there)
        it.lade("put", "--json", "--job", f"job{number}", "--make-bucket", "src", there).has('"unchanged"')
        it.lade("check", "src", there)
        back(it, there)
    check({"0-x", "0-y", "0-y-2", "1-r1-raw", "1-r1-b-raw", "1-r2-raw", "2-x-z", "2-y-z", "2-y-2-z", "3"} == set(buckets(it)),
          "other buckets", buckets(it))
    equal(held(it, "0-y"), ["r1-b/1", "r1-b/2/3", "r1/1", "r1/2/3", "r2/1", "r2/2/3"])
    equal(held(it, "1-r2-raw")[0], "p/r2/x/1")
    equal(held(it, "2-x-z")[0], "lit/r1-b/all/1")
    # What does not fit the template is nobody's business.
    ask(it, "PUT", f"/{base(it)}2-x-z/lit/r1/other/1", body=b"x")
    ask(it, "PUT", f"/{base(it)}2-x-z/else", body=b"x")
    back(it, f"s3://{base(it)}2-{{2}}-z/lit/{{1}}/all/{{3+}}")


@case
def places_are_told_as_they_are(it):
    tree(it, {"cam01/a": b"1", "cam02/b/c": b"22"})
    there, name = template(it), base(it)
    done = it.lade("put", "--dry-run", "--make-bucket", "src", there)
    done.has(f"to s3://{name}-cam01/a", f"to s3://{name}-cam02/b/c").has_not("{1}")
    done = it.lade("put", "--dry-run", "--make-bucket", "--json", "src", there)
    equal([event["destination"] for event in done.events("dryrun")], [f"s3://{name}-cam01/a", f"s3://{name}-cam02/b/c"])
    equal(buckets(it), [], "buckets that a dry run made")
    it.lade("plan", "--make-bucket", "--job", "job", "src", there)
    equal(buckets(it), [], "buckets that a plan made")
    it.lade("run", "job")
    equal(it.lade("ls", "-R", there).out, f"s3://{name}-cam01/a\ns3://{name}-cam02/b/c\n")
    equal(it.lade("ls", there).out, f"s3://{name}-cam01/\ns3://{name}-cam02/\n")
    lines = [json.loads(line) for line in it.lade("ls", "-R", "--json", there).out.splitlines()]
    equal([(line["location"], line["key"], line["size"]) for line in lines],
          [(f"s3://{name}-cam01/a", "cam01/a", 1), (f"s3://{name}-cam02/b/c", "cam02/b/c", 2)])
    it.lade("ls", "-lR", there).matches(rf"^ +2  .{{19}}  s3://{name}-cam02/b/c$")
    it.lade("get", "--dry-run", there, "back").has(f"(dryrun) download: s3://{name}-cam02/b/c to {it.path}/back/cam02/b/c")
    it.lade("rm", there, status=2).has("--recursive")
    it.lade("rm", "-r", "--dry-run", there).has(f"(dryrun) delete: s3://{name}-cam01/a")
    equal(len(held(it, "-cam01")), 1, "objects after a dry run")
    it.lade("rm", "-r", there).has(f"delete: s3://{name}-cam02/b/c")
    equal(stored(it), {"-cam01": [], "-cam02": []})


# ---- what is refused ----

@case
def names_that_give_no_bucket_are_refused(it):
    tree(it, {"CAM/x": b"1", "cam01/y": b"2", "top": b"3", "cam--2/z": b"4", "a b/c": b"5", "cam02/d": b"6", "void": Dir()})
    there = template(it)
    for verb in (("put", "--dry-run"), ("put",)):
        done = it.lade(*verb, "--make-bucket", "--job", "job", "src", there, status=1)
        done.has("CAM/x", "'CAM' gives the bucket", "lower-case letters", "top", "fewer components than the 2",
                 "cam--2/z", "'cam--2' ends as the number of a bucket", "a b/c", "void/")
    equal(stored(it), {"-cam01": ["y"], "-cam02": ["d"]})


@case
def missing_buckets_are_named(it):
    tree(it, {"cam01/y": b"2", "cam02/d": b"6"})
    there, name = template(it), base(it)
    for verb in ("put", "plan"):
        done = it.lade(verb, "--job", "job", "src", there, status=3)
        done.has(f"there is no bucket '{name}-cam01'", f"lade mb s3://{name}-cam01", "--make-bucket")
    it.lade("put", "--dry-run", "src", there, status=3).has(f"there is no bucket '{name}-cam01'")
    it.lade("put", "--job", "num", "--bucket-objects", "5", "src", f"s3://{name}/p", status=3).has(
        f"there is no bucket '{name}'", "--make-bucket")
    for verb in (("ls", "--bucket-objects", "1", f"s3://{name}"), ("get", "--bucket-objects", "1", f"s3://{name}", "to")):
        it.lade(*verb, status=3).has(f"there is no bucket '{name}'")
    equal(buckets(it), [], "buckets that nobody asked for")
    # The first is there and the second is not: told when it comes, and the same job goes on.
    it.lade("mb", f"s3://{name}-cam01")
    it.lade("put", "--job", "job", "src", there, status=3).has(f"there is no bucket '{name}-cam02'")
    it.lade("put", "--make-bucket", "--job", "job", "src", there)
    equal(stored(it), {"-cam01": ["y"], "-cam02": ["d"]})
    # A plain bucket is made too, and not by a dry run.
    it.lade("put", "--job", "plain", "--dry-run", "--make-bucket", "src", f"s3://{name}-plain").has("2 entries")
    check("-plain" not in buckets(it), "a dry run made a bucket")
    it.lade("put", "--job", "plain", "--make-bucket", "src", f"s3://{name}-plain")
    equal(held(it, "-plain"), ["cam01/y", "cam02/d"])
    # Numbered ones that cannot be made end the run, and not each object.
    it.lade("mb", f"s3://{name}-cam02--2", env=as_other(it))
    make_tree(it / "src", {f"cam02/more{number}": b"6" for number in range(5)})
    done = it.lade("put", "--job", "full", "--bucket-objects", "2", "src", there, status=3)
    done.has(f"make the bucket '{name}-cam02--2'").has_not("failed:")
    equal(sorted(stored(it)["-cam02"]), ["d", "more0"])
    # Of somebody else: not ours to fill.
    it.lade("mb", f"s3://{name}-cam03", env=as_other(it))
    make_tree(it / "src", {"cam03/x": b"1"})
    it.lade("put", "--job", "job", "src", there, status=3).has(f"there is no bucket '{name}-cam03' of yours")


@case
def templates_that_cannot_be_are_refused(it):
    tree(it, {"a/b": b"1"})
    name = base(it)
    for tail, why in (("-{1}", "must end in {N+}"), ("-{1}/{2}", "must end in {N+}"), ("-{2}/{3+}", "{1} is missing"),
                      ("-{1}-{2}/{3+}", "one component"), ("/{2}/{1}/{3+}", "in their order"), ("-{x}/{1+}", "{N}"),
                      ("-{1}/{2+}/x", "behind {N+}"), ("-{1}/{1+}", "twice")):
        for verb in (("put", "src"), ("put", "--dry-run", "src"), ("plan", "src")):
            it.lade(*verb, f"s3://{name}{tail}", status=2).has(why, "s3://road-cameras-{1}/{2+}")
        it.lade("get", f"s3://{name}{tail}", "to", status=2).has(why)
        it.lade("ls", f"s3://{name}{tail}", status=2).has(why)
    for there in ("file:store/{1}/{2+}", "store/{1+}"):
        it.lade("put", "src", there, status=2).has("is a template")
    it.lade("put", "--bucket-objects", "5", "src", "file:store", status=2).has("--bucket-objects is for stores with buckets")
    it.lade("mb", template(it), status=2).has("template")
    it.lade("doctor", template(it), status=2).has("template")
    it.lade("uploads", template(it), status=2).has("one bucket")
    equal(buckets(it), [])
    # Other braces are text.
    it.lade("put", "--make-bucket", "src", f"s3://{name}/{{x}}/{{")
    equal(held(it, ""), ["{x}/{/a/b"])
    it.lade("put", "src", "file:store/{x}")
    same_trees(it / "store/{x}", it / "src")


# ---- numbers ----

@case
def a_full_bucket_is_followed_by_the_next(it):
    names = numbered(it, 60)
    tree(it, names)
    there, name = f"s3://{base(it)}/p", base(it)
    it.lade("mb", f"s3://{name}")
    for number in range(7):
        ask(it, "PUT", f"/{name}/of-others/{number}", body=b"x")
    options = ("--bucket-objects", "20")
    it.lade("put", "--job", "job", *options, "src", there)
    equal({bucket: len(keys) for bucket, keys in stored(it).items()}, {"": 20, "-2": 20, "-3": 20, "-4": 7})
    equal(len([key for key in held(it, "") if key.startswith("of-others/")]), 7, "objects of others")
    back(it, there, *options)
    it.lade("check", *options, "src", there)
    it.lade("check", "job")
    again = it.lade("put", "--json", "--job", "job", *options, "src", there).summary()
    equal((again["done"]["count"], again["moved_bytes"]), (0, 0), "what a second put moved")
    # What grows fills up first; what is replaced stays where it is; what is gone makes room.
    make_tree(it / "src", {f"new/{number:02}": b"n" for number in range(20)})
    write(it / "src/d0/f0000", b"changed")
    ask(it, "DELETE", f"/{name}/of-others/3")
    ask(it, "DELETE", f"/{name}-2/p/d0/f0020")
    it.lade("put", "--job", "job", *options, "src", there)
    equal({bucket: len(keys) for bucket, keys in stored(it).items()}, {"": 20, "-2": 20, "-3": 20, "-4": 20, "-5": 6})
    check("p/d0/f0000" in held(it, ""), "what is replaced went elsewhere")
    check("p/d0/f0020" in held(it, ""), "the first bucket with room was not taken")
    back(it, there, *options)
    # By a job without a record: each is found where it is.
    equal(it.lade("put", "--json", "--job", "other", *options, "src", there).summary()["done"]["count"], 0, "what another job moved")
    # Without the option only the first bucket is looked at.
    equal(len(it.lade("ls", "-R", there).out.splitlines()), 14)
    lines = it.lade("ls", "-R", *options, there).out.splitlines()
    equal(len(lines), 80)
    check(f"s3://{name}-5/p/new/19" in lines, "another place", lines[-3:])
    # One object, wherever it is.
    it.lade("get", *options, "--to", "one", f"{there}/new/19")
    equal((it / "one").read_bytes(), b"n")
    it.lade("rm", *options, f"{there}/new/19").has(f"delete: s3://{name}-5/p/new/19")
    equal(len(held(it, "-5")), 5)
    it.lade("rm", *options, f"{there}/new/19", status=1)
    it.lade("rm", "-r", *options, f"{there}/new")
    equal({bucket: len(keys) for bucket, keys in stored(it).items()}, {"": 20, "-2": 19, "-3": 20, "-4": 7, "-5": 0})


@case
def buckets_of_a_template_are_numbered_each_for_itself(it):
    tree(it, {f"cam{cam}/{number:02}": b"x" for cam in ("1", "1-2") for number in range(25)} | {"cam9/x": Link("y"), "cam9/e": Dir(),
                                                                                            "cam9/z": b"z"})
    there, options = template(it), ("--bucket-objects", "10", "--make-bucket")
    done = it.lade("put", "--dry-run", "--job", "job", *options, "src", there)
    done.has(f"to s3://{base(it)}-cam1--3/24", f"to s3://{base(it)}-cam1-2--3/24")
    it.lade("put", "--job", "job", *options, "src", there)
    equal({bucket: len(keys) for bucket, keys in stored(it).items()},
          {"-cam1": 10, "-cam1--2": 10, "-cam1--3": 5, "-cam1-2": 10, "-cam1-2--2": 10, "-cam1-2--3": 5, "-cam9": 3})
    # A template looks into all of them by itself.
    back(it, there)
    it.lade("check", "src", there)
    equal(it.lade("put", "--json", "--job", "other", "--make-bucket", "src", there).summary()["done"]["count"], 0)
    # Links and empty directories are objects that count.
    it.lade("put", "--job", "two", "--bucket-objects", "2", "--make-bucket", "src/cam9", f"s3://{base(it)}-two/{{1+}}")
    equal({bucket: len(keys) for bucket, keys in stored(it).items() if "two" in bucket}, {"-two": 2, "-two-2": 1})
    back_of = it / "nine"
    it.lade("get", f"s3://{base(it)}-two/{{1+}}", back_of)
    same_trees(contents(back_of), contents(it / "src/cam9"))


@case
def one_name_in_two_buckets_counts_once(it):
    tree(it, {"a": b"1", "b": b"2"})
    there, name = f"s3://{base(it)}", base(it)
    for bucket in ("", "-2"):
        it.lade("mb", f"s3://{name}{bucket}")
    it.lade("put", "--job", "job", "--bucket-objects", "9", "src", there)
    ask(it, "PUT", f"/{name}-2/b", body=b"of another")
    back(it, there, "--bucket-objects", "9")
    equal(it.lade("put", "--json", "--job", "job", "--bucket-objects", "9", "src", there).summary()["done"]["count"], 0)
    equal(it.lade("ls", "--bucket-objects", "9", there).out, f"s3://{name}/a\ns3://{name}/b\ns3://{name}-2/b\n")
    it.lade("rm", "-r", "--bucket-objects", "9", there)
    equal(stored(it), {"": [], "-2": []})


def found(it, *args):
    return it.lade("find", *args).out.splitlines()


@case
def what_find_tells_of_a_template_can_be_read(it):
    tree(it)
    there = template(it)
    it.lade("put", "--make-bucket", "src", there)
    jpgs = [template(it, f"-cam01/2026/{name}.jpg") for name in "ab"]
    for how in ((there,), ("--offline", there), ()):
        equal(found(it, "jpg", *how), jpgs)
    equal(found(it, "/cam02/d/", there), [template(it, "-cam02/d/e/f")], "the path is that in the tree")
    equal(len(found(it, "", there)), 8)
    equal(it.lade("cat", jpgs[0]).out, "A")
    it.lade("get", "--to", "one", jpgs[1])
    equal((it / "one").read_bytes(), TREE["cam01/2026/b.jpg"])
    it.lade("find", "jpg", f"{there}/cam01", status=3).has("no template", "behind {N+}")


@case
def find_sees_numbered_buckets(it):
    tree(it, numbered(it, 10))
    there = template(it, "/p")
    it.lade("put", "--make-bucket", "--bucket-objects", "4", "src", there)
    keys_there = [template(it, f"{tail}/p/d0/f{number:04}") for tail, numbers in (
        ("", range(4)), ("-2", range(4, 8)), ("-3", range(8, 10))) for number in numbers]
    # The place that was noted is all of the buckets; the bucket by itself is no other.
    equal(sorted(found(it, "f")), sorted(keys_there))
    equal(found(it, "f", there), keys_there[:4])
    equal(sorted(found(it, "f")), sorted(keys_there))
    for how in ((), ("--offline",)):
        equal(sorted(found(it, *how, "f", f"{there}/{{1+}}")), sorted(keys_there))
    equal(it.lade("cat", keys_there[9]).out, (it / "src/d0/f0009").read_text())


@case
def odd_names_go_to_numbered_buckets(it):
    odd = [b"\xff\xfe invalid", b"new\nline", b"%2F+&#?=%", b" space ", "ä日本".encode(), "‛".encode(), "．".encode(), b"...", b"-rf"]
    tree(it, {b"cam/" + name: name for name in odd})
    there, options = template(it), ("--bucket-objects", "4", "--make-bucket")
    it.lade("put", "--job", "job", *options, "src", there)
    equal([len(keys) for keys in stored(it).values()], [4, 4, 1])
    back(it, there)
    for job in ("job", "other"):
        equal(it.lade("put", "--json", "--job", job, *options, "src", there).summary()["done"]["count"], 0, f"moved with {job}")
    it.lade("check", "src", there)


@case
def large_objects_go_on_in_their_bucket(it):
    dice = random_of("spread large", 1)
    tree(it, {"a": b"1", "big": dice.randbytes(60 * MIB), "small": b"3"})
    there, options = f"s3://{base(it)}", ("--job", "job", "--bucket-objects", "1", "--make-bucket", "--transfers", "1")
    process = it.start("put", *options, "--bwlimit", "30MB", "src", there)
    it.wait_for(lambda: (it / "job").exists() and journalled(it / "job", parts=True) >= 2, process)
    process.send_signal(signal.SIGKILL)
    it.end(process, -signal.SIGKILL)
    parts = journalled(it / "job", parts=True)
    end = it.lade("put", "--json", *options, "src", there).summary()
    check(end["moved_bytes"] <= (60 << 20) - (parts - 1) * 8 * MIB + 100, "parts were sent again", end)
    equal(stored(it), {"": ["a"], "-2": ["big"], "-3": ["small"]})
    for bucket in ("", "-2", "-3"):
        no_uploads(it, f"s3://{base(it)}{bucket}")
    back(it, there, "--bucket-objects", "1")
    it.lade("check", "--deep", "--bucket-objects", "1", "src", there)


# ---- kills, and several at once ----

@case
def killed_puts_never_fill_a_bucket_above(it):
    dice = random_of("spread kill", 1)
    names = numbered(it, 400)
    hits = 0
    for tries in range(20 if LONG else 4):
        shutil.rmtree(it / "src", ignore_errors=True)
        tree(it, names)
        there = f"s3://{base(it)}{tries}/p"
        command = ("put", "--job", f"job{tries}", "--bucket-objects", "60", "--make-bucket", "--batch-objects", "25", "src", there)
        for _ in range(4):
            process = it.start(*command, "--tpslimit", "400")
            time.sleep(dice.uniform(0.02, 0.9))
            process.send_signal(signal.SIGKILL)
            done = it.end(process, (0, -signal.SIGKILL))
            hits += done.status != 0
            never_above(it, 60 * (tries + 1))
            check(all(len(keys) <= 60 for keys in stored(it).values()), "a bucket has more than it may have")
        it.lade(*command)
        mine = {bucket: keys for bucket, keys in stored(it).items() if re.fullmatch(rf"{tries}(-\d+)?", bucket)}
        equal(sorted(key for keys in mine.values() for key in keys), sorted(f"p/{name}" for name in names), "keys")
        equal(sorted(len(keys) for keys in mine.values()), [40] + 6 * [60], "objects of the buckets")
        back(it, there, "--bucket-objects", "60")
        it.lade("rm", "-r", "--bucket-objects", "60", f"s3://{base(it)}{tries}")
    check(hits >= tries + 1, f"only {hits} kills hit")


def stopped_plan(it):
    """A plan that ended in its middle, with objects on their way: the bucket of what comes last is missing."""
    names = {f"cam1/{number:03}": b"%d" % number for number in range(120)} | {f"cam2/b{number:03}": b"2" for number in range(15)}
    shutil.rmtree(it / "src", ignore_errors=True)
    tree(it, names)
    it.lade("mb", f"s3://{base(it)}-cam1")
    command = ("put", "--job", "job", "--bucket-objects", "50", "--batch-objects", "10", "src", template(it))
    it.lade(*command, status=3).has("there is no bucket", "-cam2'")
    newest = sorted((it / "job").glob("g*"))[-1]
    check((newest / "000001.seg").exists() and not (newest / "end").exists(), "the plan is not stopped in its middle")
    check((newest / "buckets").read_text().startswith("lade-buckets=1\n0 "), "no count of the buckets")
    return command[:1] + ("--make-bucket",) + command[1:], newest


@case
def a_plan_goes_on_with_the_counts_of_its_beginning(it):
    command, newest = stopped_plan(it)
    counted = (newest / "buckets").read_bytes()
    it.lade(*command)
    equal((newest / "buckets").read_bytes(), counted, "the count")
    equal({bucket: len(keys) for bucket, keys in stored(it).items()}, {"-cam1": 50, "-cam1--2": 50, "-cam1--3": 20, "-cam2": 15})
    back(it, template(it))
    never_above(it, 50)


def damage_row(name):
    for line in FORMATS.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[0].rstrip("*") == name:
            return int(cells[4]), cells[5].strip("| ")
    raise KeyError(name)


@case
def damaged_counts_are_made_anew(it):
    dice = random_of("spread damage", 1)
    for name in ["buckets-deleted"] + (20 if LONG else 3) * ["buckets-flipped"]:
        status, says = damage_row(name)
        command, newest = stopped_plan(it)
        path = newest / "buckets"
        if name == "buckets-deleted":
            path.unlink()
        else:
            data = bytearray(path.read_bytes())
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            path.write_bytes(data)
        it.lade(*command, status=status).has(says)
        never_above(it, 50)
        equal(sum(len(keys) for keys in stored(it).values()), 135, "objects")
        back(it, template(it))
        it.lade("rm", "-r", template(it))
        shutil.rmtree(it / "job")
        for bucket in buckets(it):
            ask(it, "DELETE", f"/{base(it)}{bucket}")


@case
def several_processes_share_a_job(it):
    names = numbered(it, 300)
    tree(it, names)
    there = f"s3://{base(it)}/p"
    options = ("--job", "job", "--bucket-objects", "70", "--make-bucket", "--batch-objects", "20")
    it.lade("plan", *options, "src", there)
    equal(buckets(it), [], "buckets that a plan made")
    runs = [it.start("run", "--tpslimit", "100", "job") for _ in range(3)]
    for process in runs:
        it.end(process)
    never_above(it, 70, [f"p/{name}" for name in names])
    equal(sorted(len(keys) for keys in stored(it).values()), [20, 70, 70, 70, 70])
    # And beside a put whose plan grows.
    make_tree(it / "src", {f"more/{number:03}": b"m" for number in range(100)})
    lead = it.start("put", "--tpslimit", "60", *options, "src", there)
    it.wait_for(lambda: list((it / "job").glob("g000002/000001.seg")), lead)
    it.end(it.start("run", "job"))
    it.end(lead)
    never_above(it, 70, [f"p/{name}" for name in names] + [f"p/more/{number:03}" for number in range(100)])
    back(it, there, "--bucket-objects", "70")


# ---- what goes with it ----

@case
def job_files_say_it_too(it):
    tree(it, {f"cam1/{number}": b"x" for number in range(7)})
    write(it / "mirror.ini", f"root = src\ntarget = {template(it)}\nbucket-objects = 3\nmake-bucket = yes\njob = job\n".encode())
    it.lade("run", "--file", "mirror.ini")
    equal({bucket: len(keys) for bucket, keys in stored(it).items()}, {"-cam1": 3, "-cam1--2": 3, "-cam1--3": 1})
    it.lade("check", "--file", "mirror.ini")
    make_tree(it / "src", {"cam1/more": b"m"})
    it.lade("plan", "--file", "mirror.ini", "--dry-run").has(f"to s3://{base(it)}-cam1--3/more")
    it.lade("run", "--file", "mirror.ini")
    equal(len(held(it, "-cam1--3")), 2)
    back(it, template(it))
    # The options are part of the job.
    it.lade("put", "--job", "other", "--max-batches", "1", "--batch-objects", "2", "--bucket-objects", "3", "--make-bucket", "src",
            f"s3://{base(it)}-x", status=5)
    it.lade("put", "--job", "other", "--batch-objects", "2", "--bucket-objects", "4", "--make-bucket", "src", f"s3://{base(it)}-x",
            status=2).has("look at --bucket-objects")
    it.lade("run", "other")
    equal({bucket: len(keys) for bucket, keys in stored(it).items() if "-x" in bucket}, {"-x": 3, "-x-2": 3, "-x-3": 2})


@case
def the_plan_warns_only_of_buckets_that_get_too_much(it):
    tree(it, {f"cam{number % 2}/{number:02}": b"x" for number in range(12)})
    write(it / "site.ini", b"[limits]\nbucket-objects = 7\n")
    for number, (there, options, warns) in enumerate(((f"s3://{base(it)}", (), True), (f"s3://{base(it)}", ("--bucket-objects", "7"), False),
                                                      (f"s3://{base(it)}", ("--bucket-objects", "8"), True), (template(it), (), False))):
        command = ("plan", "--job", f"job{number}", "--site", "site.ini", "--make-bucket", *options, "src", there)
        done = it.lade(*command)
        if warns:
            done.has("and one bucket holds 7: spread them over at least 2 buckets with --bucket-objects 7")
        else:
            done.has_not("one bucket holds")
        shutil.rmtree(it / f"job{number}")
        equal(it.lade(*command, "--json").events("estimate")[0]["exceeds_bucket"], warns)


main()
