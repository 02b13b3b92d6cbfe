"""cxr: chest X-ray models, trained in the cloud or here, judged by one ruler. Research use, not a medical device."""

from cxr.version import __version__

__all__ = ["__version__"]
