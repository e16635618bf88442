/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the registration with the kernel's EFI variables (efivars.c), its operations
 * (efivars_ops.c) and the watch on those who use them (efivars_users.c).
 */
#ifndef EFISTORE_EFIVARS_H
#define EFISTORE_EFIVARS_H

#include <linux/efi.h>
#include <linux/types.h>

struct file_system_type;
struct mutex;

extern const struct efivar_operations efistore_operations;

/* Held while operations are registered and unregistered, and while a user of them is loaded. */
extern struct mutex efistore_efivars_mutex;

int efistore_users_init(void);
void efistore_users_exit(void);
int efistore_users_hold(struct file_system_type **held);
void efistore_users_release(struct file_system_type *held);

#endif /* EFISTORE_EFIVARS_H */
