"""Is this data fit to learn from, to be judged on, and to be sent to the cloud?"""

from cxr.manifests.check.nouns import CheckReport, Finding, Rule, Severity
from cxr.manifests.check.run import RULES, check, check_acceptable

__all__ = ["RULES", "CheckReport", "Finding", "Rule", "Severity", "check", "check_acceptable"]
