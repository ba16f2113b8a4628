"""Puts the library into the package: a built one, or one that is built now."""

import os
import pathlib
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIRED, COMPANIONS = "libstacklens.so", ["libstacklens-onnx.so"]


def library_folder() -> pathlib.Path:
    """Where the library lies; builds it when the repository and a Swift toolchain are here."""
    chosen = os.environ.get("STACKLENS_LIBRARY")
    if chosen:
        path = pathlib.Path(chosen)
        folder = path if path.is_dir() else path.parent
        if not (folder / REQUIRED).is_file():
            raise SystemExit(f"STACKLENS_LIBRARY names {chosen}, where there is no {REQUIRED}")
        return folder
    built = ROOT / "build" / "lib"
    if (built / REQUIRED).is_file():
        return built
    script = ROOT / "scripts" / "build"
    if not script.is_file():
        raise SystemExit(f"there is no {REQUIRED}: set STACKLENS_LIBRARY to the one to use")
    if shutil.which("swift") is None:
        raise SystemExit(f"{built} has no {REQUIRED} and there is no Swift toolchain to build it")
    subprocess.run([str(script)], check=True)
    return built


class BuildWithLibrary(build_py):
    """Copies the library next to the modules."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the package finds the repository's build/lib by itself
            library_folder()
            return
        folder = library_folder()
        target = pathlib.Path(self.build_lib) / "stacklens"
        for name in [REQUIRED, *COMPANIONS]:
            if (folder / name).is_file():
                self.copy_file(str(folder / name), str(target / name))


class PlatformWheel(bdist_wheel):
    """A wheel for this platform and any Python 3: the library is reached through ctypes."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> "tuple[str, str, str]":
        return ("py3", "none", super().get_tag()[2])


class BinaryDistribution(Distribution):
    """Tells setuptools that the package holds machine code."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
    distclass=BinaryDistribution,
)
