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
struct module;
struct mutex;

/**
 * struct efistore_hold - users of the kernel's EFI variables that are kept away
 * @efivarfs: out of the kernel's list of file systems
 * @pstore: efi_pstore, which does not use them and cannot begin to
 * @reason: why they could not be kept away, for the log
 */
struct efistore_hold {
	struct file_system_type *efivarfs;
	struct module *pstore;
	const char *reason;
};

extern const struct efivar_operations efistore_operations;

/* Held while operations are registered and unregistered, and while a user of them is loaded. */
extern struct mutex efistore_efivars_mutex;

int efistore_users_init(void);
void efistore_users_exit(void);
int efistore_users_hold(struct efistore_hold *hold);
void efistore_users_release(struct efistore_hold *hold);
bool efistore_users_come(void);
void efistore_users_begin(void);

#endif /* EFISTORE_EFIVARS_H */
