"""One self-contained HTML file that says what was found, in words first."""

from cxr.compare.report.page import check_report_packages, render_report, write_report

__all__ = ["check_report_packages", "render_report", "write_report"]
