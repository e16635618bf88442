// SPDX-License-Identifier: GPL-2.0-only
/*
 * NOR flash that exists in memory only, for tests: programming clears bits and never sets them,
 * erasing sets a whole block, and power is lost in the middle of an operation when a test asks for
 * it. What is on the flash can be kept in a file or on a disk, so that it is there after a reboot.
 *
 * Parameters in /sys/module/norsim/parameters that change while it is loaded:
 *
 * cut_program	N: power is lost in the program of byte N from now on, counted from 0. Of that
 *		byte some of the bits that were to be cleared are; those behind it are untouched.
 * cut_erase	N: power is lost in the erase of block N from now on, counted from 0. Of that block
 *		some bytes are as they were, some are erased, and some are neither.
 * power	"off": power is lost now, between two operations. "on": it returns; nothing is armed
 *		any longer, and the flash has what the cut left.
 *
 * cut_program and cut_erase read back as how many are left, -1 if none is armed. While the power
 * is off each operation fails with EIO. programs, programmed_bytes, erased_blocks and bits_not_set
 * (bits that were to be programmed from 0 to 1, and stayed 0) count since the module was loaded.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mtd/mtd.h>
#include <linux/mtd/partitions.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define NORSIM_MAX_PARTS 8

static unsigned int size_kib = 1024;
module_param(size_kib, uint, 0444);
MODULE_PARM_DESC(size_kib, "size of the flash");

static unsigned int erase_kib = 4;
module_param(erase_kib, uint, 0444);
MODULE_PARM_DESC(erase_kib, "size of an erase block");

static unsigned int write_size = 1;
module_param(write_size, uint, 0444);
MODULE_PARM_DESC(write_size, "bytes of the smallest program; above 1 it is not bit-writable");

static unsigned int write_buffer_size = 256;
module_param(write_buffer_size, uint, 0444);
MODULE_PARM_DESC(write_buffer_size, "bytes of the largest program that is efficient");

static char *file;
module_param(file, charp, 0444);
MODULE_PARM_DESC(file, "where the flash is kept, a file or block device of its size at least");

static char *parts;
module_param(parts, charp, 0444);
MODULE_PARM_DESC(parts, "partitions as SIZE(NAME)[ro],..., the size \"-\" is the rest");

static bool strict;
module_param(strict, bool, 0644);
MODULE_PARM_DESC(strict, "a program that would have to set a bit fails with EIO");

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "of what a cut leaves");

/* Protects everything below, and the flash. */
static DEFINE_MUTEX(norsim_lock);
static int cut_program = -1;
static int cut_erase = -1;
static bool powered = true;
static struct rnd_state norsim_random;

static unsigned long programs;
module_param(programs, ulong, 0444);
static unsigned long programmed_bytes;
module_param(programmed_bytes, ulong, 0444);
static unsigned long erased_blocks;
module_param(erased_blocks, ulong, 0444);
static unsigned long bits_not_set;
module_param(bits_not_set, ulong, 0444);

static u8 *flash;
static struct file *backing;
static struct mtd_info norsim_mtd;
static struct mtd_partition partitions[NORSIM_MAX_PARTS];

static int set_cut(const char *value, const struct kernel_param *param)
{
	int ret;

	mutex_lock(&norsim_lock);
	ret = param_set_int(value, param);
	mutex_unlock(&norsim_lock);
	return ret;
}

static const struct kernel_param_ops cut_ops = {
	.set = set_cut,
	.get = param_get_int,
};
module_param_cb(cut_program, &cut_ops, &cut_program, 0644);
module_param_cb(cut_erase, &cut_ops, &cut_erase, 0644);

static int set_power(const char *value, const struct kernel_param *param)
{
	bool on;

	if (kstrtobool(value, &on))
		return -EINVAL;
	mutex_lock(&norsim_lock);
	powered = on;
	cut_program = -1;
	cut_erase = -1;
	mutex_unlock(&norsim_lock);
	return 0;
}

