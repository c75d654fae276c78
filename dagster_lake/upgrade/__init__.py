"""Brings a lake of an earlier format to the present one: a list of steps for each format, and what carries them out.

Whoever changes the layout raises ``FORMAT_VERSION`` and adds the steps from the format before to ``versions.STEPS``.
"""
