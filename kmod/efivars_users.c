// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who uses the kernel's EFI variables: efivarfs and efi_pstore.
 *
 * The kernel looks for operations when a mount begins and calls them when it goes on, without
 * looking again: taking them away in between is an oops, and nothing counts those users. So they
 * are counted here, and kept from beginning, while operations come and go.
 */
#include <linux/efi.h>
#include <linux/fs.h>
#include <linux/kconfig.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>

#include "efistore.h"
#include "efivars.h"

enum efivars_user {
	USER_EFIVARFS,
	USER_PSTORE,
};

static const char * const user_names[] = { "efivarfs", "efi_pstore" };

/* Under efistore_efivars_mutex. */
static const struct module *loading[ARRAY_SIZE(user_names)];	/* of those names */
static bool pstore_began;	/* efi_pstore was loaded when there were operations of ours */
static bool pstore_chosen;	/* and its parameter given by whoever loaded it */

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

/* efi_pstore's parameter, a bool whatever sets it; NULL: it is not the efi_pstore that is known. */
static const struct kernel_param *pstore_disable(const struct module *module)
{
	unsigned int i;

	for (i = 0; i < module->num_kp; i++)
		if (!strcmp(module->kp[i].name, "pstore_disable"))
			return &module->kp[i];
	return NULL;
}

/* Whether efi_pstore obeys its parameter all the time. If not, it does when it is loaded only. */
static bool pstore_obeys(const struct kernel_param *disable)
{
	return disable && disable->ops->set != param_set_bool;
}

static bool is_set(const struct kernel_param *disable)
{
	return disable && READ_ONCE(*(bool *)disable->arg);
}

/*
 * efi_pstore writes what is left of a crash, where no daemon can be waited for: this module's
 * operations refuse that. So it is not to begin with them, unless it is loaded with its parameter.
 * That is left alone then: an efi_pstore that is disabled, and enabled while its parameters are
 * read, begins twice, and never ends (6.12).
 */
static void pstore_comes(const struct module *module)
{
	const struct kernel_param *disable = pstore_disable(module);

	pstore_began = false;
	/* They have not been read yet, so that they are still in one piece. */
	pstore_chosen = strstr(module->args, "pstore_disable") ||
			strstr(module->args, "pstore-disable");
	if (!efistore_efivars_registered() || !disable || pstore_chosen)
		return;
	*(bool *)disable->arg = true;
	pr_info("efivars: efi_pstore is disabled: it could write nothing through a daemon\n");
}

