"""A hijacked model as a program: worlds to break out of, attempts that are generated and counted, and an oracle.

The oracle reads the databases before and after a run, what the model was sent, and what left the host. It knows
nothing of how the host decides.
"""
