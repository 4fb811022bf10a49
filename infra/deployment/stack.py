"""A CloudFormation stack: made, changed or deleted, with what happens to it shown while it happens."""

import time

from botocore.exceptions import ClientError

from .place import Failure, say

# A stack whose creation failed can only be deleted.
BROKEN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
PAUSE = 2.0
PATIENCE = 3600.0


class Stack:
    """One stack."""

    def __init__(self, place, name):
        self.cloudformation = place.client("cloudformation")
        self.name = name
        self.pause = 0.2 if place.endpoint else PAUSE

    def describe(self):
        """What stands, or None."""
        try:
            return self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def outputs(self):
        """Its outputs, by name; none of a stack that is not there."""
        stack = self.describe() or {}
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def apply(self, template, parameters):
        """Makes the stack or changes it, to a template's text or URL; waits until that is done."""
        stack = self.describe()
        status = stack["StackStatus"] if stack else None
        if status in BROKEN:
            raise Failure(f"the stack {self.name} is {status}: `infra/destroy` takes it away, then deploy again")
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
        status = self.describe()["StackStatus"]
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
            raise Failure(f"the stack {self.name} is {status}: the reasons stand above")
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
        left = self.describe()
        if left is not None and left["StackStatus"] != "DELETE_COMPLETE":
            raise Failure(f"the stack {self.name} is {left['StackStatus']}: the reasons stand above")
        say(f"  {self.name}: DELETE_COMPLETE")

    def ready(self, change):
        """Waits for a change set; False where it changes nothing."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told = self.cloudformation.describe_change_set(ChangeSetName=change)
            if told["Status"] == "CREATE_COMPLETE":
                return True
            if told["Status"] == "FAILED":
                reason = told.get("StatusReason", "")
                self.cloudformation.delete_change_set(ChangeSetName=change)
                if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                    return False
                raise Failure(f"the change of {self.name} is refused: {reason}")
            time.sleep(self.pause)
        raise Failure(f"the change set of {self.name} is not ready after {PATIENCE:.0f} s")

    def wait(self, stack, seen):
        """Shows events until the stack rests; `seen` are those from before, None shows none."""
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
        raise Failure(f"the stack {self.name} does not rest after {PATIENCE:.0f} s; it goes on at AWS")

    def seen(self):
        return {event["EventId"] for event in self.events(self.name)}

    def show(self, stack, seen):
        for event in reversed(self.events(stack)):
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            if event["ResourceStatus"].endswith(("_COMPLETE", "_FAILED")):
                reason = f": {event['ResourceStatusReason']}" if event["ResourceStatus"].endswith("_FAILED") else ""
                say(f"  {event['ResourceStatus']:<22} {event['LogicalResourceId']}{reason}")

    def events(self, stack):
        """Its newest events, the newest first."""
        try:
            pages = self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
            return [event for page in pages for event in page["StackEvents"]]
        except ClientError as error:
            if "does not exist" in str(error):
                return []
            raise
