"""`python -m worker.transcription`."""

import sys

from worker.transcription.main import main

sys.exit(main())
