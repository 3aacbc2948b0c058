"""`python -m canthus`."""

from canthus.cli import main

main()
