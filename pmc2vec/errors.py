"""The exceptions for what a user can mend.

The command line shows the message as one line and exits with exit code 1 or 2. Everything else that
is raised is a defect of the program.
"""

from __future__ import annotations


class UserError(Exception):
    """Something that a user can mend: the message says what is wrong, where, and what to do."""


class UsageError(UserError):
    """The same where only another command helps, so that no other try mends it: exit code 2."""
