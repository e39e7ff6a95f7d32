"""Weights & Biases, offline: a folder that `wandb sync` uploads when its owner wants it to.

wandb notes the host, the user, the command, the repository and the machine by itself: all of that is switched off, and
its logs, which name folders of the machine, are removed.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.escaping import shortened
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import PROJECT, Summarised, left_out, summarised
from pytest_vdb.exports.trackers import configuration, logged

_LONGEST, _LONGEST_JOB = 128, 64
"""Characters, as wandb takes them."""


def _write_wandb(board: Leaderboard, to: Destination) -> Written:
    rows = summarised(board)
    folder = files.make_folder(files.expanded(to.place))
    places = [_offline_run(row, folder) for row in rows]
    return Written(
        places=tuple(map(str, places)),
        values=sum(row.values for row in rows),
        left_out=left_out(rows),
        notes=(f"upload them with: wandb sync {folder / 'wandb'}/offline-run-*",),
    )


def _offline_run(row: Summarised, folder: Path) -> Path:
    """One row as one run, whose id is the row's: synced twice, it is still one."""
    import wandb

    run = wandb.init(
        project=PROJECT,
        id=row.id,
        name=shortened(row.name, _LONGEST),
        group=shortened(row.run.id, _LONGEST),
        job_type=shortened(row.table.name, _LONGEST_JOB),
        tags=[f"weights: {row.row.weights or 'unknown'}", "ranked" if row.row.real else "not ranked"],
        notes=None if row.row.real else row.why_unranked,
        config=configuration(row),
        settings=_settings(folder),
    )
    place = Path(run.settings.sync_dir)
    for step, values in enumerate(logged(row)):
        run.log(values, step=step)
    run.summary.update(row.figures)
    run.finish()
    _remove_logs(place)
    return place


def _settings(folder: Path) -> Any:
    """Nothing of the machine, nothing on the screen, no network."""
    import wandb

    return wandb.Settings(
        mode="offline",
        root_dir=str(folder.resolve()),
        host="",
        username="",
        program="",
        program_abspath="",
        program_relpath="",
        console="off",
        silent=True,
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _remove_logs(place: Path) -> None:
    shutil.rmtree(place / "logs", ignore_errors=True)
    for link in _dangling(place.parent):
        with contextlib.suppress(OSError):
            link.unlink()


def _dangling(folder: Path) -> Iterator[Path]:
    """wandb's links to the logs of its latest run."""
    return (entry for entry in folder.iterdir() if entry.is_symlink() and not files.is_there(entry))


TARGET = Target(
    name="wandb",
    about="Weights & Biases, offline: a run per model, to be synced or not",
    place="FOLDER",
    default="exports",
    write=_write_wandb,
    libraries=("wandb",),
    extra="wandb",
)
