import os
import subprocess
import sys

import pytest

from pytest_vdb.errors import OutputError
from pytest_vdb.results.output import check_writable


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "a" / "b", 1)
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["reports", "reports/runs/deep"])
def test_a_file_in_the_way_is_named(tmp_path, below):
    (tmp_path / "reports").write_text("")
    with pytest.raises(OutputError, match="reports: a file is where the folder should be"):
        check_writable(tmp_path / below, 1)


def test_a_nearly_full_disk_is_said_with_both_figures(tmp_path):
    with pytest.raises(OutputError, match=r"only \d+ MiB are free and the run needs about 1000000000"):
        check_writable(tmp_path, 1_000_000_000)


def test_a_disk_that_takes_no_byte_is_said(tmp_path):
    script = f"""
import resource
from pathlib import Path
from pytest_vdb.results.output import check_writable
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
check_writable(Path({str(tmp_path)!r}), 1)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "OutputError" in done.stderr
    assert "cannot be written: File too large" in done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        check_writable(tmp_path / "reports", 1)


def test_a_folder_that_no_one_may_write_is_said():
    with pytest.raises(OutputError, match="cannot be written"):
        check_writable("/proc/reports", 1)
