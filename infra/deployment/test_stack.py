"""What a failed stack says: `infra/lint` runs this against a CloudFormation of canned answers."""

import contextlib
import io
import unittest

from botocore.exceptions import ClientError

from .place import Failure
from .stack import Stack


class Canned:
    """A CloudFormation whose stack goes through the given states, one for each question, and has the given events after a change."""

    def __init__(self, states, events, change=("CREATE_COMPLETE", None)):
        self.states, self.after, self.change = list(states), events, change
        self.changed = False

    def describe_stacks(self, StackName):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": f"{StackName} does not exist"}}, "DescribeStacks")
        state = state if isinstance(state, dict) else {"StackStatus": state}
        return {"Stacks": [{"StackId": "id", **state}]}

    def create_change_set(self, **_change):
        return {"Id": "change", "StackId": "id"}

    def describe_change_set(self, ChangeSetName):
        status, reason = self.change
        return {"Status": status, **({"StatusReason": reason} if reason else {})}

    def delete_change_set(self, ChangeSetName):
        pass

    def execute_change_set(self, ChangeSetName):
        self.changed = True

    def delete_stack(self, StackName):
        self.changed = True

    def get_paginator(self, _operation):
        return self

    def paginate(self, StackName):
        return [{"StackEvents": self.after if self.changed else []}]


class Place:
    """An emulator that answers as it is told."""

    endpoint = "http://127.0.0.1:4566"

    def __init__(self, cloudformation):
        self.cloudformation = cloudformation

    def client(self, _service):
        return self.cloudformation


def failure(act, states, events=(), name="bank", **more):
    """The message with which an action on a stack fails, and what was shown before."""
    stack = Stack(Place(Canned(states, list(events), **more)), name)
    stack.pause = 0
    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        try:
            act(stack)
        except Failure as failed:
            return str(failed), shown.getvalue()
    raise AssertionError("it did not fail")


def apply(stack):
    stack.apply("{}", {})


def event(name, status, reason=None, **more):
    facts = {"EventId": f"{name}-{status}", "LogicalResourceId": name, "ResourceStatus": status, "ResourceType": "AWS::S3::Bucket"}
    return {**facts, **({"ResourceStatusReason": reason} if reason else {}), **more}


class AFailedStack(unittest.TestCase):
    """What `infra/deploy` and `infra/destroy` end with."""

    def test_an_event_without_a_reason_is_shown_with_its_resource(self):
        message, shown = failure(apply, [None, "ROLLBACK_COMPLETE"], [event("Store", "CREATE_FAILED")])
        self.assertIn("CREATE_FAILED Store (AWS::S3::Bucket): CloudFormation gives no reason", message)
        self.assertIn("Store: CloudFormation gives no reason", shown)
        self.assertIn("infra/destroy --stack bank", message)

    def test_the_reason_is_given_where_there_is_one_and_what_was_only_cancelled_is_no_cause(self):
        events = [event("Archive", "CREATE_FAILED", "Resource creation cancelled"), event("Store", "CREATE_FAILED", "it exists")]
        message, shown = failure(apply, [None, "ROLLBACK_COMPLETE"], events)
        self.assertIn("Store (AWS::S3::Bucket): it exists", message)
        self.assertNotIn("Archive", message)
        self.assertIn("Archive", shown)

    def test_an_event_that_has_nothing_but_its_id_is_passed_over(self):
        message, _ = failure(apply, [None, "ROLLBACK_COMPLETE"], [{"EventId": "1"}])
        self.assertIn("no event names a resource", message)

    def test_without_events_the_stacks_own_reason_is_given(self):
        state = {"StackStatus": "ROLLBACK_COMPLETE", "StackStatusReason": "the template has no resources"}
        message, _ = failure(apply, [None, state])
        self.assertIn("bank: the template has no resources", message)

    def test_a_stack_that_vanishes_under_a_change_is_a_failure(self):
        message, _ = failure(apply, [None])
        self.assertIn("does not exist", message)

    def test_each_state_says_what_to_do(self):
        for state, advice in {
            "UPDATE_ROLLBACK_COMPLETE": "as it was before",
            "UPDATE_ROLLBACK_FAILED": "continue-update-rollback --stack-name bank",
        }.items():
            message, _ = failure(apply, ["CREATE_COMPLETE", state], [event("Stream", "UPDATE_FAILED")])
            self.assertIn("Stream", message)
            self.assertIn(advice, message)
        message, _ = failure(apply, ["UPDATE_ROLLBACK_FAILED"])
        self.assertIn("continue-update-rollback", message)
        message, _ = failure(apply, ["ROLLBACK_COMPLETE"], name="bank-foundation")
        self.assertIn("delete-stack --stack-name bank-foundation", message)

    def test_a_deletion_that_fails_names_what_is_left(self):
        message, _ = failure(Stack.delete, ["CREATE_COMPLETE", "DELETE_FAILED"], [event("Failures", "DELETE_FAILED")])
        self.assertIn("DELETE_FAILED Failures", message)
        self.assertIn("infra/destroy --stack bank", message)

    def test_a_refused_change_needs_no_reason_either(self):
        message, _ = failure(apply, ["CREATE_COMPLETE"], change=("FAILED", None))
        self.assertIn("CloudFormation gives no reason", message)

    def test_a_missing_output_is_named(self):
        message, _ = failure(lambda stack: stack.outputs("KeyArn"), ["CREATE_COMPLETE"])
        self.assertIn("no output KeyArn", message)


if __name__ == "__main__":
    unittest.main()
