"""TFRecord shards: a manifest's images packed for training from a bucket with several workers."""

from cxr.manifests.shards.index import INDEX_NAME, ShardEntry, ShardIndex, read_index
from cxr.manifests.shards.plan import PlannedShard, ShardOptions, ShardPlan, plan_shards
from cxr.manifests.shards.shard_record import FEATURES, ShardRecord
from cxr.manifests.shards.verify import ShardFault, read_shard, verify_shards
from cxr.manifests.shards.writer import ShardRun, write_shards

__all__ = [
    "FEATURES",
    "INDEX_NAME",
    "PlannedShard",
    "ShardEntry",
    "ShardFault",
    "ShardIndex",
    "ShardOptions",
    "ShardPlan",
    "ShardRecord",
    "ShardRun",
    "plan_shards",
    "read_index",
    "read_shard",
    "verify_shards",
    "write_shards",
]
