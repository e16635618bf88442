# SPDX-License-Identifier: BSD-2-Clause-Patent
#
# Builds for arm64 with Debian's cross compiler and the libraries that tools/dev/fetch-sysroot
# unpacked into EFISTORE_ARM64_SYSROOT, by default build/arm64-sysroot.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

# CMake's own test projects read this file, too, and know no more than what is handed on.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EFISTORE_ARM64_SYSROOT)
set(EFISTORE_ARM64_SYSROOT "${CMAKE_CURRENT_LIST_DIR}/../../build/arm64-sysroot" CACHE PATH
  "Where tools/dev/fetch-sysroot unpacked the arm64 packages")
get_filename_component(CMAKE_SYSROOT "${EFISTORE_ARM64_SYSROOT}" ABSOLUTE)
if(NOT EXISTS "${CMAKE_SYSROOT}/usr/include")
  message(FATAL_ERROR "There is no sysroot; run tools/dev/fetch-sysroot ${CMAKE_SYSROOT}")
endif()

# Programs that run in the build are the machine's; everything else is the sysroot's alone.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${CMAKE_SYSROOT}")
set(ENV{PKG_CONFIG_LIBDIR}
  "${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig")