static void pstore_is_there(const struct module *module)
{
	pstore_began = efistore_efivars_registered() && !is_set(pstore_disable(module));
}

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
	if (user == USER_PSTORE && event == MODULE_STATE_COMING)
		pstore_comes(module);
	else if (user == USER_PSTORE && event == MODULE_STATE_LIVE)
		pstore_is_there(module);
	mutex_unlock(&efistore_efivars_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block module_block = {
	.notifier_call = module_event,
};

/**
 * efistore_users_come - whether efi_pstore is being loaded
 *
 * It looks for operations in the middle of that, and whether it found some could not be told
 * afterwards. Under efistore_efivars_mutex.
 */
bool efistore_users_come(void)
{
	return loading[USER_PSTORE];
}

/**
 * efistore_users_begin - operations have been registered
 *
 * An efi_pstore that was there before them has found none, and would begin only when its parameter
 * is written; as it says that it is disabled, efistore_users_hold() knows later whether it has.
 * Under efistore_efivars_mutex.
 */
void efistore_users_begin(void)
{
	struct module *module = get_module(user_names[USER_PSTORE]);
	const struct kernel_param *disable;

	if (IS_ERR_OR_NULL(module))
		return;
	disable = pstore_disable(module);
	/* Who writes it at this moment may be waiting for the daemon, and is a user. */
	if (!pstore_chosen && pstore_obeys(disable) && mutex_trylock(&module->param_lock)) {
		if (!is_set(disable))
			disable->ops->set("Y", disable);
		mutex_unlock(&module->param_lock);
	}
	module_put(module);
}

/* efi_pstore does not use the operations, and cannot begin to until it is let go. */
static int hold_pstore(struct efistore_hold *hold)
{
	struct module *module = get_module(user_names[USER_PSTORE]);
	const struct kernel_param *disable;

	if (!module)
		return 0;
	hold->reason = "efi_pstore comes or goes";
	if (IS_ERR(module))
		return PTR_ERR(module);
	disable = pstore_disable(module);
	if (!pstore_obeys(disable)) {
		/* It looks for operations once. Those of firmware it has found. */
		if (!pstore_began && !efi_enabled(EFI_RUNTIME_SERVICES)) {
			module_put(module);
			return 0;
		}
		hold->reason = "efi_pstore uses them: unload it";
	} else if (mutex_trylock(&module->param_lock)) {
		if (is_set(disable)) {
			hold->pstore = module;
			return 0;
		}
		mutex_unlock(&module->param_lock);
		hold->reason = "efi_pstore uses them: unload it or set its pstore_disable";
	}
	module_put(module);
	return -EBUSY;
}

static void release_pstore(struct efistore_hold *hold)
{
	if (!hold->pstore)
		return;
	mutex_unlock(&hold->pstore->param_lock);
	module_put(hold->pstore);
}

/* Nobody else has this name: whoever tried to register it meanwhile was told that it is taken. */
static void put_back(struct file_system_type *type)
{
	int ret = register_filesystem(type);

	if (ret)
		pr_err("efivars: efivarfs cannot be mounted until it is loaded again: %d\n", ret);
}

#if defined(EFISTORE_HAVE_IS_AVAILABLE) && defined(CONFIG_MODULE_UNLOAD)
/* Nobody can mount: the type is out of the kernel's list. Its module has one user, which is us. */
static int hold_file_system(struct module *module, struct efistore_hold *hold)
{
	struct file_system_type *type;

	hold->reason = "efivarfs is in use: unmount it";
	/* Mounts and those begun by fsopen(2) count as users of their module. */
	if (!module_is_live(module) || module_refcount(module) != 1)
		return -EBUSY;
	/* In the list while its module is loaded, so that this does not try to load it. */
	type = get_fs_type(user_names[USER_EFIVARFS]);
	if (!type)
		return -EBUSY;
	if (type->owner == module && !unregister_filesystem(type)) {
		if (module_refcount(module) == 2) {
			hold->efivarfs = type;
			return 0;
		}
		put_back(type);
	}
	module_put(type->owner);
	return -EBUSY;
}
#else
/*
 * Before 6.3 a mount does not look for operations at all: it must not be possible. And a kernel
 * that cannot unload modules does not count their users.
 */
static int hold_file_system(struct module *module, struct efistore_hold *hold)
{
	hold->reason = IS_ENABLED(CONFIG_MODULE_UNLOAD) ?
		       "efivarfs is loaded, and takes them for granted: unload it" :
		       "efivarfs is loaded, and this kernel cannot tell whether it is in use";
	return -EBUSY;
}
#endif

/**
 * efistore_users_hold - keeps users of the kernel's EFI variables away
 * @hold: what efistore_users_release() is to be given
 *
 * Under efistore_efivars_mutex. Returns -EBUSY, and holds nothing, if there are users.
 */
int efistore_users_hold(struct efistore_hold *hold)
{
	struct module *module;
	int user, ret;

	memset(hold, 0, sizeof(*hold));
	/* What is built in does not say who uses it. */
	if (IS_BUILTIN(CONFIG_EFI_VARS_PSTORE)) {
		hold->reason = "efi_pstore is built in, and keeps them";
		return -EBUSY;
	}
	if (IS_BUILTIN(CONFIG_EFIVAR_FS)) {
		hold->reason = "efivarfs is built in, and does not tell who uses it";
		return -EBUSY;
	}
	for (user = 0; user < ARRAY_SIZE(user_names); user++) {
		if (loading[user]) {
			hold->reason = "a user of them is being loaded";
			return -EBUSY;
		}
	}
	ret = hold_pstore(hold);
	if (ret)
		return ret;
	module = get_module(user_names[USER_EFIVARFS]);
	if (!module)
		return 0;
	if (IS_ERR(module)) {
		hold->reason = "efivarfs comes or goes";
		ret = PTR_ERR(module);
	} else {
		ret = hold_file_system(module, hold);
		module_put(module);
	}
	if (ret)
		release_pstore(hold);
	return ret;
}

void efistore_users_release(struct efistore_hold *hold)
{
	if (hold->efivarfs) {
		put_back(hold->efivarfs);
		module_put(hold->efivarfs->owner);
	}
	release_pstore(hold);
}

int efistore_users_init(void)
{
	return register_module_notifier(&module_block);
}

void efistore_users_exit(void)
{
	unregister_module_notifier(&module_block);
}
