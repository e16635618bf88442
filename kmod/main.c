// SPDX-License-Identifier: GPL-2.0-only
/*
 * efistore: a communicate buffer whose MM side is a daemon, and the kernel's EFI variables on it.
 *
 * Parameters, loading and unloading.
 */
#include <asm/barrier.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "efistore.h"

/* A page of headers beside the largest usual payload. */
unsigned int efistore_buffer_size = 132 * 1024;
module_param_named(buffer_size, efistore_buffer_size, uint, 0444);
MODULE_PARM_DESC(buffer_size, "bytes of a communicate buffer (8 KiB to 16 MiB, default 132 KiB)");

static int set_timeout(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 1, 3600000);
}

static const struct kernel_param_ops timeout_param = {
	.set = set_timeout,
	.get = param_get_uint,
};

unsigned int efistore_timeout_ms = 60000;
module_param_cb(timeout_ms, &timeout_param, &efistore_timeout_ms, 0644);
MODULE_PARM_DESC(timeout_ms, "longest wait for an answer (1 to 3600000, default 60000)");

static int set_restart(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 0, 3600000);
}

static const struct kernel_param_ops restart_param = {
	.set = set_restart,
	.get = param_get_uint,
};

unsigned int efistore_restart_ms = 5000;
module_param_cb(restart_ms, &restart_param, &efistore_restart_ms, 0644);
MODULE_PARM_DESC(restart_ms, "how long efivarfs waits for a daemon that restarts (default 5000)");

static int set_limit(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 1, 4096);
}

static const struct kernel_param_ops limit_param = {
	.set = set_limit,
	.get = param_get_uint,
};

unsigned int efistore_max_callers = 128;
module_param_cb(max_callers, &limit_param, &efistore_max_callers, 0644);
MODULE_PARM_DESC(max_callers, "most open files of /dev/efistore (1 to 4096, default 128)");

unsigned int efistore_max_requests = 128;
module_param_cb(max_requests, &limit_param, &efistore_max_requests, 0644);
MODULE_PARM_DESC(max_requests, "most requests that wait for the daemon (1 to 4096, default 128)");

#ifdef EFISTORE_EFI
module_param_cb(efivars, &efistore_efivars_param, NULL, 0644);
MODULE_PARM_DESC(efivars, "register with the kernel's EFI variables: off, on, auto (default)");
#endif

static bool loaded;

/* Whether the module can no longer fail to load, and leave an open file behind. */
bool efistore_loaded(void)
{
	/* Pairs with the end of efistore_init(). */
	return smp_load_acquire(&loaded);
}

static int __init efistore_init(void)
{
	int ret;

	efistore_buffer_size = PAGE_ALIGN(clamp(efistore_buffer_size, 8192U, 16U << 20));
	/* Before the nodes: whoever opens one may at once have variables registered. */
	ret = efistore_efivars_init();
	if (ret)
		return ret;
	ret = efistore_power_init();
	if (ret)
		goto efivars;
	ret = efistore_caller_init();
	if (ret)
		goto power;
	ret = efistore_capsule_init();
	if (ret)
		goto caller;
	/* The last that can fail, so that nobody has it open when it does. */
	ret = efistore_mm_init();
	if (ret)
		goto capsule;
	/* Pairs with efistore_loaded(). */
	smp_store_release(&loaded, true);
	return 0;
capsule:
	efistore_capsule_exit();
caller:
	efistore_caller_exit();
power:
	efistore_power_exit();
efivars:
	efistore_efivars_exit();
	return ret;
}
module_init(efistore_init);

static void __exit efistore_exit(void)
{
	/* No node is open, nothing is registered: both hold the module. */
	efistore_mm_exit();
	efistore_capsule_exit();
	efistore_caller_exit();
	efistore_power_exit();
	efistore_efivars_exit();
	efistore_esrt_exit();
}
module_exit(efistore_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("UEFI variable communicate buffer with a daemon as its MM side");
