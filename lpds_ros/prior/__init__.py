"""The frozen generative policy: behaviour cloning of diffusion and flow decoders, export, bundle, decoder session.

May import data, contract, config and records; torch anywhere but in bundle and session, onnx in the export alone.
"""
