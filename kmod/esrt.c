// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/firmware/efi where the machine has none: fw_platform_size, and esrt/ as the kernel shows it,
 * from the daemon's table.
 */
#include <linux/efi.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>

#include "efistore.h"

/* Who made and who needs the directory; the outer of the two locks. */
static DEFINE_MUTEX(directory_mutex);
static struct kobject *directory;
static unsigned int directory_users;

static ssize_t fw_platform_size_show(struct kobject *object, struct kobj_attribute *attribute,
				     char *buffer)
{
	return sysfs_emit(buffer, "%d\n", BITS_PER_LONG);
}

static struct kobj_attribute platform_size = __ATTR_RO(fw_platform_size);

/* NULL: the machine has one of its own, or no memory. */
struct kobject *efistore_dir_get(void)
{
	struct kobject *object;

	if (efi_enabled(EFI_BOOT))
		return NULL;
	mutex_lock(&directory_mutex);
	if (!directory) {
		directory = kobject_create_and_add("efi", firmware_kobj);
		if (directory && sysfs_create_file(directory, &platform_size.attr)) {
			kobject_del(directory);
			kobject_put(directory);
			directory = NULL;
		}
	}
	if (directory)
		directory_users++;
	object = directory;
	mutex_unlock(&directory_mutex);
	return object;
}

void efistore_dir_put(void)
{
	mutex_lock(&directory_mutex);
	if (!--directory_users) {
		sysfs_remove_file(directory, &platform_size.attr);
		kobject_del(directory);
		kobject_put(directory);
		directory = NULL;
	}
	mutex_unlock(&directory_mutex);
}

struct table {
	struct efistore_mm_esrt head;
	struct efistore_mm_esrt_entry entries[];
};

/*
 * The tree is changed under the mutex; the table it shows is exchanged under the lock. All objects
 * are of the kernel's own type: whatever keeps one for longer needs nothing of this module.
 */
static DEFINE_MUTEX(tree_mutex);
static DEFINE_SPINLOCK(table_lock);
static struct table *table;
static struct table *coming;	/* what is new in the tree is shown from it until it is the table */
static struct kobject *shown[EFISTORE_MM_ESRT_MAX];
static unsigned int shown_count;
/* Under the mutex. */
static struct kobject *esrt;
static struct kobject *entries;

static bool copy_entry(const struct kobject *object, struct efistore_mm_esrt_entry *copy)
{
	const struct table *from;
	unsigned int index = 0;
	bool found;

	spin_lock(&table_lock);
	while (index < shown_count && shown[index] != object)
		index++;
	from = table && index < table->head.count ? table : coming;
	found = index < shown_count && from && index < from->head.count;
	if (found)
		*copy = from->entries[index];
	spin_unlock(&table_lock);
	return found;
}

static ssize_t fw_class_show(struct kobject *object, struct kobj_attribute *attribute,
			     char *buffer)
{
	struct efistore_mm_esrt_entry entry;

	if (!copy_entry(object, &entry))
		return -ENODEV;
	return sysfs_emit(buffer, "%pUl\n", entry.fw_class);
}

static struct kobj_attribute entry_fw_class = __ATTR_RO_MODE(fw_class, 0400);

#define ENTRY_ATTRIBUTE(name, member, format)						\
static ssize_t name##_show(struct kobject *object, struct kobj_attribute *attribute,	\
			   char *buffer)						\
{											\
	struct efistore_mm_esrt_entry entry;						\
											\
	if (!copy_entry(object, &entry))						\
		return -ENODEV;								\
	return sysfs_emit(buffer, format "\n", entry.member);				\
}											\
static struct kobj_attribute entry_##name = __ATTR_RO_MODE(name, 0400)

ENTRY_ATTRIBUTE(fw_type, fw_type, "%u");
ENTRY_ATTRIBUTE(fw_version, fw_version, "%u");
ENTRY_ATTRIBUTE(lowest_supported_fw_version, lowest_supported_fw_version, "%u");
ENTRY_ATTRIBUTE(capsule_flags, capsule_flags, "0x%x");
ENTRY_ATTRIBUTE(last_attempt_version, last_attempt_version, "%u");
ENTRY_ATTRIBUTE(last_attempt_status, last_attempt_status, "%u");

static struct attribute *entry_attrs[] = {
	&entry_fw_class.attr,
	&entry_fw_type.attr,
	&entry_fw_version.attr,
	&entry_lowest_supported_fw_version.attr,
	&entry_capsule_flags.attr,
	&entry_last_attempt_version.attr,
	&entry_last_attempt_status.attr,
	NULL,
};

static const struct attribute_group entry_group = {
	.attrs = entry_attrs,
};

#define TABLE_ATTRIBUTE(name, member, format)						\
static ssize_t name##_show(struct kobject *object, struct kobj_attribute *attribute,	\
			   char *buffer)						\
{											\
	struct efistore_mm_esrt head = {};						\
	const struct table *from;							\
											\
	spin_lock(&table_lock);								\
	from = table ?: coming;								\
	if (from)									\
		head = from->head;							\
	spin_unlock(&table_lock);							\
	return sysfs_emit(buffer, format "\n", head.member);				\
}											\
static struct kobj_attribute table_##name = __ATTR_RO_MODE(name, 0400)

