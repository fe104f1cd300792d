"""``python -m tinyagent``."""

import sys

from tinyagent.cli import main

sys.exit(main())
