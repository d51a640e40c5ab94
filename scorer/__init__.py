"""Offline batch scoring of text models."""
