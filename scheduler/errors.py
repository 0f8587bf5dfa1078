"""Every way a study can say no.

InterludeSchedulerError
  + MoveError          a trial cannot go from one state to the other
  + StudyError         a study cannot begin or go on: the message says what was asked and what to do
      + SpecChangedError   the spec differs from the one the run was begun with
      + CapTooSmallError   the cap cannot pay for the control, or for what is spent and held
      + NoRunError         there is no run at the place named
  + TableError         a recorded table cannot be read, or does not fit the study
"""

from __future__ import annotations


class InterludeSchedulerError(Exception):
    """Base of all scheduler errors."""


class MoveError(InterludeSchedulerError):
    """A trial cannot go from one state to the other."""


class StudyError(InterludeSchedulerError):
    """A study cannot begin or go on."""


class SpecChangedError(StudyError):
    """The spec differs from the one the run was begun with."""


class CapTooSmallError(StudyError):
    """The cap cannot pay for the control, or for what is spent and held."""


class NoRunError(StudyError):
    """There is no run at the place named."""


class TableError(InterludeSchedulerError):
    """A recorded table cannot be read, or does not fit the study."""
