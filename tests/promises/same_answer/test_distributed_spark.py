"""Spark gives what a local run gives: `pytest -m spark` (the extra `spark`, and Java 17)."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from scorer.errors import ColumnError
from scorer.model import Model, load_model
from scorer.tasks import OutputOptions
from tests.support import runners

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("in_tmp_path")]
in_tmp_path = runners.in_tmp_path


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """A cluster on this machine: two executors, each a JVM of its own, so that one can be lost."""
    sql = pytest.importorskip("pyspark.sql")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(runners.ROOT))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        builder = sql.SparkSession.builder.master("local-cluster[2,1,1024]")
        for name in ("spark.ui.enabled", "spark.ui.showConsoleProgress"):
            builder = builder.config(name, "false")
        session = builder.config("spark.log.level", "OFF").getOrCreate()
        yield session
        session.stop()


@pytest.fixture
def model(tiny_zoo: Path) -> Model:
    return load_model("tiny-binary", zoos=[tiny_zoo])


@pytest.fixture
def runner(session: Any, model: Model) -> Any:
    from scorer.distributed import open_runner

    return open_runner("spark", model)


def test_files_are_those_of_a_local_run(model: Model, runner: Any) -> None:
    runners.check_same(model, runner)


def test_a_split_file_is_that_of_a_local_run(model: Model, runner: Any) -> None:
    runners.check_parts(model, runner)


def test_folders_of_parts_are_the_files_of_a_local_run(model: Model, runner: Any) -> None:
    runners.check_folders(model, runner)


def test_a_part_that_kills_its_worker_is_made_again(model: Model, runner: Any) -> None:
    runners.check_folder_deaths(model, runner)


def test_urls_are_those_of_a_local_run(model: Model, runner: Any, tmp_path: Path) -> None:
    runners.check_urls(model, runner, tmp_path / "state")


def test_incremental_runs_are_those_of_a_local_run(model: Model, runner: Any) -> None:
    runners.check_incremental(model, runner)


def test_models_of_several_inputs_read_their_columns(session: Any) -> None:
    from scorer.distributed import open_runner

    model = runners.several_inputs()
    runners.check_several_inputs(model, open_runner("spark", model))


def test_a_worker_opens_the_model_once(model: Model, runner: Any) -> None:
    runners.check_opened_once(model, runner)


def kill_executor() -> None:
    """Kill the JVM that this worker's daemon is a child of, and wait to be lost with it."""
    status = Path(f"/proc/{os.getppid()}/stat").read_text()
    os.kill(int(status.rpartition(")")[2].split()[1]), signal.SIGKILL)
    time.sleep(600)


@pytest.mark.parametrize("kill", [runners.die, kill_executor])
def test_dying_workers_are_survived(model: Model, runner: Any, kill: Any) -> None:
    runners.check_deaths(model, runner, kill)


@pytest.mark.parametrize("options", [OutputOptions(), OutputOptions(True, True, 0.3, "m_")])
def test_a_data_frame_has_the_predictions_of_a_local_model(
    session: Any, model: Model, options: OutputOptions
) -> None:
    from scorer.distributed import score_dataframe

    texts = runners.rows(3000)
    table = pa.table({"n": range(3000), "text": pa.array(texts, pa.string())})
    frame = session.createDataFrame(table).repartition(5)
    found = score_dataframe(frame, model, options=options).toArrow().sort_by("n")
    expected = model.predict(texts, options=options)
    assert found.column_names == ["n", "text", *expected.column_names]
    assert found.select(["n", "text"]).combine_chunks() == table
    assert found.select(expected.column_names).combine_chunks() == expected.combine_chunks()


def test_a_data_frame_by_the_name_of_a_model(
    session: Any, tiny_zoo: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorer.distributed import score_dataframe

    monkeypatch.setenv("SCORER_ZOO", str(tiny_zoo))
    frame = session.createDataFrame([("good film",), (None,)], "review string")
    found = score_dataframe(frame, "tiny-binary").toArrow()
    expected = model.predict(["good film", None])
    assert found.select(expected.column_names).combine_chunks() == expected.combine_chunks()


def test_columns_of_a_data_frame_are_checked_at_once(session: Any, model: Model) -> None:
    from scorer.distributed import score_dataframe

    frame = session.createDataFrame([("good", "?")], "txt string, prediction string")
    with pytest.raises(ColumnError, match=r"the data frame: .*did you mean 'txt'"):
        score_dataframe(frame, model)
    with pytest.raises(ColumnError, match="already has a column 'prediction'"):
        score_dataframe(frame, model, text_column="txt")


def test_the_command_starts_a_spark_of_its_own(tiny_zoo: Path) -> None:
    runners.check_command(tiny_zoo, "spark")
