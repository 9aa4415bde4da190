"""lade doctor: tests/servers/with python3 tests/cli/s3_doctor.py LADE"""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import Skip, as_nobody, case, check, equal, main
from s3_gateway import at_time

HEALTH = {"ok", "warn", "bad"}


def bucket(it):
    name = f"{it.name.replace('_', '-')[:50]}-{os.getpid()}"
    it.lade("mb", f"s3://{name}")
    return f"s3://{name}"


def doctor(it, *args, status=0, env=None, prefix=()):
    """What it finds, by name. Each line has the shape that the manual page tells."""
    done = it.lade("doctor", "--json", *args, status=status, env=env, prefix=prefix)
    found = {}
    for line in done.out.splitlines():
        item = json.loads(line)
        check(item["status"] in HEALTH and item["text"], f"no finding: {line}")
        check((item["status"] == "ok") == ("todo" not in item), f"no word of what to do, or one too many: {line}")
        check(item["name"] not in found, f"told twice: {line}")
        found[item["name"]] = item
    equal(any(item["status"] == "bad" for item in found.values()), done.status == 3, "bad findings and exit status 3")
    return found


def facts(found):
    names = ["list-v2", "multipart", "if-none-match", "crc64nvme", "crc64nvme-part", "trailer", "crc32c", "content-md5", "sha256"]
    return {name: found[name]["text"] for name in names}


def cached(it):
    return sorted((it / "home/.cache/lade").glob("*"))


def nothing_is_left(it, there):
    equal(it.lade("ls", "-R", there).out, "", "keys that are left")
    equal(it.lade("uploads", there).out, "", "uploads that are left")


@case
def gateway_is_told_as_it_is(it):
    there = bucket(it)
    found = doctor(it, f"{there}/some/place")
    seen = facts(found)
    for name in ("list-v2", "multipart", "if-none-match"):
        check(seen[name].startswith("supported"), f"{name}: {seen[name]}")
    for name in ("crc64nvme", "crc64nvme-part", "crc32c"):
        check("proves nothing" in seen[name], f"{name}: {seen[name]}")
    for name in ("content-md5", "sha256"):
        equal(seen[name], "a wrong one is refused", name)
    equal(seen["trailer"], "not supported", "the gateway takes the name of the way for a digest")
    check("SHA-256" in found["proof"]["text"], found["proof"]["text"])
    for name in ("credentials", "endpoint", "region", "addressing", "clock", "reach", "bucket", "list", "write", "read",
                 "delete", "limits"):
        equal(found[name]["status"], "ok", name)
    check("AWS_ACCESS_KEY_ID" in found["credentials"]["text"], found["credentials"]["text"])
    check("AWS_REGION" in found["region"]["text"], found["region"]["text"])
    equal(found["tls"]["status"], "warn", "plain http")
    check("10,000" in found["limits"]["text"] and "5.00 TiB" in found["limits"]["text"], found["limits"]["text"])
    nothing_is_left(it, there)


@case
def words_are_for_people(it):
    there = bucket(it)
    it.lade("doctor", there).matches(r"^ok    write           objects can be stored$").matches(
        r"^warn  tls .*\n {22}to do: use https://")


@case
def secrets_are_not_told(it):
    there = bucket(it)
    for args in ((there,), ("--json", there)):
        done = it.lade("doctor", *args)
        done.has_not(it.env["AWS_SECRET_ACCESS_KEY"])
        done.has_not(it.env["AWS_ACCESS_KEY_ID"])


@case
def what_was_learnt_is_kept_and_shown(it):
    there = bucket(it)
    first = doctor(it, there)
    check("probed" not in first, "the first look was from a cache")
    equal(len(cached(it)), 1, "cache files")
    second = doctor(it, there)
    equal(facts(second), facts(first))
    check("probed" in second, "the second look was not from the cache")
    it.lade("doctor", there).matches(r"probed \d+ (second|minute)s? ago")
    check("probed" not in doctor(it, "--again", there), "--again believes the cache")
    fresh = cached(it)[0].read_bytes()
    check("probed" not in doctor(it, bucket_beside(it)), "the cache is taken for another bucket")
    for damage in (fresh[:-1], fresh.replace(b"ignored", b"yes", 1), b"", b"\xff" * 3000, b"x" * 10**6):
        for path in cached(it):
            path.write_bytes(damage)
        again = doctor(it, there)
        check("probed" not in again, f"a damaged cache is believed: {damage[:50]}")
        equal(facts(again), facts(first))


def bucket_beside(it):
    name = f"beside-{os.getpid()}"
    it.lade("mb", f"s3://{name}")
    return f"s3://{name}"