static int get_power(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", powered ? "on" : "off");
}

static const struct kernel_param_ops power_ops = {
	.set = set_power,
	.get = get_power,
};
module_param_cb(power, &power_ops, NULL, 0644);

/* Counts an armed cut down; true if it is this step that power is lost in. */
static bool cut_now(int *left)
{
	if (*left < 0)
		return false;
	if (*left > 0) {
		--*left;
		return false;
	}
	*left = -1;
	powered = false;
	return true;
}

/* What is on the flash is on the disk when this returns. */
static int keep(loff_t at, size_t size)
{
	loff_t position = at;
	ssize_t written;

	if (!backing || !size)
		return 0;
	written = kernel_write(backing, flash + at, size, &position);
	if (written != size)
		return -EIO;
	return vfs_fsync_range(backing, at, at + size - 1, 1);
}

/* Harnesses that take the power from the whole machine wait for this line: all is kept by then. */
static void tell_of_cut(const char *what, loff_t at)
{
	pr_crit("power is lost in the %s at 0x%llx\n", what, at);
}

static void half_erase(u8 *block, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		u32 random = prandom_u32_state(&norsim_random);

		if (random & 0x100)
			block[i] = 0xff;
		else if (random & 0x200)
			block[i] = random;
	}
}

static int norsim_erase(struct mtd_info *mtd, struct erase_info *erase)
{
	u64 end = erase->addr + erase->len;
	u64 at;
	int ret = 0;

	if (mtd_mod_by_eb(erase->addr, mtd) || mtd_mod_by_eb(erase->len, mtd))
		return -EINVAL;

	mutex_lock(&norsim_lock);
	for (at = erase->addr; at < end && !ret; at += mtd->erasesize) {
		if (!powered) {
			ret = -EIO;
		} else if (cut_now(&cut_erase)) {
			half_erase(flash + at, mtd->erasesize);
			keep(at, mtd->erasesize);
			tell_of_cut("erase", at);
			ret = -EIO;
		} else {
			memset(flash + at, 0xff, mtd->erasesize);
			erased_blocks++;
			ret = keep(at, mtd->erasesize);
		}
		if (ret)
			erase->fail_addr = at;
	}
	mutex_unlock(&norsim_lock);
	return ret;
}

static int norsim_read(struct mtd_info *mtd, loff_t from, size_t size, size_t *done, u_char *data)
{
	int ret = -EIO;

	mutex_lock(&norsim_lock);
	if (powered) {
		memcpy(data, flash + from, size);
		*done = size;
		ret = 0;
	}
	mutex_unlock(&norsim_lock);
	return ret;
}

/* The byte that power is lost in: some of the bits that were to be cleared. */
static u8 torn(u8 old, u8 wanted)
{
	return old & (wanted | prandom_u32_state(&norsim_random));
}

static int norsim_write(struct mtd_info *mtd, loff_t to, size_t size, size_t *done,
			const u_char *data)
{
	size_t changed = 0;
	int ret = 0;
	size_t i;

	if (to % mtd->writesize || size % mtd->writesize)
		return -EINVAL;

	mutex_lock(&norsim_lock);
	if (!powered) {
		mutex_unlock(&norsim_lock);
		return -EIO;
	}
	programs++;
	for (i = 0; i < size && !ret; i++) {
		u8 old = flash[to + i];
		u8 missed = data[i] & ~old;

		bits_not_set += hweight8(missed);
		if (missed && strict) {
			ret = -EIO;
			break;
		}
		if (cut_now(&cut_program)) {
			flash[to + i] = torn(old, data[i]);
			ret = -EIO;
		} else {
			flash[to + i] = old & data[i];
			programmed_bytes++;
			*done = i + 1;
		}
		changed = i + 1;
	}
	if (keep(to, changed))
		ret = -EIO;
	if (!powered)
		tell_of_cut("program", to + changed - 1);
	mutex_unlock(&norsim_lock);
	return ret;
}

