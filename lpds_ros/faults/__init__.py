"""The fault campaign: every fault of the list injected into the running stack or its cores, what followed measured and judged.

May import everything but commands; only commands import it.
"""
