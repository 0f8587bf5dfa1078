"""Where a result was made."""

import json
import subprocess
import sys

from trainers.provenance import cpu_name, environment, git_commit


def test_the_environment_is_plain_json_with_versions_and_machine():
    record = environment()
    assert json.loads(json.dumps(record)) == record
    assert record["packages"]["torch"]
    assert record["cpu_count"] >= 1
    assert record["cpu"] == cpu_name() != ""
    assert record["argv"] == sys.argv


def test_a_folder_without_git_has_no_commit(tmp_path):
    assert git_commit(tmp_path) == ""


def test_an_edited_checkout_says_so(tmp_path):
    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=tmp_path, check=True
        )

    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "one")
    clean = git_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file").write_text("two")
    assert git_commit(tmp_path) == clean + "+changes"


def test_reading_the_environment_does_not_load_torch():
    code = (
        "import sys; from trainers.provenance import environment; environment(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
