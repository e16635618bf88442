// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers with the kernel's EFI variables when a daemon is ready, and takes it back when neither
 * a daemon, or hope of its return, nor anybody who uses them is left. In between the module holds
 * itself.
 */
#include <linux/efi.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/security.h>
#include <linux/slab.h>
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
static DECLARE_WORK(update_work, update);
/* Another one, so that to put it off never takes the first from those who wait for that. */
static DECLARE_DELAYED_WORK(retry_work, update);

/* Under efistore_efivars_mutex. */
static enum mode mode = MODE_AUTO;
static bool live;		/* between init and exit of the module */
static bool registered;
static bool took_generic;	/* the real firmware's operations are to be given back */
static int outcome;		/* of the last change; 0, too, if there was none to make */
static const char *told;	/* why operations stay registered, as the log has it already */
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

#if defined(EFISTORE_HAVE_OPS_NOTIFIER) && defined(EFISTORE_HAVE_IS_AVAILABLE)
/* What lockdep knows the lock by outlives the module, as the lock does. */
static void init_notifier_lock(void)
{
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	struct {
		struct lock_class_key key;
		char name[sizeof("efivar_ops_nh")];
	} *class = kzalloc(sizeof(*class), GFP_KERNEL);

	if (!class)
		return;
	strscpy(class->name, "efivar_ops_nh", sizeof(class->name));
	lockdep_register_key(&class->key);
	__init_rwsem(&efivar_ops_nh.rwsem, class->name, &class->key);
#else
	__init_rwsem(&efivar_ops_nh.rwsem, NULL, NULL);
#endif
}
#endif

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
		init_notifier_lock();
	initialised = true;
#endif
}

/* It stays until it is told to go: something else may be mounted there when the daemon goes. */
static int make_mount_point(void)
{
	int ret;

	/* An EFI boot has made both. */
	if (efi_enabled(EFI_BOOT) || directory)
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
	struct efistore_hold hold;

	if (have_firmware()) {
		ret = efistore_users_hold(&hold);
		if (ret) {
			pr_warn("efivars: the firmware's own variables are in use: %s\n",
				hold.reason);
			return ret;
		}
		efivars_generic_ops_unregister();
		ret = register_with_kernel();
		if (ret)
			efivars_generic_ops_register();
		else
			took_generic = true;
		efistore_users_release(&hold);
		return ret;
	}
#endif
	ret = register_with_kernel();
	return ret;
}

static int register_operations(void)
{
	bool had_directory = directory;
	int ret;

	/*
	 * Whoever is root would show the kernel other variables than the firmware's. None of the
	 * reasons that lockdown knows is this one; that of the calls of the firmware is nearest.
	 */
	if (efi_enabled(EFI_BOOT) && security_locked_down(LOCKDOWN_EFI_TEST)) {
		pr_warn("efivars: the kernel is locked down: the firmware's variables stay\n");
		return -EPERM;
	}
	/* Kept until the operations are out of the kernel's reach. */
	if (!try_module_get(THIS_MODULE))
		return -ENODEV;
	ret = make_mount_point();
	if (ret)
		goto put;
	init_notifier();
	ret = take_over();
	if (ret)
		goto remove;
	WRITE_ONCE(registered, true);
	told = NULL;
	efistore_users_begin();
	return 0;
remove:
	if (!had_directory)
		remove_mount_point();
put:
	pr_warn("efivars: not registered: %d\n", ret);
	module_put(THIS_MODULE);
	return ret;
}

static int unregister_operations(void)
{
	struct efistore_hold hold;
	int ret;

	ret = efistore_users_hold(&hold);
	if (ret) {
		if (hold.reason != told)
			pr_notice("efivars: still registered: %s\n", hold.reason);
		told = hold.reason;
		return ret;
	}
	ret = efivars_unregister(&efivars);
#ifdef EFISTORE_HAVE_GENERIC_OPS
	if (!ret && took_generic)
		efivars_generic_ops_register();
#endif
	efistore_users_release(&hold);
	if (ret)
		return ret;
	took_generic = false;
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
	outcome = 0;
	if (live && !registered && wanted() && (info.flags & EFISTORE_READY_READ)) {
		again = efistore_users_come();
		if (!again)
			outcome = register_operations();
	} else if (registered && (!wanted() || efistore_daemon_gone())) {
		outcome = unregister_operations();
		again = outcome;
	}
	if (!registered && mode == MODE_OFF)
		remove_mount_point();
	mutex_unlock(&efistore_efivars_mutex);
	if (again)
		queue_delayed_work(system_wq, &retry_work, USERS_LOOK);
}

/* Makes the registration what daemon and parameter ask for, if it can be; returns when it is. */
void efistore_efivars_update(void)
{
	efistore_efivars_look();
	flush_work(&update_work);
}

/* The same, but does not wait. */
void efistore_efivars_look(void)
{
	queue_work(system_wq, &update_work);
}

bool efistore_efivars_registered(void)
{
	return READ_ONCE(registered);
}

/* An error leaves everything as it was. */
static int set_mode(const char *value, const struct kernel_param *parameter)
{
	int now = sysfs_match_string(mode_names, value), before;
	int ret = 0;

	if (now < 0)
		return now;
	mutex_lock(&efistore_efivars_mutex);
	before = mode;
	mode = now;
	told = NULL;
	mutex_unlock(&efistore_efivars_mutex);
	/* While the module is loaded there is nothing to do yet. */
	if (!READ_ONCE(live))
		return 0;
	efistore_efivars_update();
	mutex_lock(&efistore_efivars_mutex);
	if (registered && !wanted())
		ret = outcome ?: -EBUSY;
	else if (!registered && wanted())
		ret = outcome;
	if (ret)
		mode = before;
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
	cancel_work_sync(&update_work);
	cancel_delayed_work_sync(&retry_work);
	remove_mount_point();
	efistore_users_exit();
}
