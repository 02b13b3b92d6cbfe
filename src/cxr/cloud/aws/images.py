"""The container of a SageMaker training job: AWS's TensorFlow container, whose registry differs between regions."""

from __future__ import annotations

from collections.abc import Mapping

from cxr.errors import UsageError

REPOSITORY = "tensorflow-training"
#: Tags of the TensorFlow 2.21 line with and without CUDA (Deep Learning Containers, TensorFlow changelog, 2026-07-10;
#: patched until 2027-07-10). They are for SageMaker alone.
GPU_TAG = "2.21-gpu-py312-cu129-amzn2023-sagemaker"
CPU_TAG = "2.21-cpu-py312-amzn2023-sagemaker"

_MAIN = "763104351884"
#: The account that owns the registry, by region. Source: Deep Learning Containers, region availability (read
#: 2026-11-22); the two of GovCloud from the SageMaker SDK's registries of TensorFlow images.
ACCOUNTS: Mapping[str, str] = {
    **dict.fromkeys(("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"), _MAIN),
    **dict.fromkeys(("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3"), _MAIN),
    **dict.fromkeys(("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2"), _MAIN),
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "me-west-1": "124382933778",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}


def training_image(region: str, *, gpu: bool = True) -> str:
    """The URI of the training container in `region`, for machines with GPUs or without. Raises UsageError for a region
    whose registry is not known."""
    account = ACCOUNTS.get(region)
    if account is None:
        raise UsageError(
            f"the registry of AWS's training containers in {region!r} is not known",
            hint="say --image URI, or another --region",
        )
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{suffix}/{REPOSITORY}:{GPU_TAG if gpu else CPU_TAG}"
