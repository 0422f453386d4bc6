#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What forward.py measures, but in executed instructions: it runs in a guest of QEMU whose clock counts them, so other
work on this machine changes nothing. As root; the guest sees the host's files, read-only.

The guest's timer interrupts it every four milliseconds, four million instructions; hence many short rounds, of which
the least was not interrupted.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import forward
import table

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 10000  # no time is too long: the guest's clock runs ahead while it waits for the host


def boot(kernel, command):
    """Runs a command in a guest; returns what it printed."""
    folder = ROOT / "build/vm" / kernel
    console, output = folder / "console", folder / "output"
    (folder / "command").write_text("".join(f"{word}\0" for word in command))
    share = "local,security_model=none,readonly=on,multidevs=remap"
    subprocess.run((
        "qemu-system-x86_64", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max",
        "-smp", "1", "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", folder / "vmlinuz", "-initrd", folder / "initramfs",
        "-append", "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off nowatchdog clocksource=tsc tsc=reliable "
        # A nanosecond of the guest's clock is an instruction; not to be measured by the guest.
        f"tsc_early_khz=1000000 VM_RUN=command VM_FOLDER={folder.relative_to(ROOT)} MSSBPF_TEST_PATIENCE={PATIENCE}",
        "-serial", f"file:{console}", "-serial", f"file:{output}",
        "-fsdev", f"{share},id=host,path=/", "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        "-fsdev", f"{share},id=checkout,path={ROOT}", "-device", "virtio-9p-pci,fsdev=checkout,mount_tag=checkout"),
        check=True, stdin=subprocess.DEVNULL)
    text = output.read_text(errors="replace").replace("\r", "")
    if "\nvm: exit 0\n" not in text:
        sys.exit(f"{text}\ntests/bench/icount.py: the guest failed: see above, and {console}")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    forward.options(parser)
    parser.add_argument("--kernel", default="6.12", help="of tests/vm/kernel (%(default)s)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    # Wherever it lies on the host: below /tmp, the guest would not see it.
    program = ROOT / "build/vm" / arguments.kernel / "mssbpf"
    shutil.copy(os.environ.get("MSSBPF", ROOT / "mssbpf"), program)
    text = boot(arguments.kernel, (
        "env", f"MSSBPF=/tmp/mssbpf/{program.relative_to(ROOT)}", "tests/bench/forward.py", "--apart", "--json",
        "--rounds", str(arguments.rounds or 12), "--packets", str(arguments.packets or 512), "--only", arguments.only))
    results = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    results["unit"] = "instructions"
    print(json.dumps(results) if arguments.json else table.text(results))


if __name__ == "__main__":
    main()
