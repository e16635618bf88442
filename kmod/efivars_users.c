// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who uses the kernel's EFI variables: efivarfs and efi_pstore.
 *
 * The kernel looks for operations when a mount begins and calls them when it goes on, without
 * looking again: taking them away in between is an oops, and nothing counts those users. So they
 * are counted here, and kept from beginning, while operations come and go.
 */
#include <linux/fs.h>
#include <linux/kconfig.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>

#include "efistore.h"
#include "efivars.h"

static const char * const user_names[] = { "efivarfs", "efi_pstore" };

/* Modules of those names that are being loaded; under efistore_efivars_mutex. */
static const struct module *loading[ARRAY_SIZE(user_names)];

/* A module is COMING before it is in sysfs: until it is LIVE or GOING, it is known here only. */
static int module_event(struct notifier_block *block, unsigned long event, void *data)
{
	const struct module *module = data;
	int user = match_string(user_names, ARRAY_SIZE(user_names), module->name);

	if (user < 0)
		return NOTIFY_DONE;
	/* Waits for the end of a change, which then does not see half a user. */
	mutex_lock(&efistore_efivars_mutex);
	if (event == MODULE_STATE_COMING)
		loading[user] = module;
	else if (loading[user] == module)
		loading[user] = NULL;
	mutex_unlock(&efistore_efivars_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block module_block = {
	.notifier_call = module_event,
};

/* The module of that name with a reference; NULL: not loaded; an error: coming or going. */
static struct module *get_module(const char *name)
{
	/* All loaded modules are in one set, of which this module knows itself to be. */
	struct kobject *object = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, name);
	struct module *module;

	if (!object)
		return NULL;
	module = container_of(object, struct module_kobject, kobj)->mod;
	/* What is built in may have a directory there, too, but no module. */
	if (module && !try_module_get(module))
		module = ERR_PTR(-EBUSY);
	kobject_put(object);
	return module;
}

#ifdef EFISTORE_HAVE_IS_AVAILABLE
/* Nobody can mount: the type is out of the kernel's list. Its module has one user, which is us. */
static int hold_file_system(struct module *module, struct file_system_type **held)
{
	struct file_system_type *type;

	/* Mounts and those begun by fsopen(2) count as users of their module. */
	if (!module_is_live(module) || module_refcount(module) != 1)
		return -EBUSY;
	/* In the list while its module is loaded, so that this does not try to load it. */
	type = get_fs_type("efivarfs");
	if (!type)
		return -EBUSY;
	if (type->owner == module && !unregister_filesystem(type)) {
		if (module_refcount(module) == 2) {
			*held = type;
			return 0;
		}
		register_filesystem(type);
	}
	module_put(type->owner);
	return -EBUSY;
}
#else
/* Before 6.3 a mount does not look for operations at all: it must not be possible. */
static int hold_file_system(struct module *module, struct file_system_type **held)
{
	return -EBUSY;
}
#endif

/**
 * efistore_users_hold - keeps users of the kernel's EFI variables away
 * @held: what efistore_users_release() is to be given
 *
 * Under efistore_efivars_mutex. Returns -EBUSY, and holds nothing, if there are users.
 */
int efistore_users_hold(struct file_system_type **held)
{
	struct module *module;
	int user, ret;

	*held = NULL;
	for (user = 0; user < ARRAY_SIZE(user_names); user++)
		if (loading[user])
			return -EBUSY;
	module = get_module("efi_pstore");
	if (module) {
		if (!IS_ERR(module))
			module_put(module);
		return -EBUSY;
	}
	/* A built-in efivarfs does not say who uses it. */
	if (IS_BUILTIN(CONFIG_EFIVAR_FS))
		return -EBUSY;
	module = get_module("efivarfs");
	if (!module)
		return 0;
	if (IS_ERR(module))
		return PTR_ERR(module);
	ret = hold_file_system(module, held);
	module_put(module);
	return ret;
}

void efistore_users_release(struct file_system_type *held)
{
	if (!held)
		return;
	register_filesystem(held);
	module_put(held->owner);
}

int efistore_users_init(void)
{
	return register_module_notifier(&module_block);
}

void efistore_users_exit(void)
{
	unregister_module_notifier(&module_block);
}