TABLE_ATTRIBUTE(fw_resource_count, count, "%u");
TABLE_ATTRIBUTE(fw_resource_count_max, count_max, "%u");
TABLE_ATTRIBUTE(fw_resource_version, version, "%llu");

static struct attribute *table_attrs[] = {
	&table_fw_resource_count.attr,
	&table_fw_resource_count_max.attr,
	&table_fw_resource_version.attr,
	NULL,
};

static const struct attribute_group table_group = {
	.attrs = table_attrs,
};

static struct table *parse_table(const void *message, size_t size)
{
	const struct efistore_mm_esrt *head = message;
	struct table *parsed;

	if (size < sizeof(*head) || head->count > EFISTORE_MM_ESRT_MAX || head->version != 1 ||
	    size != struct_size(parsed, entries, head->count))
		return ERR_PTR(-EINVAL);
	parsed = kmemdup(message, size, GFP_KERNEL_ACCOUNT);
	return parsed ?: ERR_PTR(-ENOMEM);
}

/* All of what follows is under tree_mutex. */
static void set_shown(unsigned int count, struct kobject *last)
{
	spin_lock(&table_lock);
	if (last)
		shown[count - 1] = last;
	shown_count = count;
	spin_unlock(&table_lock);
}

static void remove_entries(unsigned int keep)
{
	while (shown_count > keep) {
		struct kobject *object = shown[shown_count - 1];

		sysfs_remove_group(object, &entry_group);
		set_shown(shown_count - 1, NULL);
		kobject_del(object);
		kobject_put(object);
	}
}

/* Their files are there last: by then it is known what stands in them. */
static int add_entries(unsigned int wanted)
{
	while (shown_count < wanted) {
		char name[sizeof("entry4294967295")];
		struct kobject *object;
		int ret;

		snprintf(name, sizeof(name), "entry%u", shown_count);
		object = kobject_create_and_add(name, entries);
		if (!object)
			return -ENOMEM;
		set_shown(shown_count + 1, object);
		ret = sysfs_create_group(object, &entry_group);
		if (ret) {
			set_shown(shown_count - 1, NULL);
			kobject_del(object);
			kobject_put(object);
			return ret;
		}
	}
	return 0;
}

static void set_coming(struct table *now)
{
	spin_lock(&table_lock);
	coming = now;
	spin_unlock(&table_lock);
}

static void exchange_table(struct table *now)
{
	struct table *before;

	spin_lock(&table_lock);
	before = table;
	table = now;
	coming = NULL;
	spin_unlock(&table_lock);
	kfree(before);
}

static void remove_tree(void)
{
	if (!esrt)
		return;
	remove_entries(0);
	kobject_del(entries);
	kobject_put(entries);
	sysfs_remove_group(esrt, &table_group);
	kobject_del(esrt);
	kobject_put(esrt);
	esrt = NULL;
	efistore_dir_put();
	exchange_table(NULL);
}

static int make_tree(void)
{
	struct kobject *parent = efistore_dir_get();
	int ret = -ENOMEM;

	if (!parent)
		return -ENOMEM;
	esrt = kobject_create_and_add("esrt", parent);
	if (!esrt)
		goto put_directory;
	entries = kobject_create_and_add("entries", esrt);
	if (!entries)
		goto put_esrt;
	ret = sysfs_create_group(esrt, &table_group);
	if (!ret)
		return 0;
	kobject_del(entries);
	kobject_put(entries);
put_esrt:
	kobject_del(esrt);
	kobject_put(esrt);
	esrt = NULL;
put_directory:
	efistore_dir_put();
	return ret;
}

/**
 * efistore_esrt_replace - shows another table
 * @message: struct efistore_mm_esrt and its entries, in the module's memory
 * @size: bytes of @message
 *
 * Every file shows the old or the new one, all the new one when this returns; an error leaves the
 * old one. EEXIST: the machine has a /sys/firmware/efi of its own.
 */
int efistore_esrt_replace(const void *message, size_t size)
{
	unsigned int before;
	struct table *now;
	bool made;
	int ret;

	if (efi_enabled(EFI_BOOT))
		return -EEXIST;
	now = parse_table(message, size);
	if (IS_ERR(now))
		return PTR_ERR(now);
	mutex_lock(&tree_mutex);
	made = !esrt;
	before = shown_count;
	set_coming(now);
	ret = made ? make_tree() : 0;
	if (ret)
		goto out;
	ret = add_entries(now->head.count);
	if (ret) {
		if (made)
			remove_tree();
		else
			remove_entries(before);
		goto out;
	}
	exchange_table(now);
	now = NULL;
	remove_entries(table->head.count);
out:
	set_coming(NULL);
	mutex_unlock(&tree_mutex);
	kfree(now);
	return ret;
}

void efistore_esrt_exit(void)
{
	mutex_lock(&tree_mutex);
	remove_tree();
	mutex_unlock(&tree_mutex);
}
