"""The one C extension; everything else is in pyproject.toml."""

from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

core = Extension(
    "shopguide._core",
    sources=["src/shopguide/_core.pyx", *sorted(glob("csrc/*.c"))],
    depends=[*glob("csrc/*.h"), *glob("src/shopguide/*.pxi"), "src/shopguide/_core.pxd"],
    include_dirs=["csrc"],
    extra_compile_args=["-std=c11", "-O3", "-fno-math-errno", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    libraries=["m"],
)

setup(ext_modules=cythonize([core], compiler_directives={"language_level": 3, "embedsignature": True}))
