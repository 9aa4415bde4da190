"""lade check of what others stored: tests/servers/with python3 tests/cli/s3_check.py LADE

The objects are written by rclone, the AWS CLI and s3cmd, in parts of several sizes, and compared by their ETag."""
import os
import re
import shutil
import subprocess

from harness import Dir, Link, Skip, case, check, equal, main, make_tree, random_of, set_age, write

MIB = 1 << 20
SMALL = {"a": b"A", "sub/b": b"BB" * 5000, "sub/c": b""}


def bucket(it):
    name = f"{it.name.replace('_', '-')[:50]}-{os.getpid()}"
    it.lade("mb", f"s3://{name}")
    return f"s3://{name}"


def source(it, *mib, **more):
    """A tree with files of these sizes, a little odd."""
    rng = random_of("s3 check", 1)
    chunk = rng.randbytes(MIB)
    content = {f"f{size}": b"".join(chunk[n:] + chunk[:n] for n in range(size)) + b"odd" for size in mib}
    make_tree(it / "src", {**SMALL, **content, **more})
    set_age(it / "src")


def run(it, *args, **env):
    if shutil.which(args[0]) is None:
        raise Skip(f"{args[0]} is missing")
    done = subprocess.run(args, env={**it.env, **env}, cwd=it.path, capture_output=True, check=False)
    check(done.returncode == 0, f"{args}", done.stderr.decode(errors="replace"))


def rclone(it, *args):
    run(it, "rclone", "--config", "/dev/null", *args, RCLONE_CONFIG_G_TYPE="s3", RCLONE_CONFIG_G_PROVIDER="Ceph",
        RCLONE_CONFIG_G_ENV_AUTH="true", RCLONE_CONFIG_G_ENDPOINT=it.env["AWS_ENDPOINT_URL"])


def aws(it, chunk, *args):
    write(it / "aws.ini", f"[default]\ns3 =\n  multipart_chunksize = {chunk}\n  multipart_threshold = {chunk}\n".encode())
    # Amazon's newer programs send trailers that this gateway does not know.
    run(it, "aws", "--endpoint-url", it.env["AWS_ENDPOINT_URL"], *args, AWS_CONFIG_FILE=str(it / "aws.ini"),
        AWS_REQUEST_CHECKSUM_CALCULATION="when_required", AWS_RESPONSE_CHECKSUM_VALIDATION="when_required")


def s3cmd(it, *args):
    host = it.env["AWS_ENDPOINT_URL"].removeprefix("http://")
    run(it, "s3cmd", "--config=/dev/null", "--no-ssl", f"--host={host}", f"--host-bucket={host}",
        f"--access_key={it.env['AWS_ACCESS_KEY_ID']}", f"--secret_key={it.env['AWS_SECRET_ACCESS_KEY']}", *args)


def summary(it, *args, status=0):
    return it.lade("check", "--json", *args, status=status).summary()


def by_content(it, there):
    """All of it is compared by content, and nothing is read from the store."""
    files = [path for path in (it / "src").rglob("*") if path.is_file()]
    before = requests(it, "GET", there)
    found = summary(it, "--deep", "src", there)
    equal(found["same_by_reading"], len(files), "files compared by content")
    equal(found["same_by_size_only"], 0, "files compared by size only")
    equal(found["exit_status"], 0)
    equal(requests(it, "GET", there), before, "objects that were read")


def requests(it, method, there):
    """How often the gateway was asked for an object: by its log."""
    with open(os.path.join(it.env["RGW_DIR"], "log/rgw.log"), encoding="utf-8", errors="replace") as file:
        return len(re.findall(rf'"{method} /{there[5:].split("/")[0]}/[^?" ]+ HTTP', file.read()))


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@case
def rclone_parts(it):
    source(it, 4, 11, 33, link=Link("a"))
    for size in (5, 8, 16, 25):
        there = f"{bucket(it)}/{size}"
        rclone(it, "copy", "--links", "--s3-upload-cutoff", f"{size}Mi", "--s3-chunk-size", f"{size}Mi", "src", "g:" + there[5:])
        found = summary(it, "--deep", "src", there)
        equal(found["same_by_size_only"], 0, f"by size only, parts of {size} MiB")
        equal(found["same_by_reading"], 7, f"by content, parts of {size} MiB")


