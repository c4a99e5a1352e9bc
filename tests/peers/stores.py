"""Redis and PostgreSQL, as this machine has them, on loopback ports and in folders of their own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from ports import free_port


class Store:
    """One server process; `stop` and `start` again keep its data."""

    def __init__(self):
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postyard-store-"))
        self.process = None

    def run(self, *command, **options):
        self.output = open(self.folder / "output", "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=self.output, start_new_session=True,
                                        cwd=self.folder, **options)
        end = time.monotonic() + 30
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError((self.folder / "output").read_text(errors="replace"))
            time.sleep(0.05)
        return self

    def stop(self):
        if self.process is not None:
            self.go_on()
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.output.close()
            self.process = None

    def pause(self):
        """It keeps its connections and says nothing."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.killpg(self.process.pid, signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *what):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Store):
    password = "sesame"

    def start(self):
        return self.run("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save",
                        "", "--requirepass", self.password, "--dir", str(self.folder),
                        "--unixsocket", str(self.folder / "socket"))

    def says(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port), "-a", self.password,
                               "--no-auth-warning", *words], capture_output=True, text=True,
                              timeout=10).stdout.strip()

    def answers(self):
        return self.says("PING") == "PONG"


class PostgreSQL(Store):
    user, password = "reader", "it's sesame"
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]

    def __init__(self):
        super().__init__()
        account = pwd.getpwnam("postgres")
        self.who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        os.chmod(self.folder, 0o755)
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        (self.folder / "password").write_text(self.password)
        subprocess.run([self.programs / "initdb", "-D", self.folder / "data", "-U", self.user,
                        "--pwfile", self.folder / "password", "-A", "scram-sha-256", "-E", "UTF8",
                        "--no-sync"], check=True, capture_output=True, cwd=self.folder, **self.who)

    def start(self):
        return self.run(self.programs / "postgres", "-D", self.folder / "data", "-p",
                        str(self.port), "-h", "127.0.0.1", "-k", self.folder, "-F", **self.who)

    def says(self, statement):
        return subprocess.run(
            [self.programs / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user,
             "-d", "postgres", "-Atc", statement], capture_output=True, text=True, timeout=20,
            env={**os.environ, "PGPASSWORD": self.password}).stdout.strip()

    def answers(self):
        return self.says("SELECT 1") == "1"
