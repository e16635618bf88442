// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queue of requests when the machine goes down, or to sleep.
 */
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/suspend.h>

#include "mm.h"

static int power_reboot(struct notifier_block *block, unsigned long event, void *data)
{
	efistore_queue_shutdown();
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = {
	.notifier_call = power_reboot,
	/* Before those who might still want to set a variable. */
	.priority = INT_MAX,
};

static int power_sleep(struct notifier_block *block, unsigned long event, void *data)
{
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		efistore_queue_sleep();
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		efistore_queue_wake();
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block sleep_block = {
	.notifier_call = power_sleep,
};

int efistore_power_init(void)
{
	int ret = register_reboot_notifier(&reboot_block);

	if (ret)
		return ret;
	ret = register_pm_notifier(&sleep_block);
	if (ret)
		unregister_reboot_notifier(&reboot_block);
	return ret;
}

void efistore_power_exit(void)
{
	unregister_pm_notifier(&sleep_block);
	unregister_reboot_notifier(&reboot_block);
}
