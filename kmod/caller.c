// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/efistore: a communicate buffer for each open file.
 */
#include <linux/atomic.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "efistore.h"

#define CALL_RUNS 0

/**
 * struct caller - an open file of /dev/efistore
 * @session: its name towards the daemon
 * @buffer: efistore_buffer_size bytes that userspace may map, and change at any time
 * @flags: CALL_RUNS, held from the copy out of the buffer to the copy into it
 * @idle: where a second call of the same file waits for it
 * @told: the count of changes that EFISTORE_IOC_INFO last told
 */
struct caller {
	struct efistore_session *session;
	void *buffer;
	unsigned long flags;
	wait_queue_head_t idle;
	u64 told;
};

static atomic_t open_callers = ATOMIC_INIT(0);

static void caller_free(struct caller *caller)
{
	if (caller->session)
		efistore_session_close(caller->session);
	vfree(caller->buffer);
	kfree(caller);
	atomic_dec(&open_callers);
}

static int caller_open(struct inode *inode, struct file *file)
{
	struct caller *caller;

	if (!efistore_loaded())
		return -EAGAIN;
	if (atomic_inc_return(&open_callers) > READ_ONCE(efistore_max_callers)) {
		atomic_dec(&open_callers);
		return -ENFILE;
	}
	caller = kzalloc(sizeof(*caller), GFP_KERNEL_ACCOUNT);
	if (!caller) {
		atomic_dec(&open_callers);
		return -ENOMEM;
	}
	init_waitqueue_head(&caller->idle);
	caller->told = efistore_changes();
	caller->session = efistore_session_open();
	caller->buffer = vmalloc_user(efistore_buffer_size);
	if (!caller->session || !caller->buffer) {
		caller_free(caller);
		return -ENOMEM;
	}
	file->private_data = caller;
	return 0;
}

static int caller_release(struct inode *inode, struct file *file)
{
	caller_free(file->private_data);
	return 0;
}

static int caller_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct caller *caller = file->private_data;

	/* A private copy would never see a reply. Of a file for reading, VM_SHARED is not set. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	return remap_vmalloc_range(vma, caller->buffer, vma->vm_pgoff);
}

static loff_t caller_llseek(struct file *file, loff_t offset, int whence)
{
	return fixed_size_llseek(file, offset, whence, efistore_buffer_size);
}

static ssize_t caller_read(struct file *file, char __user *data, size_t count, loff_t *position)
{
	struct caller *caller = file->private_data;

	return simple_read_from_buffer(data, count, position, caller->buffer,
				       efistore_buffer_size);
}

static ssize_t caller_write(struct file *file, const char __user *data, size_t count,
			    loff_t *position)
{
	struct caller *caller = file->private_data;

	if (count && *position >= efistore_buffer_size)
		return -ENOSPC;
	return simple_write_to_buffer(caller->buffer, efistore_buffer_size, position, data, count);
}

/* The request leaves the caller's reach before anybody looks at it: it is copied once. */
static int communicate_copied(struct caller *caller, struct efistore_communicate *argument,
			      long timeout)
{
	struct efistore_call call = {
		.session = caller->session,
		.origin = EFISTORE_ORIGIN_CALLER,
		.timeout = timeout,
		.size = argument->size,
	};
	int ret;

	call.frame = kvmalloc(call.size, GFP_KERNEL_ACCOUNT);
	if (!call.frame)
		return -ENOMEM;
	memcpy(call.frame, caller->buffer, call.size);
	ret = efistore_call(&call);
	if (ret)
		return ret;
	memcpy(caller->buffer, call.frame, call.size);
	argument->size = call.size;
	kvfree(call.frame);
	return 0;
}

static long communicate(struct caller *caller, struct efistore_communicate __user *user)
{
	u32 timeout_ms = READ_ONCE(efistore_timeout_ms);
	struct efistore_communicate argument;
	long left;
	int ret;

	if (copy_from_user(&argument, user, sizeof(argument)))
		return -EFAULT;
	if (argument.size < EFISTORE_FRAME_MIN || argument.size > efistore_buffer_size)
		return -EMSGSIZE;
	if (argument.timeout_ms)
		timeout_ms = min(timeout_ms, argument.timeout_ms);
	/* Not a mutex: the freezer could not stop who waits for one. Both waits have one end. */
	left = efistore_wait_event(caller->idle, !test_and_set_bit_lock(CALL_RUNS, &caller->flags),
				   msecs_to_jiffies(timeout_ms));
	if (left <= 0)
		return left < 0 ? -EINTR : -ETIMEDOUT;
	ret = communicate_copied(caller, &argument, left);
	clear_bit_unlock(CALL_RUNS, &caller->flags);
	wake_up(&caller->idle);
	if (!ret && copy_to_user(user, &argument, sizeof(argument)))
		ret = -EFAULT;
	return ret;
}

static long caller_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct caller *caller = file->private_data;
	void __user *user = (void __user *)argument;

	switch (command) {
	case EFISTORE_IOC_INFO:
		return efistore_ioctl_info(user, &caller->told);
	case EFISTORE_IOC_COMMUNICATE:
		/* As for write(2): what cannot put a request into its buffer has none. */
		if (!(file->f_mode & FMODE_WRITE))
			return -EBADF;
		return communicate(caller, user);
	default:
		return -ENOTTY;
	}
}

static __poll_t caller_poll(struct file *file, poll_table *table)
{
	struct caller *caller = file->private_data;

	poll_wait(file, &efistore_changes_wq, table);
	return efistore_changes() > READ_ONCE(caller->told) ? EPOLLPRI : 0;
}

static const struct file_operations caller_operations = {
	.owner = THIS_MODULE,
	.open = caller_open,
	.release = caller_release,
	.mmap = caller_mmap,
	.llseek = caller_llseek,
	.read = caller_read,
	.write = caller_write,
	.poll = caller_poll,
	.unlocked_ioctl = caller_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice caller_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "efistore",
	.fops = &caller_operations,
	.mode = 0600,
};

int efistore_caller_init(void)
{
	return misc_register(&caller_device);
}

void efistore_caller_exit(void)
{
	misc_deregister(&caller_device);
}
