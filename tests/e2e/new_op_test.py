"""Adding an op edits no file: copies of the skeleton's files under another name are found by the build, by the tests and by finback bench."""
import os
import re
import shutil
import subprocess
import unittest

import small_run
from small_run import ROOT

PARTS = (".h", ".cpp", "_ref.cpp", "_test.cpp")                # an op
MORE = ("_cpu.h", "_cpu.cpp", "_bench.cpp")                    # a fast variant of it and its figures


class NewOpTest(unittest.TestCase):
    def copy_of_the_tree(self):
        tree = os.path.join(small_run.work_folder(), "tree-with-an-op")
        os.makedirs(tree)
        for name in ("src", "cmake", "configs", "tests", "CMakeLists.txt"):
            path = os.path.join(ROOT, name)
            (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, os.path.join(tree, name))
        return tree

    def copy_skeleton(self, kernels, op, parts, names):
        for part in parts:
            with open(os.path.join(kernels, "skeleton" + part), encoding="utf-8") as f:
                text = f.read()
            for old, new in names.items():
                text = text.replace(old, new)
            with open(os.path.join(kernels, op + part), "x", encoding="utf-8") as f:
                f.write(text)

    def run_in(self, tree, *words):
        done = subprocess.run(words, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
                              env=small_run.USERS_ENVIRONMENT)  # its compiler's cache
        self.assertEqual(done.returncode, 0, f"{' '.join(words)}\n{done.stdout[-4000:]}")

    @unittest.skipUnless(small_run.full, "compiles tensor code once more: --full")
    def test_copies_of_the_skeleton_are_an_op(self):
        tree = self.copy_of_the_tree()
        kernels = os.path.join(tree, "src", "kernels")
        # Four files that compute with what is there, and all files of an op with a fast variant of its own.
        self.copy_skeleton(kernels, "fourfold", PARTS, {"skeleton.h": "fourfold.h", "TEST(Skeleton": "TEST(Fourfold", "axpby_": "fourfold_", "Axpby": "Fourfold"})
        self.copy_skeleton(kernels, "newcomer", PARTS + MORE, {"skeleton": "newcomer", "Skeleton": "Newcomer", "axpby": "newcome", "Axpby": "Newcome"})
        with open(os.path.join(ROOT, "build", "CMakeCache.txt"), encoding="utf-8") as f:
            torch = re.search(r"^Torch_DIR:\w+=(.*)$", f.read(), re.M)[1]
        self.run_in(tree, "cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DFINBACK_WERROR=ON", "-DFINBACK_UNITY=OFF", f"-DTorch_DIR={torch}")
        objects = [f"CMakeFiles/{target}.dir/src/kernels/{name}.cpp.o" for target, names in
                   (("finback_kernels", ("fourfold", "fourfold_ref", "newcomer", "newcomer_ref", "newcomer_cpu")),
                    ("kernels_test", ("fourfold_test", "newcomer_test")), ("finback_benches", ("newcomer_bench",))) for name in names]
        self.run_in(tree, "ninja", "-C", "build", *objects)
        with open(os.path.join(tree, "build", "generated", "bench_list.cpp"), encoding="utf-8") as f:
            self.assertIn('{"newcomer", bench_newcomer}', f.read())
