"""The pages of docs/results have the numbers of the committed measurements."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGE = "".join((RESULTS / name).read_text(encoding="utf-8") for name in ("accuracy.md", "speed.md"))
QUALITY = json.loads((ROOT / "benchmarks/quality/cifar10.json").read_text(encoding="utf-8"))
CONTRAST = json.loads((ROOT / "benchmarks/speed/contrast.json").read_text(encoding="utf-8"))
QUALITY_FOLDER = ROOT / "benchmarks" / "quality"
READINGS = json.loads((QUALITY_FOLDER / "records.json").read_text(encoding="utf-8"))
RECORD = json.loads((ROOT / "benchmarks/speed/record.json").read_text(encoding="utf-8"))
RECORDED = json.loads((ROOT / "benchmarks/speed/recorded.json").read_text(encoding="utf-8"))
MEMORY = json.loads((ROOT / "benchmarks/speed/memory.json").read_text(encoding="utf-8"))
COMPILED = json.loads((ROOT / "benchmarks/speed/compiled.json").read_text(encoding="utf-8"))
PATH = json.loads((ROOT / "benchmarks/speed/path.json").read_text(encoding="utf-8"))
SWEEP = json.loads((ROOT / "benchmarks/speed/sweep.json").read_text(encoding="utf-8"))
STEPS = json.loads((ROOT / "benchmarks/speed/step.json").read_text(encoding="utf-8"))

SCALE = json.loads((ROOT / "benchmarks/speed/scale.json").read_text(encoding="utf-8"))
SCALE_PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")

SCRIPTS = sorted((ROOT / "benchmarks").glob("*/*.py"))


@pytest.mark.parametrize("row", QUALITY["rows"], ids=lambda row: row["row"])
def test_every_row_of_the_quality_table(row):
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{row['row']}` |"))
    assert f"{row['mean']:.2f} ± {row['spread']:.2f}" in line
    assert f"{row['calibration_error']:.3f}" in line
    assert f"{row['seconds_per_epoch']:.1f}" in line
    if row["row"] != "none":
        assert f"{row['above_scratch']:+.2f} ± {row['above_scratch_spread']:.2f}" in line


@pytest.mark.parametrize("name", STEPS["steps"])
def test_every_row_of_the_step_table(name):
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    assert f"{STEPS['steps'][name]['times_kd']:.2f}" in line


def students_on_the_page(name):
    """What a benchmark of exports measured of each student; its lines stand on the page."""
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    script = ROOT / "benchmarks" / "export" / f"{name}.py"
    content = json.loads(script.with_suffix(".json").read_text(encoding="utf-8"))
    for line in runpy.run_path(str(script))["lines"](content):
        assert line in page
    return content["students"].values()


def test_every_row_of_the_table_of_exports():
    for each in students_on_the_page("parity"):
        assert each["largest_logit"] > 0.1
        for of in (each["onnx"], each["pt2"]):
            assert of["same_class"] == each["examples"]
            assert of["difference"] < 1e-4 * max(1.0, each["largest_logit"])


def test_every_row_of_the_table_of_int8():
    for each in students_on_the_page("int8"):
        (before, after), (old, new) = each["bytes"], each["milliseconds"]["1"]
        gains = after / before * new / old < 1
        assert each["kept"] is (each["drop"][0] <= 0.5 and gains)


@pytest.mark.parametrize("task", ["audio", "text", "images"])
def test_every_line_of_the_tables_of_embeddings(task):
    """They are printed by the benchmark's own script; nobody types a number."""
    page = (RESULTS / "embeddings.md").read_text(encoding="utf-8")
    content = json.loads((QUALITY_FOLDER / f"embeddings-{task}.json").read_text(encoding="utf-8"))
    pages = runpy.run_path(str(QUALITY_FOLDER / "pages.py"))
    for what in ("rows", "ablation"):
        for labels in dict.fromkeys(row["labels"] for row in content.get(what, [])):
            for line in pages["lines"](content, what, labels):
                assert line in page
    assert all(row["seeds"] == 5 for row in content["rows"])
    assert content["parameters"] < 100_000


