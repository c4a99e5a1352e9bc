"""measure: what a program costs: processor time, memory, switches of all its processes, and what
reaches the disk. Everything is read from /proc and /sys, from outside, alike for every MTA."""
import os
import re

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def _stat(pid):
    with open(f"/proc/{pid}/stat") as f:
        text = f.read()
    return text[text.rindex(")") + 2:].split()


def processes(root):
    """root and all its descendants that live now."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents.setdefault(int(_stat(name)[1]), []).append(int(name))
            except (OSError, ValueError):
                pass  # it ended while we looked
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += parents.get(pid, [])
    return found


def cpu_s(root):
    """Processor seconds so far, of the living and of children that were waited for."""
    ticks = 0
    for pid in processes(root):
        try:
            ticks += sum(int(n) for n in _stat(pid)[11:15])
        except OSError:
            pass
    return ticks * TICK_S


def memory_kib(root):
    """Proportional set size: shared pages are counted once."""
    total = 0
    for pid in processes(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
        except (OSError, AttributeError):
            pass
    return total


def switches(root):
    """Context switches, of the living only: short-lived processes take theirs with them."""
    total = 0
    for pid in processes(root):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status") as f:
                    total += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", f.read()))
        except OSError:
            pass
    return total


def disk_of(path):
    """The name of the block device below a folder, in /sys/block; None when there is none."""
    device = os.stat(path).st_dev
    link = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    if not os.path.exists(link):
        return None
    name = os.path.basename(os.path.realpath(link))
    return name if os.path.exists(f"/sys/block/{name}/stat") else \
        os.path.basename(os.path.dirname(os.path.realpath(link)))


def disk(name):
    """(bytes written, flushes completed) so far; flushes are None where the kernel counts none."""
    if name is None:
        return None, None
    with open(f"/sys/block/{name}/stat") as f:
        fields = [int(n) for n in f.read().split()]
    return fields[6] * 512, fields[15] if len(fields) > 15 else None


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read())
    return {"cpus": os.cpu_count(), "cpu": model.group(1) if model else "unknown",
            "kernel": os.uname().release}
