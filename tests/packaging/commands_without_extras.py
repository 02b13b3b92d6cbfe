"""Every command, typed where no extra is installed: what it says and what it ends with.

`extras` are those that the line to type has to name; without, the command has to work. `said` is for commands that end
with another word before they need a package: there is nothing they could have done.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One command line and what has to come of it."""

    command: str
    arguments: str = ""
    extras: str = ""
    said: str = ""
    code: int = 0

    @property
    def line(self) -> list[str]:
        """As it is typed."""
        return [*self.command.split(), *self.arguments.split()]


def needs(extras: str, command: str, arguments: str = "") -> Case:
    """A command that cannot do without extras."""
    return Case(command, arguments, extras=extras, code=2)


GOOGLE = "--on gcp --project my-project --bucket some-bucket"
AMAZON = "--on aws --bucket some-bucket"
TRAINING = "arn:aws:sagemaker:us-east-1:123456789012:training-job/x"
CASES = (
    needs("gcp,train,litert,report", "demo"),
    needs("aws-local,train,litert,report", "demo", "--on aws-local"),
    Case("doctor", "--min-free-gb 0", said="nothing stands in the way"),
    Case("data sample", "drawn --images 80"),
    Case("data scan", "drawn --out again.csv"),
    needs("aws", "data scan", "s3://some-bucket/x --out there.csv"),
    needs("gcp", "data scan", "gs://some-bucket/x --out there.csv"),
    Case("data check"),
    needs("data", "data check", "--html check.html"),
    Case("data split"),
    Case("data diff", "manifest.csv manifest.csv"),
    Case("data shard", "--out shards"),
    needs("gcp", "data import-file", "--images-url gs://some-bucket/x"),
    needs("aws", "data import-file", "--images-url s3://some-bucket/x --format sagemaker-manifest --on aws"),
    needs("data", "data import-dicom", "drawn --out dicom"),
    needs("gcp", "cloud check"),
    needs("gcp", "cloud check", GOOGLE),
    needs("aws", "cloud check", AMAZON),
    needs("aws-local", "cloud check", "--on aws-local"),
    needs("gcp", "cloud upload", "--yes"),
    needs("gcp", "cloud upload", f"--yes {GOOGLE}"),
    needs("aws", "cloud upload", f"--yes {AMAZON}"),
    needs("aws-local", "cloud upload", "--yes --on aws-local"),
    needs("gcp", "cloud download", "brought"),
    needs("gcp", "cloud dataset"),
    Case("cloud dataset", AMAZON, said="Amazon has no datasets", code=2),
    Case("cloud image", "--out image"),
    Case("cloud prices"),
    needs("gcp", "cloud trials", "tune-1"),
    Case("cloud jobs"),
    Case("cloud jobs", "--refresh", said="is shown as last seen: this needs the package"),
    needs("gcp", "cloud status", "custom-1"),
    needs("aws", "cloud status", "custom-4"),
    needs("gcp", "cloud wait", "custom-1"),
    needs("gcp", "cloud logs", "custom-1"),
    needs("gcp", "cloud cancel", "custom-1 --yes"),
    needs("gcp", "cloud attach", "projects/my-project/locations/us-central1/customJobs/1234567890"),
    needs("aws", "cloud attach", f"{TRAINING} {AMAZON}"),
    needs("gcp", "cloud evaluate", "automl-3"),
    needs("gcp", "cloud export", "automl-3 --out brought"),
    needs("aws", "cloud export", "custom-2 --out brought"),
    needs("gcp", "cloud host", "page --bucket some-bucket"),
    needs("aws", "cloud host", f"page {AMAZON}"),
    needs("gcp", "cloud clean", "--all"),
    needs("aws", "cloud clean", f"--all {AMAZON}"),
    needs("gcp", "cloud train automl", "--budget-node-hours 2 --yes"),
    needs("gcp", "cloud train custom", "--yes"),
    needs("aws", "cloud train custom", f"--yes {AMAZON}"),
    needs("gcp", "cloud train tune", "--yes"),
    needs("train", "baseline train", "--recipe cnn5 --out runs/new"),
    needs("report", "baseline evaluate", "runs/keras"),
    needs("train", "baseline crossval", "--recipe cnn5"),
    needs("tune", "baseline tune", "--recipe cnn5"),
    needs("report", "baseline explain", "runs/keras --mistakes 3"),
    Case("baseline recipes"),
    needs("train", "baseline robustness", "runs/keras"),
    needs("train", "export", "runs/keras --to tflite"),
    needs("train", "export verify", "runs/keras"),
    needs("litert", "export import", "elsewhere --classes NORMAL,PNEUMONIA --out runs/imported"),
    needs("report", "compare", "runs/keras"),
    Case("compare import", "scores.csv --name other --out runs/other"),
    Case("compare lint", "figures.toml"),
    needs("train", "web build", "runs/keras page-new"),
    Case("web serve", "drawn", said="is not a page", code=2),
    Case("web package", "drawn packed --for nginx", said="is not a page", code=2),
    needs("gcp", "emulator start", "--detach"),
    Case("emulator stop"),
    Case("emulator status"),
    Case("emulator faults", said="no emulator runs", code=2),
    Case("emulator project", said="no emulator runs", code=2),
    Case("emulator outcomes", said="no emulator runs", code=2),
)
