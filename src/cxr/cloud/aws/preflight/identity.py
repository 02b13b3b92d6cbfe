"""Who asks, in which account and region, and as whom the job runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cxr.cloud.aws.names import parse_arn, partition_of
from cxr.cloud.aws.offers import Engine, sagemaker_regions
from cxr.cloud.aws.preflight.refusals import reason_of
from cxr.cloud.aws.preflight.survey import AccountSurvey
from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.subject import Purpose
from cxr.errors import CxrError, Interrupted, NotAllowed, NotFound

#: Who takes the role on (IAM User Guide, "AWS services that work with IAM").
PRINCIPALS: Final[Mapping[Engine, str]] = {
    Engine.SAGEMAKER: "sagemaker.amazonaws.com",
    Engine.EC2: "ec2.amazonaws.com",
}
_UNCHECKED: Final = "the server that stands for Amazon checks no roles"


def credentials(survey: AccountSurvey) -> Iterator[Finding]:
    """Credentials are there and hold, and are those of the account that is named."""
    try:
        caller = survey.caller
    except NotAllowed as error:
        cause, following = reason_of(error)
        yield Finding(Level.ERROR, "credentials", cause, next=following, denied=True)
        return
    words, wanted = f"account {caller.account}, {caller.arn}", survey.connection.project
    if wanted and wanted != caller.account:
        other = f"--project {caller.account}, or another AWS_PROFILE"
        yield Finding(Level.ERROR, "credentials", f"{words}, not account {wanted}", next=other, denied=True)
        return
    yield Finding(Level.OK, "credentials", words)


def region(survey: AccountSurvey) -> Iterator[Finding]:
    """SageMaker is offered in the region, where it is what runs the job."""
    here = survey.connection.region
    if survey.engine is Engine.SAGEMAKER and here not in sagemaker_regions():
        following = "another --region, such as us-east-1"
        yield Finding(Level.ERROR, "region", f"SageMaker is not offered in {here}", next=following)
        return
    yield Finding(Level.OK, "region", here)


def role(survey: AccountSurvey) -> Iterator[Finding]:
    """SageMaker may take the role on, or EC2 that of the instance profile, and it is seen to reach the bucket."""
    engine, where = survey.engine, survey.connection
    setting = "instance_profile" if engine is Engine.EC2 else "role"
    name = where.instance_profile if engine is Engine.EC2 else where.role
    if not name:
        level = Level.WARNING if survey.subject.purpose is Purpose.ANY else Level.ERROR
        words = f"no {setting.replace('_', ' ')} is set: nothing says what the job may read and write"
        yield Finding(level, "role", words, next=f"{setting} = … in cxr.toml, or CXR_{setting.upper()}")
        return
    if not where.billed:
        yield Finding(Level.OK, "role", f"{name} ({_UNCHECKED})")
        return
    named = parse_arn(name)
    if named and named.account != survey.caller.account:
        words = f"it is of account {named.account}, the job would be of {survey.caller.account}"
        yield Finding(Level.ERROR, "role", words, name, f"set another {setting}")
        return
    try:
        found = _of_profile(survey, name) if engine is Engine.EC2 else _of_role(survey, name)
    except NotFound as error:
        yield Finding(Level.ERROR, "role", error.message, name, f"set another {setting}, or make it")
        return
    yield _judged(survey, found, PRINCIPALS[engine], name)


@dataclass(frozen=True, slots=True)
class _Role:
    """A role: its ARN, its name, and who may assume it."""

    arn: str
    name: str
    trust: Mapping[str, Any]


def _of_role(survey: AccountSurvey, name: str) -> _Role:
    short = name.rsplit("/", 1)[-1]
    arn = f"arn:{partition_of(survey.connection.region)}:iam::{survey.caller.account}:role/{name}"
    return _Role(name if parse_arn(name) else arn, short, survey.trust_policy(short))


def _of_profile(survey: AccountSurvey, name: str) -> _Role | None:
    """The role of an instance profile, which has one at most."""
    roles = survey.profile_roles(name.rsplit("/", 1)[-1])
    return next((_Role(str(one["Arn"]), str(one["RoleName"]), one["AssumeRolePolicyDocument"]) for one in roles), None)


def _judged(survey: AccountSurvey, role: _Role | None, principal: str, name: str) -> Finding:
    if role is None:
        line = "aws iam add-role-to-instance-profile"
        return Finding(Level.ERROR, "role", "the instance profile has no role", name, line)
    if not any(_trusts(statement, principal) for statement in _several(role.trust.get("Statement"))):
        line = f"aws iam update-assume-role-policy --role-name {role.name} --policy-document file://trust.json"
        words = f"its trust policy does not let {principal} assume it"
        return Finding(Level.ERROR, "role", words, role.arn, f"{line}, naming {principal} there")
    return _reaches_bucket(survey, role.arn)


def _trusts(statement: Mapping[str, Any], principal: str) -> bool:
    who = statement.get("Principal")
    services = _several(who.get("Service")) if isinstance(who, Mapping) else _several(who)
    assumes = set(_several(statement.get("Action"))) & {"sts:AssumeRole", "sts:*", "*"}
    return statement.get("Effect") == "Allow" and bool(assumes) and bool({principal, "*"} & set(services))


def _several(value: Any) -> list[Any]:
    """A policy has one value or a list of them."""
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


def _reaches_bucket(survey: AccountSurvey, arn: str) -> Finding:
    where = survey.connection
    bucket = f"arn:{partition_of(where.region)}:s3:::{where.bucket}"
    # One object of each sort: a policy for the prefix alone does not allow what a wildcard for the bucket asks for.
    below = f"{bucket}/{where.prefix}".rstrip("/")
    actions = {
        "s3:ListBucket": bucket,
        "s3:GetObject": f"{below}/images/image.png",
        "s3:PutObject": f"{below}/jobs/job/model.tar.gz",
    }
    try:
        denied = survey.denied_actions(arn, actions)
    except Interrupted:
        raise
    except CxrError as error:
        cause, following = reason_of(error)
        return Finding(Level.WARNING, "role", f"whether it reaches the bucket is not known: {cause}", arn, following)
    if denied:
        words = (
            f"its own policies do not allow {', '.join(denied)} on {where.bucket_url}; only the bucket's still might"
        )
        following = f"aws iam put-role-policy with {', '.join(denied)} on {bucket} and {below}/*"
        return Finding(Level.WARNING, "role", words, arn, following)
    return Finding(Level.OK, "role", f"{arn} may read and write {where.bucket_url}")
