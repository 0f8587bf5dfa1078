"""``python -m experiments`` is ``interlude``."""

from experiments.cli import main

main(prog_name="interlude")