static void norsim_sync(struct mtd_info *mtd)
{
	/* Everything is where it is kept. */
}

/* One partition of "parts", which is used up; false if it is not understood. */
static bool __init parse_partition(struct mtd_partition *partition, char *text)
{
	char *name = text;

	if (*text == '-') {
		partition->size = MTDPART_SIZ_FULL;
		name = text + 1;
	} else {
		partition->size = memparse(text, &name);
		if (!partition->size)
			return false;
	}
	if (*name != '(')
		return false;
	name++;
	text = strchr(name, ')');
	if (!text || text == name)
		return false;
	*text = '\0';
	partition->name = name;
	partition->offset = MTDPART_OFS_APPEND;
	if (!strcmp(text + 1, "ro"))
		partition->mask_flags = MTD_WRITEABLE;
	else if (text[1])
		return false;
	return true;
}

/* How many partitions there are; their names stay in "parts". */
static int __init parse_partitions(void)
{
	char *rest = parts;
	int count = 0;
	char *text;

	while ((text = strsep(&rest, ","))) {
		if (count == NORSIM_MAX_PARTS || !parse_partition(&partitions[count], text)) {
			pr_err("cannot understand partition %d of parts\n", count);
			return -EINVAL;
		}
		count++;
	}
	return count;
}

static int __init open_backing(size_t size)
{
	loff_t position = 0;
	ssize_t done;

	backing = filp_open(file, O_RDWR | O_LARGEFILE, 0);
	if (IS_ERR(backing)) {
		int ret = PTR_ERR(backing);

		backing = NULL;
		pr_err("cannot open %s: %d\n", file, ret);
		return ret;
	}
	while (position < size) {
		done = kernel_read(backing, flash + position, size - position, &position);
		if (done <= 0) {
			pr_err("%s is shorter than the flash, or cannot be read\n", file);
			return done ? done : -EINVAL;
		}
	}
	return 0;
}

static void release(void)
{
	if (backing)
		filp_close(backing, NULL);
	vfree(flash);
}

static int __init norsim_init(void)
{
	u64 size = (u64)size_kib << 10;
	u32 erase_size = erase_kib << 10;
	int count;
	int ret;

	if (!size || !erase_size || !write_size || size > SZ_1G || erase_kib > size_kib ||
	    size_kib % erase_kib || erase_size % write_size)
		return -EINVAL;
	count = parse_partitions();
	if (count < 0)
		return count;

	prandom_seed_state(&norsim_random, seed);
	flash = vmalloc(size);
	if (!flash)
		return -ENOMEM;
	memset(flash, 0xff, size);
	if (file) {
		ret = open_backing(size);
		if (ret)
			goto out_release;
	}

	norsim_mtd.name = KBUILD_MODNAME;
	norsim_mtd.type = MTD_NORFLASH;
	norsim_mtd.flags = write_size == 1 ? MTD_CAP_NORFLASH : MTD_WRITEABLE;
	norsim_mtd.size = size;
	norsim_mtd.erasesize = erase_size;
	norsim_mtd.writesize = write_size;
	norsim_mtd.writebufsize = max(write_buffer_size, write_size);
	norsim_mtd.owner = THIS_MODULE;
	norsim_mtd._erase = norsim_erase;
	norsim_mtd._read = norsim_read;
	norsim_mtd._write = norsim_write;
	norsim_mtd._sync = norsim_sync;
	ret = mtd_device_register(&norsim_mtd, partitions, count);
	if (!ret)
		return 0;

out_release:
	release();
	return ret;
}
module_init(norsim_init);

static void __exit norsim_exit(void)
{
	WARN_ON(mtd_device_unregister(&norsim_mtd));
	release();
}
module_exit(norsim_exit);

MODULE_DESCRIPTION("NOR flash simulator with power cuts, for tests");
MODULE_LICENSE("GPL");
