"""The command ``onboarding``."""