@pytest.mark.parametrize("row", READINGS["rows"], ids=lambda row: row["row"])
def test_every_row_of_the_table_of_readings(row):
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{row['row']}` |"))
    assert f"{row['mean']:.2f} ± {row['spread']:.2f}" in line
    if row["row"] != "live":
        assert f"{row['above_live']['mean']:+.2f} ± {row['above_live']['half']:.2f}" in line


@pytest.mark.parametrize("student", RECORD["epochs"])
def test_a_recorded_embedding_costs_next_to_nothing(student):
    measured = RECORD["epochs"][student]
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{student}` |"))
    for method, each in measured.items():
        if method != "none":
            assert f"{each['times_none']:.2f}" in line
    if student != "hashed-bag-small":  # the page says that it misses the limit
        assert measured["ec"]["times_none"] <= 1.1


@pytest.mark.parametrize("row", RECORDED["steps"])
def test_every_row_of_the_table_of_recorded_networks(row):
    measured = RECORDED["steps"][row]
    line = f"| {row} | {measured['recorded_times_none']:.2f} | {measured['live_times_none']:.2f} |"
    assert line in PAGE
    assert measured["recorded_times_none"] < measured["live_times_none"]


@pytest.mark.parametrize("row", RECORDED["steps_with_2_threads"])
def test_every_row_of_the_table_of_recorded_networks_with_two_threads(row):
    measured = RECORDED["steps_with_2_threads"][row]
    assert (
        f" | {measured['recorded_times_none']:.2f} | {measured['live_times_none']:.2f} | "
        in next(
            line
            for line in PAGE.splitlines()
            if line.startswith(f"| {row} |") and line.count("|") == 8
        )
    )


@pytest.mark.parametrize("teacher", SWEEP["teachers"])
def test_every_row_of_the_table_of_sweeps(teacher):
    for way, measured in SWEEP["teachers"][teacher].items():
        seconds = f"{measured['wall_s']:.0f} | {measured['cpu_s']:.0f}"
        times = f"{measured['times_wall']:.2f} | {measured['times_cpu']:.2f}"
        assert f"| {teacher} | {way} | {seconds} | {times} |" in PAGE


def test_a_sweep_with_a_heavier_teacher_takes_half_the_time():
    assert SWEEP["teachers"]["resnet56-cifar"]["sweep"]["times_wall"] >= 2


def test_the_limits_of_a_record():
    assert RECORDED["steps"]["kd"]["recorded_times_none"] <= 1.05
    assert RECORDED["reading"]["rows_a_second"]["float32"] >= 500_000


def test_memory_grows_no_faster_than_batch_times_negatives():
    measured = MEMORY["contrast_mb"]
    for batch in (64, 256, 1024):
        row = [measured[f"batch {batch}, K {k}"] for k in (4096, 16384, 65536)]
        assert f"| {batch:,} | {' | '.join(f'{mb:.0f}' for mb in row)} |" in PAGE
    assert measured["batch 1024, K 65536"] < 16 * 16 * measured["batch 64, K 4096"] / 10


def test_a_record_larger_than_the_allowed_memory_does_not_make_a_process_grow():
    large = MEMORY["large"]
    assert large["record_mb"] >= 4 * large["limit_mb"]
    assert large["own_mb_at_the_end"] < large["own_mb_after_20_steps"] + 10


def test_the_limits_of_one_contrastive_term():
    floor = CONTRAST["against_floor"]["shared"]["times_floor"]
    literal = CONTRAST["against_literal"]["literal"]["times_shared"]
    memory = CONTRAST["extra_memory_mb"]
    assert floor <= 3
    assert literal >= 20
    assert memory["shared"] < 40
    assert memory["literal"] > 1000
    for text in (f"{floor:.1f}×", f"{literal:.0f}×", f"{memory['shared']:.0f} MB"):
        assert text in PAGE


def test_every_line_of_the_table_of_the_path():
    pages = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "pages.py"))
    assert all(line in PAGE for line in pages["path"](PATH))


@pytest.mark.parametrize("run", [run for run in PATH["runs"] if "bag" not in run])
@pytest.mark.parametrize("threads", [1, 2])
def test_data_and_books_cost_less_than_a_twentieth_of_a_step(run, threads):
    """All but the smallest student of texts, whose step takes three milliseconds."""
    measured = PATH["runs"][run][f"{threads} threads"]
    assert measured["data_share"] + measured["books_share"] < 0.05


