"""What the submitter would do, and what it refuses; no Slurm needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slurm import submit

ROOT = Path(__file__).resolve().parents[2]

EXPECTED = """\
# 4 parts of the campaign, at most 2 at a time
sbatch --parsable --job-name=nap2-snapshot --array=0-3%2 --partition=gtx1080 --gres=gpu:1 --cpus-per-task=2 --mem=10G \
--time=04:00:00 --qos=low slurm/snapshot.sbatch 4 experiment=digits trainer=gpu
# verifies what is there; waits for the array's end, for one failed candidate must not stop the rest
sbatch --parsable --job-name=nap2-index '--dependency=afterany:{snapshot}' --kill-on-invalid-dep=yes \
--partition=gtx1080 --cpus-per-task=2 --mem=8G --time=04:00:00 --qos=low slurm/stage.sbatch stage=index \
experiment=digits trainer=cpu
# the autoencoder of weights
sbatch --parsable --job-name=nap2-cae-weights '--dependency=afterok:{index}' --kill-on-invalid-dep=yes \
--partition=gtx1080 --gres=gpu:1 --cpus-per-task=2 --mem=8G --time=04:00:00 --qos=low slurm/stage.sbatch stage=cae \
cae.modality=weights experiment=digits trainer=gpu
# the autoencoder of gradients
sbatch --parsable --job-name=nap2-cae-gradients '--dependency=afterok:{index}' --kill-on-invalid-dep=yes \
--partition=gtx1080 --gres=gpu:1 --cpus-per-task=2 --mem=8G --time=04:00:00 --qos=low slurm/stage.sbatch stage=cae \
cae.modality=gradients experiment=digits trainer=gpu
# needs both encoders
sbatch --parsable --job-name=nap2-embed '--dependency=afterok:{cae-weights}:{cae-gradients}' \
--kill-on-invalid-dep=yes --partition=gtx1080 --gres=gpu:1 --cpus-per-task=2 --mem=8G --time=04:00:00 --qos=low \
slurm/stage.sbatch stage=embed experiment=digits trainer=gpu
# needs all embeddings
sbatch --parsable --job-name=nap2-predictor '--dependency=afterok:{embed}' --kill-on-invalid-dep=yes \
--partition=gtx1080 --gres=gpu:1 --cpus-per-task=2 --mem=8G --time=04:00:00 --qos=low slurm/stage.sbatch \
stage=predictor experiment=digits trainer=gpu
# needs all predictors
sbatch --parsable --job-name=nap2-evaluate '--dependency=afterok:{predictor}' --kill-on-invalid-dep=yes \
--partition=gtx1080 --cpus-per-task=2 --mem=8G --time=04:00:00 --qos=low slurm/stage.sbatch stage=evaluate \
experiment=digits trainer=cpu
"""


def test_a_dry_run_prints_the_whole_chain_and_submits_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    options = ["--tasks=4", "--at-most=2", "--partition=gtx1080", "--gres=gpu:1", "--sbatch=--qos=low", "--dry-run"]
    assert submit.main([*options, "experiment=digits", "trainer=gpu"]) == 0
    assert capsys.readouterr().out == EXPECTED
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("launcher=slurm", "launcher=slurm only sends the jobs of a sweep"),
        ("snapshot.plan=true", "snapshot.plan=true only prints"),
        ("cae.modality=weights", "cae.modality=weights is for the submitter to set"),
    ],
)
def test_what_would_fail_or_idle_in_the_queue_is_refused_before_it(value, message, capsys):
    assert submit.main(["--dry-run", "experiment=digits", value]) == 2
    assert message in capsys.readouterr().err


def test_a_stage_waits_for_the_last_one_before_it_that_is_submitted_too(capsys):
    assert submit.main(["--stages", "predictor", "snapshot", "--dry-run", "experiment=digits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "--array=0-15%8" in lines[1]
    assert "--dependency=afterany:{snapshot}" in lines[3]
    assert "stage=predictor" in lines[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment=digit"], r"Did you mean 'digits'"),
        (["snapshot.num_snapshot=3"], r"Did you mean 'snapshot.num_snapshots'"),
        (["digits"], r"'digits' cannot be read as key=value; options such as --tasks begin with two dashes"),
        (["stage=cae"], r"stage=cae is for the submitter to set; choose stages with --stages"),
        (["snapshot.shard=1/2"], r"snapshot.shard=1/2 is for the submitter to set"),
        (["trainer=gpu"], r"trainer.device=cuda, but no GPU is asked for; add --gres gpu:1"),
        (["snapshot.candidates=nowhere.csv"], r"No candidate list at nowhere.csv; give a CSV with a column arch_str"),
        (["experiment=digits", "snapshot.every=20"], r"8 snapshots every 20 steps do not fit into the 63 steps"),
        (["--gres", "gpu:1"], r"--gres gpu:1 would stand idle, for trainer.device=cpu; add trainer=gpu"),
    ],
)
def test_mistakes_are_refused_before_they_wait_in_a_queue(capsys, arguments, message):
    assert submit.main([*arguments, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message.replace("\\", "") in error
    assert error.count("\n") == 1


def test_the_commands_of_the_guide_are_accepted(capsys):
    """Every call of the submitter in docs/slurm.md that names its values."""
    text = (ROOT / "docs/slurm.md").read_text().replace("\\\n", " ")
    calls = [line.split()[3:] for line in text.splitlines() if line.startswith("python -m slurm.submit experiment=")]
    assert calls
    for arguments in calls:
        assert submit.main([*(a for a in arguments if a != "--dry-run"), "--dry-run"]) == 0
        assert capsys.readouterr().out.count("sbatch --parsable") == 7


def test_values_may_follow_the_stages(capsys):
    assert submit.main(["--stages", "snapshot", "experiment=digits", "--dry-run"]) == 0
    assert "snapshot.sbatch 16 experiment=digits\n" in capsys.readouterr().out


def test_cores_and_memory_of_a_task_follow_its_workers(capsys):
    """Eight workers under the limits of one would be throttled, or killed for their memory."""
    submit.main(["--stages", "snapshot", "index", "experiment=digits", "workers=8", "--dry-run"])
    _, snapshot, _, index = capsys.readouterr().out.splitlines()
    assert "--cpus-per-task=8 --mem=34G" in snapshot
    assert "--cpus-per-task=2 --mem=8G" in index
    submit.main(["--stages", "snapshot", "experiment=digits", "workers=8", "--cpus=4", "--mem=9G", "--dry-run"])
    assert "--cpus-per-task=4 --mem=9G" in capsys.readouterr().out


def test_jobs_without_a_gpu_may_go_to_another_partition(capsys):
    values = ["experiment=digits", "trainer=gpu", "--gres", "gpu:1", "--partition", "gtx", "--cpu-partition", "main"]
    submit.main([*values, "--dry-run"])
    commands = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("sbatch")]
    on_gpu = [("--gres=gpu:1" in words, "--partition=gtx" in words) for words in commands]
    assert on_gpu.count((True, True)) == 5
    assert on_gpu.count((False, False)) == 2


def test_a_call_without_a_word_submits_nothing(capsys):
    with pytest.raises(SystemExit) as refusal:
        submit.main([])
    assert refusal.value.code == 2
    assert "nothing is submitted without a word" in capsys.readouterr().err


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A stand-in that notes the Python it hands on, and refuses the third job."""
    (tmp_path / "train.py").touch()
    path = tmp_path / "sbatch"
    path.write_text(
        '#!/bin/sh\nif [ -f two ]; then echo "no more" >&2; exit 1; fi\n'
        'if [ -f one ]; then touch two; fi\ntouch one\necho "$NAP2_PYTHON" > python\necho 7\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("NAP2_PYTHON", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_chain_that_breaks_off_says_how_to_take_it_back(capsys, sbatch):
    assert submit.main(["experiment=digits"]) == 2
    assert capsys.readouterr().err == (
        "error: Slurm refused cae-weights: no more. `scancel 7 7` takes back what was submitted before it.\n"
    )


def test_jobs_compute_with_the_python_that_submitted_them(capsys, sbatch):
    submit.main(["experiment=digits", "--stages", "snapshot"])
    assert Path("python").read_text().strip() == sys.executable


def test_a_list_is_read_for_the_stage_that_trains_it_and_no_space_is_drawn_from(capsys, monkeypatch):
    """Later stages need no list; what a large space draws takes minutes."""
    monkeypatch.setattr(submit, "candidates_of", None)
    assert submit.main(["experiment=nb101", "--stages", "snapshot", "--dry-run"]) == 0
    assert submit.main(["experiment=digits", "snapshot.candidates=gone.csv", "--stages", "cae", "--dry-run"]) == 0


def test_missing_labels_are_told_before_the_snapshots_are_trained(capsys, sbatch):
    values = ["experiment=nb201_cifar10", "paths.truth=nowhere"]
    assert submit.main(values) == 2
    assert capsys.readouterr().err == (
        "error: cae-weights needs published accuracies, but there is no nowhere/nasbench201.h5; import them with "
        "stage=truth, or submit --stages snapshot index alone.\n"
    )
    assert submit.main([*values, "--stages", "snapshot", "index"]) == 0


@pytest.mark.parametrize("what", ["a file in its place", "closed to us"])
def test_jobs_whose_logs_could_not_be_written_are_not_submitted(what, capsys, sbatch, monkeypatch):
    """Slurm lets such jobs fail without a word anywhere."""
    if what == "closed to us":
        allowed = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: path != submit.LOGS and allowed(path, mode))
    else:
        Path("runs").touch()
    assert submit.main(["experiment=digits", "--stages", "snapshot"]) == 2
    reason = "it is not writable" if what == "closed to us" else "Not a directory"
    logs = Path("runs/slurm").absolute()
    assert capsys.readouterr().err == (
        f"error: Slurm is to write the jobs' logs to {logs}, but {reason}; correct that first.\n"
    )
    assert not Path("one").exists()


