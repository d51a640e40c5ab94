"""Ray gives what a local run gives: `pytest -m ray` (the extra `ray`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from scorer.errors import ColumnError, RunnerError
from scorer.jobs.plan import plan
from scorer.model import Model, load_model
from scorer.tasks import OutputOptions
from tests.support import runners
from tests.support.settings import changed

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("in_tmp_path")]
in_tmp_path = runners.in_tmp_path


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of two CPUs, whose workers find this package and these tests."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(runners.ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # Ray's 15 starves them on a busy machine
        ray.init(address="local", num_cpus=2, log_to_driver=False)
        yield ray
        ray.shutdown()


@pytest.fixture
def model(tiny_zoo: Path) -> Model:
    return load_model("tiny-binary", zoos=[tiny_zoo])


@pytest.fixture
def runner(ray: Any, model: Model) -> Any:
    from scorer.distributed import open_runner

    return open_runner("ray", model)


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


def test_models_of_several_inputs_read_their_columns(ray: Any) -> None:
    from scorer.distributed import open_runner

    model = runners.several_inputs()
    runners.check_several_inputs(model, open_runner("ray", model))


def test_a_worker_opens_the_model_once(model: Model, runner: Any) -> None:
    runners.check_opened_once(model, runner)


def test_dying_workers_are_survived(model: Model, runner: Any) -> None:
    runners.check_deaths(model, runner)


@pytest.mark.parametrize("options", [OutputOptions(), OutputOptions(True, True, 0.3, "m_")])
def test_a_data_set_has_the_predictions_of_a_local_model(
    ray: Any, model: Model, options: OutputOptions
) -> None:
    from scorer.distributed import score_dataset

    texts = runners.rows(3000)
    table = pa.table({"n": range(3000), "text": texts})
    dataset = ray.data.from_arrow([table.slice(0, 1700), table.slice(1700)])
    scored = score_dataset(dataset, model, options=options)
    found = pa.concat_tables(ray.get(scored.to_arrow_refs())).sort_by("n")
    expected = model.predict(texts, options=options)
    assert found.column_names == ["n", "text", *expected.column_names]
    assert found.select(["n", "text"]) == table
    assert found.select(expected.column_names).combine_chunks() == expected.combine_chunks()


def test_a_data_set_from_pandas_by_the_name_of_a_model(
    ray: Any, tiny_zoo: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    from scorer.distributed import score_dataset

    monkeypatch.setenv("SCORER_ZOO", str(tiny_zoo))
    texts = ["good film", None, "dull"]
    scored = score_dataset(ray.data.from_pandas(pd.DataFrame({"review": texts})), "tiny-binary")
    found = pa.concat_tables(ray.get(scored.to_arrow_refs()))
    expected = model.predict(texts)
    assert found.select(expected.column_names).combine_chunks() == expected.combine_chunks()


def test_columns_of_a_data_set_are_checked_at_once(ray: Any, model: Model) -> None:
    from scorer.distributed import score_dataset

    dataset = ray.data.from_arrow(pa.table({"txt": ["good"], "prediction": ["?"]}))
    with pytest.raises(ColumnError, match=r"the data set: .*did you mean 'txt'"):
        score_dataset(dataset, model)
    with pytest.raises(ColumnError, match="already has a column 'prediction'"):
        score_dataset(dataset, model, text_column="txt")


def test_a_task_that_no_node_can_run_is_refused(runner: Any) -> None:
    Path("in.csv").write_text("text\ngood\n")
    settings = changed(runners.SETTINGS, threads=3)
    with pytest.raises(RunnerError, match="largest node has 2 CPUs: lower --threads 3"):
        list(runner(plan(["in.csv"], "out.csv").jobs, settings))


def test_the_command_starts_a_ray_of_its_own(
    tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    done = runners.check_command(tiny_zoo, "ray")
    assert done.stderr == ""
