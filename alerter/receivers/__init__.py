"""Receivers: one module each, and one line here.

A kind is a module with `KIND`, `Options` (its settings, over `ReceiverOptions`) and
`build(options, context) -> Receiver`.
"""