@case
def old_knowledge_is_not_believed(it):
    there = bucket(it)
    doctor(it, there)
    check("probed" in doctor(it, there), "nothing is kept")
    check("probed" not in doctor(it, there, **at_time(it, "+15d")), "15 days later it is still believed")


@case
def cache_that_cannot_be_written_is_no_trouble(it):
    there = bucket(it)
    found = doctor(it, there, env={"XDG_CACHE_HOME": "/proc/none"})
    equal(found["cache"]["status"], "warn")
    check(facts(found)["sha256"] == "a wrong one is refused", found)


@case
def missing_bucket_is_bad(it):
    found = doctor(it, f"s3://never-made-{os.getpid()}", status=3)
    equal(found["bucket"]["status"], "bad")
    check(found["bucket"]["todo"].startswith("lade mb "), found["bucket"])
    check("write" not in found, "it tried to write")


@case
def wrong_secret_is_bad(it):
    there = bucket(it)
    found = doctor(it, there, status=3, env={"AWS_SECRET_ACCESS_KEY": "wrong"})
    equal(found["access"]["status"], "bad")
    check("SignatureDoesNotMatch" in found["access"]["text"], found["access"])


@case
def no_credentials_are_bad(it):
    found = doctor(it, "s3://any", status=3, env={"AWS_ACCESS_KEY_ID": ""})
    equal(found["credentials"]["status"], "bad")


@case
def profile_is_named(it):
    there = bucket(it)
    (it / "credentials").write_text(f"[mine]\naws_access_key_id={it.env['AWS_ACCESS_KEY_ID']}\n"
                                    f"aws_secret_access_key={it.env['AWS_SECRET_ACCESS_KEY']}\nregion=here\n")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(it / "credentials"), "AWS_REGION": ""}
    found = doctor(it, "--profile", "mine", there, env=env)
    check("profile 'mine'" in found["credentials"]["text"] and str(it / "credentials") in found["credentials"]["text"],
          found["credentials"]["text"])
    check("here, from the profile" in found["region"]["text"], found["region"]["text"])
    found = doctor(it, "--region", "there", "--endpoint-url", it.env["AWS_ENDPOINT_URL"], there)
    check("the command line" in found["region"]["text"] and "the command line" in found["endpoint"]["text"], found)


@case
def no_server_is_bad(it):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = doctor(it, "s3://any", status=3, env={"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    equal(found["reach"]["status"], "bad")


@case
def tls_is_verified(it):
    there = bucket(it)
    env = {"AWS_ENDPOINT_URL": it.env["RGW_ENDPOINT_TLS"]}
    found = doctor(it, there, status=3, env=env)
    check("certificate" in found["reach"]["text"] and "AWS_CA_BUNDLE" in found["reach"]["todo"], found["reach"])
    found = doctor(it, there, env={**env, "AWS_CA_BUNDLE": it.env["RGW_CA"]})
    equal(found["tls"]["status"], "ok")
    check("SHA-256" in found["proof"]["text"], "the gateway verifies no CRC, so it is no proof")


@case
def wrong_clock_is_told(it):
    there = bucket(it)
    found = doctor(it, there, **at_time(it, "+20m"))
    equal(found["clock"]["status"], "warn")
    check("ahead of" in found["clock"]["text"] and "more than S3 takes" in found["clock"]["text"], found["clock"])
    equal(found["write"]["status"], "ok", "writing with a wrong clock")


@case
def reader_is_told_what_it_may_do(it):
    """The second user may list and read, by a policy; then nothing at all."""
    there = bucket(it)
    if shutil.which("s3cmd") is None:
        raise Skip("s3cmd is missing")
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetObject"],
         "Resource": [f"arn:aws:s3:::{there[5:]}", f"arn:aws:s3:::{there[5:]}/*"]}]}
    (it / "policy").write_text(json.dumps(policy))
    host = it.env["AWS_ENDPOINT_URL"].removeprefix("http://")
    s3cmd = ["s3cmd", "--config=/dev/null", "--no-ssl", f"--host={host}", f"--host-bucket={host}",
             f"--access_key={it.env['AWS_ACCESS_KEY_ID']}", f"--secret_key={it.env['AWS_SECRET_ACCESS_KEY']}"]
    subprocess.run([*s3cmd, "setpolicy", it / "policy", there], env=it.env, check=True, capture_output=True)
    other = {"AWS_ACCESS_KEY_ID": it.env["RGW_ACCESS_KEY2"], "AWS_SECRET_ACCESS_KEY": it.env["RGW_SECRET_KEY2"]}
    found = doctor(it, there, env=other)
    equal(found["list"]["status"], "ok")
    equal(found["write"]["status"], "warn")
    check("s3:PutObject" in found["write"]["todo"], found["write"])
    check("delete" not in found and "crc64nvme" not in found, "it tells of what it could not try")
    subprocess.run([*s3cmd, "delpolicy", there], env=it.env, check=True, capture_output=True)
    equal(doctor(it, there, env=other, status=3)["bucket"]["status"], "bad")


