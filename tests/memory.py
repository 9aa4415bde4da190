"""Where a test may work in memory: making and removing files costs a tenth there of what it does on a disk."""
import os
import shutil
import tempfile

DIRECTORY = "/dev/shm"
FREE_BYTES = 10 << 30  # a gateway takes up to 2 GiB of it, and several run at once


def free_bytes():
    """Of memory, also for files."""
    with open("/proc/meminfo", encoding="ascii") as file:
        numbers = dict(line.split(":") for line in file)
    return min(shutil.disk_usage(DIRECTORY).free, int(numbers["MemAvailable"].split()[0]) << 10)


def holds_files():
    """With all that a disk would: user attributes, and O_DIRECT for the gateway. It does since Linux 6.6."""
    fd, path = tempfile.mkstemp(dir=DIRECTORY)
    try:
        os.setxattr(fd, "user.x", b"x")
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    finally:
        os.close(fd)
        os.unlink(path)
    return True


def memory():
    """The directory, or None: nobody asked for it (LADE_TEST_MEMORY=1), there is none, or it does not suit."""
    if os.environ.get("LADE_TEST_MEMORY", "") in ("", "0") or os.environ.get("LADE_LONG", "") not in ("", "0"):
        return None
    try:
        return DIRECTORY if free_bytes() >= FREE_BYTES and holds_files() else None
    except (OSError, KeyError):
        return None
