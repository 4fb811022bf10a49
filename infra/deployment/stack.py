"""A CloudFormation stack: made, changed or deleted, with what happens to it shown while it happens.

A failure names the resources that failed, the reason of each where CloudFormation gives one, and what to do next.
"""

import time

from botocore.exceptions import ClientError

from .place import Failure, say

# A stack whose creation failed can only be deleted.
BROKEN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
# What CloudFormation says of a resource that it stopped because another one failed: no cause of anything.
CANCELLED = "cancelled"
PAUSE = 2.0
PATIENCE = 3600.0


class Stack:
    """One stack."""

    def __init__(self, place, name):
        self.cloudformation = place.client("cloudformation")
        self.name = name
        self.pause = 0.2 if place.endpoint else PAUSE
        # What failed since the last change began, as lines that name the resource.
        self.failed = []

    def describe(self):
        """What stands, or None."""
        try:
            return self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def outputs(self, *demanded):
        """Its outputs, by name; none of a stack that does not exist. Those that are demanded must be among them."""
        stack = self.describe() or {}
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        missing = [name for name in demanded if name not in outputs]
        if missing:
            raise Failure(f"the stack {self.name} has no output {', '.join(missing)}: deploy again from this checkout's template")
        return outputs

    def apply(self, template, parameters):
        """Makes the stack or changes it, to a template's text or URL; waits until that is done."""
        stack = self.describe()
        status = stack["StackStatus"] if stack else None
        if status in (*BROKEN, "UPDATE_ROLLBACK_FAILED"):
            raise Failure(f"the stack {self.name} is {status}: {self.advice(status)}")
        if status and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            say(f"  {self.name} is {status}: waiting")
            self.wait(stack["StackId"], None)
        create = status in (None, "REVIEW_IN_PROGRESS")
        change = {
            "StackName": self.name,
            "ChangeSetName": f"deploy-{time.time_ns()}",
            "ChangeSetType": "CREATE" if create else "UPDATE",
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            "Parameters": [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
            "Tags": [{"Key": "headwater", "Value": self.name}],
            # Buckets that an earlier stack left behind are taken in again.
            "ImportExistingResources": create,
        }
        change["TemplateURL" if template.startswith("http") else "TemplateBody"] = template
        made = self.cloudformation.create_change_set(**change)
        if not self.ready(made["Id"]):
            say(f"  {self.name}: nothing to change")
            return
        before = self.seen() if not create else set()
        self.cloudformation.execute_change_set(ChangeSetName=made["Id"])
        self.wait(made["StackId"], before)
        status = self.check(self.describe(), DONE)
        say(f"  {self.name}: {status}")

    def delete(self):
        """Deletes the stack, and waits until it is gone."""
        stack = self.describe()
        if stack is None:
            say(f"  {self.name}: there is no such stack")
            return
        before = self.seen()
        self.cloudformation.delete_stack(StackName=self.name)
        self.wait(stack["StackId"], before)
        self.check(self.describe(), ("DELETE_COMPLETE", None))
        say(f"  {self.name}: DELETE_COMPLETE")

    def check(self, stack, wanted):
        """The stack's status (None: it does not exist), if it is among those that are wanted; else a failure that says what failed."""
        status = stack["StackStatus"] if stack else None
        if status in wanted:
            return status
        # Without an event that says so, the stack itself may have a reason.
        own = (stack or {}).get("StackStatusReason")
        causes = self.failed or ([f"{self.name}: {own}"] if own else ["no event names a resource that failed"])
        shown = "".join(f"\n  {cause}" for cause in causes)
        raise Failure(f"the stack {self.name} {f'is {status}' if status else 'does not exist'}{shown}\n{self.advice(status)}")

    def advice(self, status):
        """What to do about a stack in this state."""
        destroy = f"`infra/destroy --stack {self.name}`"
        if self.name.endswith("-foundation"):
            destroy = f"`aws cloudformation delete-stack --stack-name {self.name}`"
        if status == "DELETE_FAILED":
            return f"mend the cause, then {destroy} again"
        if status in BROKEN:
            return f"mend the cause, delete what was made with {destroy}, then deploy again"
        if status == "UPDATE_ROLLBACK_FAILED":
            return (
                f"mend the cause, then `aws cloudformation continue-update-rollback --stack-name {self.name}`; "
                "deploy again when it is UPDATE_ROLLBACK_COMPLETE"
            )
        if status == "UPDATE_ROLLBACK_COMPLETE":
            return "everything is as it was before: mend the cause, then deploy again"
        return "mend the cause, then deploy again"

    def ready(self, change):
        """Waits for a change set; False where it changes nothing."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told = self.cloudformation.describe_change_set(ChangeSetName=change)
            if told["Status"] == "CREATE_COMPLETE":
                return True
            if told["Status"] == "FAILED":
                reason = told.get("StatusReason") or "CloudFormation gives no reason"
                self.cloudformation.delete_change_set(ChangeSetName=change)
                if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                    return False
                raise Failure(f"the change of {self.name} is refused: {reason}\nnothing was changed: mend the cause, then deploy again")
            time.sleep(self.pause)
        raise Failure(f"the change set of {self.name} is not ready after {PATIENCE:.0f} s: nothing was changed, deploy again")

    def wait(self, stack, seen):
        """Shows events until the stack rests; `seen` are those from before, None shows none."""
        self.failed = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                told = self.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            except ClientError as error:
                if "does not exist" in str(error):
                    return
                raise
            if seen is not None:
                self.show(stack, seen)
            if not told.endswith("_IN_PROGRESS"):
                return
            time.sleep(self.pause)
        raise Failure(f"the stack {self.name} does not rest after {PATIENCE:.0f} s; it goes on at AWS: the same command again waits for it")

    def seen(self):
        return {event["EventId"] for event in self.events(self.name)}

    def show(self, stack, seen):
        for event in reversed(self.events(stack)):
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            # Only the ids are always there.
            status = event.get("ResourceStatus") or ""
            resource = event.get("LogicalResourceId") or "(no name)"
            if not status.endswith(("_COMPLETE", "_FAILED")):
                continue
            if not status.endswith("_FAILED"):
                say(f"  {status:<22} {resource}")
                continue
            reason = event.get("ResourceStatusReason") or "CloudFormation gives no reason"
            say(f"  {status:<22} {resource}: {reason}")
            if CANCELLED not in reason:
                self.failed.append(f"{status} {resource} ({event.get('ResourceType') or 'no type'}): {reason}")

    def events(self, stack):
        """Its newest events, the newest first."""
        try:
            pages = self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
            return [event for page in pages for event in page["StackEvents"]]
        except ClientError as error:
            if "does not exist" in str(error):
                return []
            raise
