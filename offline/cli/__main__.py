"""`python -m segue.offline.cli`: the command line where its script is not on the path."""

from segue.offline.cli import main

main(prog_name="segue")
