# Every dependency is found before Torch: TorchConfig rewrites search paths and would shadow them.
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
find_package(ZLIB REQUIRED)
if(FINBACK_TESTS)
  find_package(GTest REQUIRED)
endif()

# ATen headers say C++20; the wheel's own flags carry the C++11 ABI.
find_package(Torch 2.11 REQUIRED)
if(FINBACK_CUDA AND NOT TARGET torch_cuda)
  message(FATAL_ERROR "expected a CUDA torch (preset cuda), got a CPU wheel. Hint: tools/setup --torch PYTHON-with-CUDA-torch, or preset cpu")
endif()

# The wheel ships its own fmt headers next to ATen's; ours (Debian's, the one that is linked) must be found first.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/first)
foreach(shadowed fmt nlohmann)
  if(EXISTS /usr/include/${shadowed} AND NOT EXISTS ${CMAKE_BINARY_DIR}/first/${shadowed})
    file(CREATE_LINK /usr/include/${shadowed} ${CMAKE_BINARY_DIR}/first/${shadowed} SYMBOLIC)
  endif()
endforeach()

find_program(FINBACK_MOLD mold)
find_program(FINBACK_CCACHE ccache)
if(FINBACK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${FINBACK_CCACHE})
endif()

add_library(finback_flags INTERFACE)
# Contraction would let the compiler choose where a multiply and an add fuse, and so the bits; kernels say FMA where they mean it.
target_compile_options(finback_flags INTERFACE -ffp-contract=off -Wall -Wextra -Wno-unused-parameter -Wno-unknown-pragmas -fpch-preprocess)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(finback_flags INTERFACE -Wno-unused-command-line-argument)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  # g++ 13 takes a reference into one argument for one into a temporary text that is another.
  target_compile_options(finback_flags INTERFACE -Wno-dangling-reference)
endif()
if(FINBACK_WERROR)
  target_compile_options(finback_flags INTERFACE -Werror)
endif()
if(FINBACK_SANITIZE)  # without -Werror: g++ 12 warns of overruns that are none once the sanitizers' checks stand between
  target_compile_options(finback_flags INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(finback_flags INTERFACE -fsanitize=address,undefined)
endif()
if(FINBACK_FUZZ)
  target_compile_options(finback_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(FINBACK_MOLD)
  target_link_options(finback_flags INTERFACE -fuse-ld=mold)
endif()
target_include_directories(finback_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_include_directories(finback_flags SYSTEM BEFORE INTERFACE ${CMAKE_BINARY_DIR}/first)
# First of all libraries: torch's wheels export the parts of libstdc++ that were linked into them (all of std::filesystem), and a program that finds
# those first runs them; those of the CUDA wheel of 2.11 crash. A toolchain whose libstdc++ is an archive is not helped: linkage_test is red there.
target_link_options(finback_flags INTERFACE "SHELL:-Wl,--push-state,--no-as-needed -lstdc++ -Wl,--pop-state")
