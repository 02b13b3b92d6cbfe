"""What is asked of Amazon for a check, each thing once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.offers import ML, Engine
from cxr.cloud.aws.quotas import ec2_quota, training_quota
from cxr.cloud.preflight.subject import Purpose
from cxr.cloud.preflight.survey import Survey


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose credentials these are: the number of the account and the ARN of the user or role (GetCallerIdentity)."""

    account: str
    arn: str


class AccountSurvey(Survey):
    """What is asked of Amazon, each thing once."""

    @property
    def engine(self) -> Engine:
        """What would run the job. Raises UsageError for an engine that there is not."""
        if self.subject.purpose is not Purpose.CUSTOM:
            return Engine.SAGEMAKER
        return Engine(self.connection.provider.engine(self.subject.hardware))

    @cached_property
    def caller(self) -> Caller:
        """Who asks (sts:GetCallerIdentity, which needs no permission)."""
        with aws_errors("ask whose credentials these are"):
            found = client(self.connection, "sts").get_caller_identity()
        return Caller(str(found["Account"]), str(found["Arn"]))

    @cached_property
    def bucket_is_public(self) -> bool:
        """Whether everybody may read what is in the bucket."""
        return self.connection.provider.bucket_is_public(self.connection, self.bucket)

    def trust_policy(self, role: str) -> Mapping[str, Any]:
        """The trust policy of a role (iam:GetRole). Raises NotFound."""
        with aws_errors(f"look up the role {role}"):
            found = client(self.connection, "iam").get_role(RoleName=role)["Role"]
        policy: Mapping[str, Any] = found["AssumeRolePolicyDocument"]
        return policy

    def profile_roles(self, profile: str) -> Sequence[Mapping[str, Any]]:
        """The roles of an instance profile (iam:GetInstanceProfile). Raises NotFound."""
        with aws_errors(f"look up the instance profile {profile}"):
            found = client(self.connection, "iam").get_instance_profile(InstanceProfileName=profile)
        roles: Sequence[Mapping[str, Any]] = found["InstanceProfile"]["Roles"]
        return roles

    def denied_actions(self, role_arn: str, actions: Mapping[str, str]) -> list[str]:
        """Which of these actions (each with the ARN of what it is done to) the role's own policies do not allow
        (iam:SimulatePrincipalPolicy)."""
        denied = []
        with aws_errors(f"ask what {role_arn} may do"):
            for resource in dict.fromkeys(actions.values()):
                names = [action for action, of in actions.items() if of == resource]
                found = client(self.connection, "iam").simulate_principal_policy(
                    PolicySourceArn=role_arn, ActionNames=names, ResourceArns=[resource]
                )
                results = found["EvaluationResults"]
                denied += [str(one["EvalActionName"]) for one in results if one["EvalDecision"] != "allowed"]
        return denied

    @cached_property
    def machine_vcpus(self) -> int:
        """The vCPUs of the job's machine (ec2:DescribeInstanceTypes), SageMaker's `ml.` left out. Raises InputError
        where EC2 has no such type in the region."""
        name = self.hardware.machine.removeprefix(ML)
        with aws_errors(f"look up the machine type {name}"):
            found = client(self.connection, "ec2").describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
        return int(found[0]["VCpuInfo"]["DefaultVCpus"])

    @cached_property
    def quota(self) -> float | None:
        """Instances that may train at once, or vCPUs that EC2 may run; None where the service tells none."""
        hardware = self.hardware
        with aws_errors("ask for the quota"):
            service = client(self.connection, "service-quotas")
            if self.engine is Engine.EC2:
                return ec2_quota(service, hardware.spot, machine=hardware.machine)
            return training_quota(service, hardware.machine, hardware.spot)
