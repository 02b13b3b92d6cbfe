"""What can be known before anything is sent or paid for: every check is made, and each finding says what to do next."""

from cxr.cloud.preflight.findings import Finding, Level, refuse_on_errors
from cxr.cloud.preflight.run import preflight
from cxr.cloud.preflight.subject import Purpose, Subject, subject_of

__all__ = ["Finding", "Level", "Purpose", "Subject", "preflight", "refuse_on_errors", "subject_of"]
