"""One file a suite: its environments, where its demonstrations come from, and its tasks (a function `tasks()`).

May import the rest of bench; a simulator is imported only where a world is made.
"""
