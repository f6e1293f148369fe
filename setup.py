"""The one C extension; everything else is in pyproject.toml. Cython makes its C when it is built, not before: a source
distribution has what is written here, and nothing is compiled to read the metadata."""

from pathlib import Path

import numpy
from setuptools import Extension, setup

HERE = Path()

core = Extension(
    "shopguide._core",
    sources=["src/shopguide/_core.pyx", *sorted(map(str, HERE.glob("csrc/*.c")))],
    depends=["src/shopguide/_core.pxd", *map(str, [*HERE.glob("csrc/*.h"), *HERE.glob("src/shopguide/*.pxi")])],
    include_dirs=["csrc", numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    extra_compile_args=[
        "-std=c11",
        "-O3",
        "-flto",
        "-fvisibility=hidden",
        "-fno-math-errno",
        "-Wall",
        "-Wextra",
        "-Wno-unused-parameter",
    ],
    extra_link_args=["-O3", "-flto"],
    libraries=["m"],
)

setup(ext_modules=[core])
