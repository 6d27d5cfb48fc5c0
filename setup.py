"""Only for what pyproject.toml cannot say: the C loop, built where a compiler is, done without elsewhere."""

from setuptools import setup

setup(cffi_modules=["node/accel/build.py:ffibuilder"])