@case
def rclone_needs_no_reading_of_the_store(it):
    source(it, 4, 11)
    there = f"{bucket(it)}/p"
    rclone(it, "copy", "--s3-upload-cutoff", "5Mi", "src", "g:" + there[5:])
    by_content(it, there)
    before = requests(it, "GET", there)
    it.lade("check", "--download", "src", there)
    check(requests(it, "GET", there) >= before + 5, "--download reads nothing, or the log does not tell")


@case
def aws_parts(it):
    source(it, 4, 20, 66)
    there = bucket(it)
    for size in (5, 8, 15, 16, 64):
        place = f"{there}/{size}"
        aws(it, f"{size}MB", "s3", "cp", "--recursive", "src", place)
        by_content(it, place)


@case
def s3cmd_parts(it):
    source(it, 4, 20, 66)
    there = bucket(it)
    for size in (15, 50):
        place = f"{there}/{size}"
        s3cmd(it, "put", "--recursive", f"--multipart-chunk-size-mb={size}", "src/", place + "/")
        by_content(it, place)


@case
def other_content_of_the_same_size_is_found(it):
    source(it, 4)
    there = bucket(it)
    s3cmd(it, "put", "--recursive", "src/", f"{there}/p/")
    flip(it / "src/f4", 2 * MIB)
    it.lade("check", "--deep", "src", f"{there}/p", status=4).matches(r"^different: f4: content: CRC64NVME")


@case
def other_content_in_parts_is_not_taken_for_the_same(it):
    """Nothing can be said without reading it, and that is said."""
    source(it, 20)
    there = bucket(it)
    s3cmd(it, "put", "--recursive", "src/", f"{there}/p/")
    by_content(it, f"{there}/p")
    flip(it / "src/f20", 19 * MIB)
    done = it.lade("check", "--deep", "src", f"{there}/p")
    done.matches(r"^ +1 compared by size only: .*--download")
    done.matches(r"^ +3 the same, content compared now")
    it.lade("check", "--deep", "--download", "src", f"{there}/p", status=4).has("different: f20")


@case
def unusual_parts_are_told(it):
    source(it, 30)
    there = bucket(it)
    aws(it, "7654321", "s3", "cp", "--recursive", "src", f"{there}/p")
    found = summary(it, "--deep", "src", f"{there}/p")
    equal((found["same_by_reading"], found["same_by_size_only"]), (3, 1), "by content and by size only")
    found = summary(it, "--deep", "--download", "src", f"{there}/p")
    equal((found["same_by_reading"], found["same_by_size_only"]), (4, 0), "with --download")


@case
def files_without_times_are_compared_by_content_anyway(it):
    """What others store has no time that can be trusted, so content is asked for also without --deep."""
    source(it, 4, 20)
    there = bucket(it)
    aws(it, "8MB", "s3", "cp", "--recursive", "src", f"{there}/p")
    found = summary(it, "src", f"{there}/p")
    equal((found["same_by_reading"], found["same_by_size_only"]), (5, 0), "by content and by size only")


@case
def own_parts_without_a_record(it):
    """What lade itself stored, checked by someone who has no job."""
    source(it, 4, 40, empty=Dir())
    there = bucket(it)
    it.lade("put", "src", f"{there}/p")
    shutil.rmtree(it / "state")
    found = summary(it, "--deep", "src", f"{there}/p")
    equal((found["same_by_reading"], found["same_by_size_only"], found["directories"]), (5, 0, 1), "compared")


main()
