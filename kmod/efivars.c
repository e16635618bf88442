// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers with the kernel's EFI variables when a daemon is ready, and takes it back when neither
 * a daemon nor anybody who uses them is left. In between the module holds itself.
 */
#include <linux/efi.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

#include "efistore.h"
#include "efivars.h"

/* How often to look whether the last user has gone, when the daemon has. */
#define USERS_LOOK (HZ / 2)

enum mode {
	MODE_OFF,
	MODE_ON,
	MODE_AUTO,
};

static const char * const mode_names[] = { "off", "on", "auto" };

static void update(struct work_struct *work);

/* Of the registration, and against users that begin while it changes. */
DEFINE_MUTEX(efistore_efivars_mutex);
/* Of a kernel thread, which has no signals: the kernel's functions give up on one. */
static DECLARE_DELAYED_WORK(update_work, update);

/* Under efistore_efivars_mutex. */
static enum mode mode = MODE_AUTO;
static bool live;		/* between init and exit of the module */
static bool registered;
static bool took_generic;	/* the real firmware's operations are to be given back */
static struct kobject *directory;	/* of the mount point, if it is ours */
static struct efivars efivars;

/* Whether the kernel could have real EFI variables; then they are touched only when asked to. */
static bool have_firmware(void)
{
	return efi_enabled(EFI_RUNTIME_SERVICES);
}

/* An efivarfs of a kernel before 6.3 gives up for good if it starts without operations. */
static bool efivarfs_can_wait(void)
{
#ifdef EFISTORE_REGISTER_HAS_KOBJECT
	return !IS_BUILTIN(CONFIG_EFIVAR_FS);
#else
	return true;
#endif
}

static bool wanted(void)
{
	return mode == MODE_ON || (mode == MODE_AUTO && !have_firmware() && efivarfs_can_wait());
}

/*
 * Kernels from 6.8 on initialise this at an EFI boot only, but efivarfs takes its lock at every
 * mount. Nobody has before operations were registered.
 */
static void init_notifier(void)
{
#if defined(EFISTORE_HAVE_OPS_NOTIFIER) && defined(EFISTORE_HAVE_IS_AVAILABLE)
	static bool initialised;

	if (!initialised && !efi_enabled(EFI_BOOT) && !efivar_is_available() &&
	    !rcu_access_pointer(efivar_ops_nh.head))
		BLOCKING_INIT_NOTIFIER_HEAD(&efivar_ops_nh);
	initialised = true;
#endif
}

static int make_mount_point(void)
{
	int ret;

	/* An EFI boot has made both. */
	if (efi_enabled(EFI_BOOT))
		return 0;
	directory = efistore_dir_get();
	if (!directory)
		return -ENOMEM;
	ret = sysfs_create_mount_point(directory, "efivars");
	if (ret) {
		efistore_dir_put();
		directory = NULL;
	}
	return ret;
}

static void remove_mount_point(void)
{
	if (!directory)
		return;
	sysfs_remove_mount_point(directory, "efivars");
	efistore_dir_put();
	directory = NULL;
}

static int register_with_kernel(void)
{
#ifdef EFISTORE_REGISTER_HAS_KOBJECT
	/* Any will do: it is only asked whether there is one. */
	return efivars_register(&efivars, &efistore_operations, directory ?: firmware_kobj);
#else
	return efivars_register(&efivars, &efistore_operations);
#endif
}

/* In place of the real firmware's operations, if there are some; else these come back. */
static int take_over(void)
{
	int ret;
#ifdef EFISTORE_HAVE_GENERIC_OPS
	struct file_system_type *held;

	if (have_firmware()) {
		ret = efistore_users_hold(&held);
		if (ret) {
			pr_warn("efivars: the firmware's own variables are in use\n");
			return ret;
		}
		efivars_generic_ops_unregister();
		ret = register_with_kernel();
		if (ret)
			efivars_generic_ops_register();
		else
			took_generic = true;
		efistore_users_release(held);
		return ret;
	}
#endif
	ret = register_with_kernel();
	return ret;
}

static void register_operations(void)
{
	int ret;

	/* Kept until the operations are out of the kernel's reach. */
	if (!try_module_get(THIS_MODULE))
		return;
	ret = make_mount_point();
	if (ret)
		goto put;
	init_notifier();
	ret = take_over();
	if (ret)
		goto remove;
	WRITE_ONCE(registered, true);
	return;
remove:
	remove_mount_point();
put:
	pr_warn("efivars: not registered: %d\n", ret);
	module_put(THIS_MODULE);
}

static int unregister_operations(void)
{
	struct file_system_type *held;
	int ret;

	ret = efistore_users_hold(&held);
	if (ret)
		return ret;
	ret = efivars_unregister(&efivars);
#ifdef EFISTORE_HAVE_GENERIC_OPS
	if (!ret && took_generic)
		efivars_generic_ops_register();
#endif
	efistore_users_release(held);
	if (ret)
		return ret;
	took_generic = false;
	remove_mount_point();
	WRITE_ONCE(registered, false);
	module_put(THIS_MODULE);
	return 0;
}

static void update(struct work_struct *work)
{
	struct efistore_info info;
	bool again = false;

	mutex_lock(&efistore_efivars_mutex);
	efistore_get_info(&info);
	if (live && !registered && wanted() && (info.flags & EFISTORE_READY_READ))
		register_operations();
	else if (registered && (mode == MODE_OFF || !(info.flags & EFISTORE_ATTACHED)))
		again = unregister_operations() != 0;
	mutex_unlock(&efistore_efivars_mutex);
	if (again)
		mod_delayed_work(system_wq, &update_work, USERS_LOOK);
}

/* Makes the registration what daemon and parameter ask for, if it can be; returns when it is. */
void efistore_efivars_update(void)
{
	mod_delayed_work(system_wq, &update_work, 0);
	flush_delayed_work(&update_work);
}

bool efistore_efivars_registered(void)
{
	return READ_ONCE(registered);
}

static int set_mode(const char *value, const struct kernel_param *parameter)
{
	int now = sysfs_match_string(mode_names, value), before;
	int ret = 0;

	if (now < 0)
		return now;
	mutex_lock(&efistore_efivars_mutex);
	before = mode;
	mode = now;
	mutex_unlock(&efistore_efivars_mutex);
	/* While the module is loaded there is nothing to do yet. */
	if (!READ_ONCE(live))
		return 0;
	efistore_efivars_update();
	mutex_lock(&efistore_efivars_mutex);
	if (now == MODE_OFF && registered) {
		mode = before;
		ret = -EBUSY;
	}
	mutex_unlock(&efistore_efivars_mutex);
	return ret;
}

static int get_mode(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%s\n", mode_names[READ_ONCE(mode)]);
}

const struct kernel_param_ops efistore_efivars_param = {
	.set = set_mode,
	.get = get_mode,
};

int efistore_efivars_init(void)
{
	int ret = efistore_users_init();

	if (ret)
		return ret;
	mutex_lock(&efistore_efivars_mutex);
	WRITE_ONCE(live, true);
	mutex_unlock(&efistore_efivars_mutex);
	return 0;
}

void efistore_efivars_exit(void)
{
	mutex_lock(&efistore_efivars_mutex);
	WRITE_ONCE(live, false);
	mutex_unlock(&efistore_efivars_mutex);
	cancel_delayed_work_sync(&update_work);
	efistore_users_exit();
}
