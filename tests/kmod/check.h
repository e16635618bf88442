// SPDX-License-Identifier: BSD-2-Clause-Patent
//
// Checks that go on after a failure, and children whose outcome a test asks for.
#ifndef EFISTORE_TESTS_KMOD_CHECK_H
#define EFISTORE_TESTS_KMOD_CHECK_H

#include <stdio.h>

extern int check_failures;

#define CHECK_EQ(expected, actual)                                                        \
  do {                                                                                    \
    long long check_expected = (long long)(expected), check_actual = (long long)(actual); \
    if (check_expected != check_actual) {                                                 \
      printf("%s:%d: %s: %s is %lld, not %lld\n", __FILE__, __LINE__, __func__, #actual,  \
             check_actual, check_expected);                                               \
      check_failures++;                                                                   \
    }                                                                                     \
  } while (0)

#define CHECK(condition) CHECK_EQ(1, !!(condition))

#endif  // EFISTORE_TESTS_KMOD_CHECK_H