@case
def what_a_kill_leaves_is_removed(it):
    """Killed in the middle, at many moments: the next one removes it, also parts of uploads."""
    there = bucket(it)
    left = 0
    for step in range(25):
        process = it.start("doctor", "--again", f"{there}/d")
        time.sleep(0.01 + step * 0.006)
        process.send_signal(signal.SIGKILL)
        it.end(process, (-signal.SIGKILL, 0))
        keys = it.lade("ls", "-R", there).out + it.lade("uploads", there).out
        left += keys != ""
        check(all(".lade-probe-" in line for line in keys.splitlines()), keys)
    it.lade("doctor", "--again", f"{there}/d")
    nothing_is_left(it, there)
    check(left > 0, "no kill left anything")


@case
def what_another_machine_left_is_removed_when_it_is_old(it):
    there = bucket(it)
    (it / "src").mkdir()
    (it / "src/.lade-probe-00000000-1-access").write_text("young, of another machine")
    (it / "src/.lade-probe-note").write_text("not of a probe")
    it.lade("put", "src", there)
    doctor(it, "--again", there)
    equal(it.lade("ls", there).out, ".lade-probe-00000000-1-access\n.lade-probe-note\n", "keys that are left alone")


@case
def versions_are_not_left(it):
    """In a versioned bucket not even markers of deletion stay."""
    there = bucket(it)
    if shutil.which("aws") is None:
        raise Skip("aws is missing")
    env = {**it.env, "AWS_DEFAULT_REGION": "default"}

    def aws(*args):
        done = subprocess.run(["aws", "--endpoint-url", it.env["AWS_ENDPOINT_URL"], "s3api", *args, "--bucket", there[5:]],
                              env=env, capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"aws {args}", done.stderr)
        return json.loads(done.stdout or "{}")

    aws("put-bucket-versioning", "--versioning-configuration", "Status=Enabled")
    doctor(it, there)
    listed = aws("list-object-versions")
    equal([item["Key"] for name in ("Versions", "DeleteMarkers") for item in listed.get(name, [])], [], "versions")


# ---- directories and null: ----

@case
def directory_is_told(it):
    (it / "d").mkdir()
    for name in (str(it / "d"), f"file:{it / 'd'}"):
        found = doctor(it, name)
        for part in ("directory", "write", "fsync", "fsync-directory", "delete", "space"):
            equal(found[part]["status"], "ok", part)
        check("attributes" in found and "times" in found, found)
    equal(os.listdir(it / "d"), [], "files that are left")


@case
def missing_directory_is_bad(it):
    equal(doctor(it, str(it / "none"), status=3)["directory"]["status"], "bad")


@case
def directory_without_rights_is_told(it):
    (it / "d").mkdir()
    os.chmod(it / "d", 0o555)
    found = doctor(it, str(it / "d"), prefix=as_nobody())
    equal(found["write"]["status"], "warn")
    check("fsync" not in found, found)


@case
def full_directory_is_told(it):
    target = it.mount("-t", "tmpfs", "-o", "size=64k,nr_inodes=64", "tmpfs", it / "small")
    with open(target / "fill", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    found = doctor(it, str(target), status=3)
    equal(found["write"]["status"], "bad")
    equal(found["space"]["status"], "warn")


@case
def killed_probe_of_a_directory_is_removed(it):
    (it / "d").mkdir()
    trace = shutil.which("strace")
    if trace is None:
        raise Skip("strace is missing")
    done = it.lade("doctor", "d", status=None, prefix=(trace, "-f", "-o", "/dev/null", "-e", "inject=fsync:signal=KILL"))
    left = os.listdir(it / "d")
    check(len(left) == 1 and left[0].startswith(".lade-probe-"), f"left: {left}", done)
    (it / "d/.lade-probe-00000000-1.tmp").write_text("young, of another machine")
    doctor(it, str(it / "d"))
    equal(os.listdir(it / "d"), [".lade-probe-00000000-1.tmp"])
    os.utime(it / "d/.lade-probe-00000000-1.tmp", (1, 1))
    doctor(it, str(it / "d"))
    equal(os.listdir(it / "d"), [])


@case
def null_is_told(it):
    equal(doctor(it, "null:")["write"]["status"], "ok")


@case
def unknown_place_is_refused(it):
    it.lade("doctor", "ftp://x", status=2).has("no kind of location")


main()
