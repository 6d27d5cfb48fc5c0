"""Only for what pyproject.toml cannot say: the C loop, and the topologies.

The loop is built where a compiler is, and done without elsewhere. The topologies stand at the top of the
repository, because people look for them there; installed, they travel inside the package.
"""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithTopologies(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # there the repository's own are found
            for source, target in self._topologies():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(to for _, to in self._topologies())]

    def _topologies(self) -> list[tuple[str, str]]:
        into = Path(self.build_lib, "lab", "topologies")
        return [(str(each), str(into / each.name)) for each in Path("topologies").glob("*.toml")]


# An isolated build does not look here by itself, and the recipe of the C loop imports its neighbours.
sys.path.insert(0, str(Path(__file__).parent))

setup(
    cffi_modules=["node/accel/build.py:ffibuilder"],
    cmdclass={"build_py": BuildWithTopologies},
)
