"""What is asked for a check, each thing once: what all clouds have in common."""

from __future__ import annotations

import shlex
from functools import cached_property

from cxr.cloud.connection import Connection
from cxr.cloud.hardware import Hardware
from cxr.cloud.place_flags import place_flags
from cxr.cloud.preflight.subject import Subject
from cxr.cloud.prices.table import PriceTable, price_table
from cxr.storage.bucket_state import BucketState
from cxr.storage.transfer.haul import Haul


class Survey:
    """The answers, asked for when first wanted. All raise what the services' errors are translated into."""

    def __init__(self, connection: Connection, subject: Subject, haul: Haul) -> None:
        self.connection, self.subject, self.haul = connection, subject, haul

    @property
    def upload_command(self) -> str:
        """The command that sends the images, and makes the bucket, where the check was made."""
        manifest = shlex.quote(self.subject.manifest_path)
        return f"cxr cloud upload --manifest {manifest}{place_flags(self.connection, self.subject.state_dir)}"

    @cached_property
    def bucket(self) -> BucketState:
        """The bucket, as the service tells it."""
        return self.connection.provider.find_bucket(self.connection, self.haul)

    @cached_property
    def hardware(self) -> Hardware:
        """The machines of the job, or of one trial. Raises UsageError when there are no such machines."""
        return self.connection.provider.hardware(self.subject.hardware)

    @cached_property
    def prices(self) -> PriceTable:
        """The prices by which the job would be planned."""
        return self.subject.prices or price_table(None, self.connection.provider.prices)
