# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A control group whose processes have little memory, the kernel's for them included.

Knows nothing of mssbpf.
"""
import contextlib
import os
import pathlib
import signal

import net

NAME = f"mssbpf-e2e-{os.getpid()}"
# Where the controller is, by the type of file system: a control group of the other version has none of these files.
LIMITS = {"cgroup2": ("memory.max", "memory.swap.max"), "cgroup": ("memory.limit_in_bytes", "memory.swappiness")}
KILLED = -signal.SIGKILL


class Group:
    """One whose limit is set anew for each command."""

    def __init__(self, folder, limit, swap):
        self.folder, self.limit = folder, folder / limit
        if (folder / swap).exists():
            (folder / swap).write_text("0")

    def run(self, size, *argv):
        """Runs a command in so many bytes; returns its Result. Its status is KILLED when it took more."""
        self.limit.write_text(str(size))
        return net.run("sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', str(self.folder), *argv)


@contextlib.contextmanager
def group(mountpoint):
    """Makes a group below a folder, where the hierarchy that has the controller is mounted meanwhile."""
    top = pathlib.Path(mountpoint)
    net.must("mount", "-t", "cgroup2", "none", str(top))
    kind = "cgroup2"
    if "memory" not in (top / "cgroup.controllers").read_text().split():
        net.must("umount", str(top))
        net.must("mount", "-t", "cgroup", "-o", "memory", "none", str(top))
        kind = "cgroup"
    else:  # as systemd does; others may count on it by now
        (top / "cgroup.subtree_control").write_text("+memory")
    os.mkdir(top / NAME)
    try:
        yield Group(top / NAME, *LIMITS[kind])
    finally:
        os.rmdir(top / NAME)
        net.must("umount", str(top))
