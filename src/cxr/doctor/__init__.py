"""What of this machine and this folder cxr works with, and what would stop it: looked at, never changed."""

from cxr.doctor.findings import Finding, Level
from cxr.doctor.run import examine
from cxr.doctor.subject import Subject

__all__ = ["Finding", "Level", "Subject", "examine"]
