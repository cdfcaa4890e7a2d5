"""`python -m mentee.cli`, for launchers that start modules."""

from mentee.cli import main

main()
