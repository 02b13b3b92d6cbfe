"""One self-contained HTML file that shows what a manifest holds and what its check found."""

from cxr.manifests.check.page.render import check_page_packages, render_page, write_page

__all__ = ["check_page_packages", "render_page", "write_page"]
