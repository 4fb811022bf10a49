"""Deploying Headwater, and taking it away again.

1. `arguments` says where to, and under which name; `place` speaks to AWS or to an emulator.
2. `packages` builds the Lambda binaries, checks what they need, and zips them.
3. `stack` makes or changes a CloudFormation stack, and shows what happens to it.
4. `deploy` does these in their order and prints where everything is; `destroy` goes the way back.

Progress goes to stderr; stdout has only what a shell takes in, `eval "$(infra/deploy)"`.
"""
