"""The Dify side: everything that knows Dify's service API (dify-api)."""

from dod.dify.app import DifyApp

__all__ = ["DifyApp"]
