"""`python -m worker.light`."""

import sys

from worker.light.main import main

sys.exit(main())