def test_a_machine_without_slurm_is_told_what_to_do(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert submit.main(["experiment=digits"]) == 2
    assert "sbatch is not installed here; log in to a submit host of your cluster, see the commands with --dry-run" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("script", ["snapshot.sbatch", "stage.sbatch"])
def test_the_scripts_carry_what_survival_depends_on(script):
    text = (ROOT / "slurm" / script).read_text()
    for line in ("--requeue", "--open-mode=append", "--signal=B:USR1@90"):
        assert f"#SBATCH {line}\n" in text
    subprocess.run(["bash", "-n", str(ROOT / "slurm" / script)], check=True)


def test_a_node_without_the_python_says_so(tmp_path):
    environment = {**os.environ, "NAP2_PYTHON": "/no/python", "SLURM_JOB_ID": "9"}
    for script in ("snapshot.sbatch", "stage.sbatch"):
        command = ["bash", str(ROOT / "slurm" / script), "1"]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert result.returncode == 2
        assert "cannot run /no/python; name one that all nodes see: NAP2_PYTHON=/path/to/python" in result.stderr


def test_a_task_that_is_not_told_the_number_of_parts_says_so():
    result = subprocess.run(
        ["bash", str(ROOT / "slurm/snapshot.sbatch"), "experiment=digits"], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (
        2,
        "error: snapshot.sbatch COUNT [key=value …]: the number of parts comes first; found experiment=digits\n",
    )


def test_a_task_that_is_signalled_while_it_starts_goes_on(tmp_path):
    """A short time limit leaves less than the start takes; what is done until Slurm ends the job is saved."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nkill -USR1 $$\n[ "$1" = -c ] || echo alive\n')
    python.chmod(0o755)
    environment = {**os.environ, "NAP2_PYTHON": str(python), "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "0"}
    command = ["bash", str(ROOT / "slurm/snapshot.sbatch"), "1"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout.splitlines()[1:]) == (0, ["alive"])


def test_an_array_task_trains_its_part_of_the_list():
    """The part is counted from the number given, not from the tasks that happen to be in the array."""
    environment = {
        **os.environ,
        "NAP2_PYTHON": "echo",
        "SLURM_ARRAY_JOB_ID": "9",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_ARRAY_TASK_COUNT": "1",
    }
    script = str(ROOT / "slurm/snapshot.sbatch")
    command = ["bash", script, "32", "experiment=digits"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[1] == "train.py stage=snapshot experiment=digits snapshot.shard=3/32"


def test_an_array_of_fewer_tasks_than_parts_says_which_parts_it_leaves_out():
    environment = {**os.environ, "NAP2_PYTHON": "echo", "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "3"}

    def said(last: str) -> list[str]:
        task = environment | {"SLURM_ARRAY_TASK_MAX": last}
        command = ["bash", str(ROOT / "slurm/snapshot.sbatch"), "32", "experiment=digits"]
        return subprocess.run(command, env=task, capture_output=True, text=True, check=True).stdout.splitlines()

    assert said("15")[1] == "note: this array ends with part 15; parts 16 to 31 of 32 are not in it"
    assert len(said("15")) == 3
    assert len(said("31")) == 2
