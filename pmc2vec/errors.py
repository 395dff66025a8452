"""The one exception for what a user can mend.

The command line shows its message as one line and exits with exit code 1. Everything else that is
raised is a defect of the program.
"""

from __future__ import annotations


class UserError(Exception):
    """Something that a user can mend: the message says what is wrong, where, and what to do."""