def test_every_line_of_the_table_of_compiling():
    pages = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "pages.py"))
    assert len(COMPILED["students"]) == 4
    assert all(line in PAGE for line in pages["compiled"](COMPILED))


@pytest.mark.parametrize("student", ["resnet8-cifar", "mobilenetv2-cifar", "small-fcn"])
def test_the_default_layout_is_the_faster_one(student):
    assert COMPILED["students"][student]["contiguous"]["times_channels-last"] > 1


def test_the_limit_of_a_whole_step():
    assert STEPS["steps"]["cktf-bank, K 4096"]["times_kd"] <= 1.4


@pytest.mark.parametrize("table", ["steps", "sizes", "fits", "records"])
def test_every_line_of_the_tables_of_scale(table):
    pages = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "scale_pages.py"))
    for line in pages[table](SCALE):
        assert line in SCALE_PAGE.splitlines()


def test_the_numbers_of_scale_outside_its_tables():
    ms, kept = SCALE["two_processes"]["ms"], SCALE["two_processes"]["rows"]
    assert f"{ms['sharded_bank']:.0f} ms, of a bank {ms['bank']:.0f} ms" in SCALE_PAGE
    assert kept["sharded_bank"] * 2 == kept["bank"]
    record, examples = SCALE["record"], SCALE["examples"]
    on_disk = record["bytes_an_example_and_view"]
    assert on_disk == pytest.approx(2 * record["numbers"][record["network"]], rel=0.01)
    assert f"{record['us_to_read_an_example']:.1f} µs an example" in SCALE_PAGE
    assert f"{examples['bytes_an_example']:.0f} bytes an example" in SCALE_PAGE
    assert f"{examples['order_seconds']['1280000']:.2f} s for 1.28 million" in SCALE_PAGE


def test_the_readme_shows_the_table_of_the_results_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if " parameters " in line and " % " in line]
    assert len(rows) == 5
    assert all(row in PAGE for row in rows)


def test_the_tables_of_all_methods_are_those_of_the_measurement():
    """They are written by the benchmark's own script; nobody types a number."""
    page = (RESULTS / "methods.md").read_text(encoding="utf-8")
    writer = runpy.run_path(str(QUALITY_FOLDER / "methods_page.py"))
    assert writer["filled"](page, writer["blocks"](*writer["measured"]())) == page
    assert {row["method"] for row in writer["measured"]()[0]["rows"]} <= set(
        re.findall(r"^\| `(.+?)` \|", page, re.M)
    )


def test_the_tables_without_labels_are_those_of_the_measurement(monkeypatch):
    monkeypatch.syspath_prepend(str(QUALITY_FOLDER))
    writer = runpy.run_path(str(QUALITY_FOLDER / "label_free_page.py"))
    page = (RESULTS / "label-free.md").read_text(encoding="utf-8")
    contents = {
        task: json.loads((QUALITY_FOLDER / f"label-free-{task}.json").read_text(encoding="utf-8"))
        for task in writer["TASKS"]
    }
    assert writer["filled"](page, writer["blocks"](contents)) == page
    assert page.count("<!-- begin ") == len(writer["blocks"](contents))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_benchmark_imports_what_there_is(path, monkeypatch, capsys):
    """Its measurements take hours; a script that says what it does has at least its imports."""
    if "lightly" in path.read_text(encoding="utf-8"):
        pytest.importorskip("lightly")
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    script = runpy.run_path(str(path))
    if "main" in script and "argparse" in script:
        with pytest.raises(SystemExit, match="0"):
            script["main"]()
        assert "usage:" in capsys.readouterr().out


def test_the_benchmark_of_the_contrast_names_methods_that_exist():
    rows = runpy.run_path(str(QUALITY_FOLDER / "contrast.py"))["variants"]()
    banks = {name: row for name, row in rows.items() if name in ("crd-bank", "cktf-bank")}
    assert len(banks) == 2
    for row in banks.values():
        assert {term.memory.params["negatives"] for term in row.terms} == {1024}
