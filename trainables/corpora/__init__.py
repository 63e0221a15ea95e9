"""Labelled audio: adapters of folders and manifests, splits, decoded clips, and the synthesised default."""
