"""The same number everywhere: one golden set of faces through every route to a model's answer.

    python -m tools.parity --model_dir=RUN --export=savedmodels/NAME/1

A route is one way of getting an answer: a library, a server, a format, a program. Each is one
function in one module of `routes`, and all have the same shape. See `__main__` for the command.
"""
