"""The frozen generative policy: behaviour cloning of diffusion and flow decoders, export, bundle, decoder session.

May import data, contract, config and records; torch only in network, sampler, train and export, never in bundle or
session.
"""
