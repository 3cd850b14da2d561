"""`python -m auditkit`."""

from __future__ import annotations

import sys

from auditkit.cli import main

sys.exit(main())
