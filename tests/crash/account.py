"""What became of each message: nothing answered may be missing, and twice only what P1 allows."""
from collections import defaultdict

RESULTS_S = 0.100  # P1: results of the last 100 ms
CLOCKS_S = 0.150   # what two processes on a busy machine may see apart


class Account:
    def __init__(self, load, yard, crashes, flush_s, unsure=()):
        """unsure: answers after which the mail may be there all the same, as after a flush that
        failed: the disk may have kept what it did not confirm."""
        self.load, self.yard, self.unsure = load, yard, unsure
        self.crashes = crashes  # [(when, when it was started again)]
        self.bound = RESULTS_S + CLOCKS_S + flush_s
        self.faults = []        # (round, text)
        self.counts = defaultdict(int)

    def fault(self, round_, text):
        self.faults.append((round_, text))

    def after(self, times, what, round_):
        """Each repetition must belong to a crash just after the delivery before it."""
        times.sort()
        for (first, end), (again, _) in zip(times, times[1:]):
            self.counts["twice"] += 1
            # What was under way at the crash, the destination may take a little later.
            near = [max(crash - first, 0.0) for crash, start in self.crashes
                    if end <= start + 0.1 and crash <= again]
            if near and min(near) <= RESULTS_S:
                self.counts["twice within 100 ms"] += 1
            if not near or min(near) > self.bound:
                self.fault(round_, f"{what} twice, {again - first:.3f} s apart, "
                           + (f"the first {min(near):.3f} s before a crash" if near
                              else "no crash between"))

    def take(self):
        got = defaultdict(list)      # recipient: times
        reports = defaultdict(list)  # token: times
        for line in self.yard.delivered():
            if line["from"] == "":
                for token in line["tokens"]:
                    reports[token].append((line["t"], line["end"]))
                continue
            m = self.load.messages.get(line["tokens"][0] if line["tokens"] else "")
            if m is None or not set(line["to"]) <= set(m.to):
                self.fault(0, f"mail that nobody sent: {line}")
                continue
            if line["digest"] != m.digest:
                self.fault(m.round, f"{m.token} ({m.id}) is not as it was accepted")
            for to in line["to"]:
                got[to].append((line["t"], line["end"]))
        for m in self.load.messages.values():
            self.judge(m, got, reports)

    def judge(self, m, got, reports):
        kind = "answered" if m.id else "refused" if m.reply else "unanswered"
        self.counts[kind] += 1
        seen = False
        for to in m.to:
            times = got.get(to, [])
            if to.startswith(("no-", "stay-")):
                continue
            seen = seen or bool(times)
            if m.id and not times:
                self.counts["never"] += 1
                self.fault(m.round, f"LOST: {to}, answered {m.reply.strip()}")
            self.after(times, f"{to} ({m.id}) delivered", m.round)
        if kind == "unanswered" and seen:
            self.counts["unanswered yet delivered"] += 1
        if kind == "refused" and seen and m.reply[:3] in self.unsure:
            self.counts["unsure yet delivered"] += 1
        elif kind == "refused" and seen:
            self.fault(m.round, f"{m.token} delivered, though answered {m.reply.strip()}")
        if any(t.startswith("no-") for t in m.to):
            times = reports.get(m.token, [])
            if m.id and not times:
                self.counts["reports missing"] += 1
                self.fault(m.round, f"no report about {m.token} ({m.id})")
            self.after(times, f"report about {m.token} ({m.id})", m.round)
        elif reports.get(m.token):
            self.fault(m.round, f"a report about {m.token} ({m.id}), which did not fail")
