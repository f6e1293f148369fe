"""``python -m shopguide``: the command line, where no script is on the path."""

from shopguide.cli import main

main()
