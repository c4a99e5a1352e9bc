import subprocess
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from host import Host  # noqa: E402
from yard import Yard  # noqa: E402


@pytest.fixture
def yard(tmp_path):
    """A Postyard that is configured and not yet started. Whatever the story was, it ends well."""
    y = Yard(tmp_path / "yard")
    yield y
    try:
        if y.is_up():
            assert y.stop() == 0, y.lines
        for never in ("watchdog_job", "result_unstored", "store_damaged", "store_flush_failed",
                      "report_failed"):
            assert not y.seen(never)
    finally:
        y.close()


@pytest.fixture
def host():
    """A host that takes everything; see host.py."""
    with Host() as h:
        yield h


@pytest.fixture
def another_host():
    with Host(name="another.example") as h:
        yield h


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority and two certificates by it: {'ca', 'mx', 'mx_key', 'host', 'host_key'}."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Story CA", "-days", "30")
    made = {"ca": folder / "ca.pem"}
    for name, host_name in (("mx", "mx.example.org"), ("host", "host.example")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host_name}")
        (folder / "ext").write_text(f"subjectAltName=DNS:{host_name},IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "30", "-extfile", "ext")
        made[name] = folder / f"{name}.pem"
        made[f"{name}_key"] = folder / f"{name}.key"
    return made


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing story shows where its log is."""
    outcome = yield
    report = outcome.get_result()
    y = getattr(item, "funcargs", {}).get("yard")
    if report.when == "call" and report.failed and y is not None:
        report.sections.append(("log of Postyard", str(y.log)))
