// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/efistore-mm: where the daemon reads messages and writes its own.
 */
#include <linux/build_bug.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mm.h"

/* What userspace was compiled with. */
static_assert(sizeof(struct efistore_info) == 16);
static_assert(sizeof(struct efistore_communicate) == 8);
static_assert(sizeof(struct efistore_mm_header) == 16);
static_assert(sizeof(struct efistore_mm_request) == 24);
static_assert(sizeof(struct efistore_mm_esrt_entry) == 40);
static_assert(sizeof(struct efistore_mm_esrt) == 16);

/* One reader at a time is between the look at a message and its taking. */
static DEFINE_MUTEX(read_mutex);

static int mm_open(struct inode *inode, struct file *file)
{
	int ret;

	/* Opening is attaching; who only looks shall not be taken for a daemon. */
	if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) != (FMODE_READ | FMODE_WRITE))
		return -EINVAL;
	ret = efistore_attach();
	return ret ?: nonseekable_open(inode, file);
}

static int mm_release(struct inode *inode, struct file *file)
{
	efistore_detach();
	efistore_efivars_update();
	return 0;
}

static ssize_t copy_closed(const struct efistore_message *message, char __user *buffer,
			   size_t count)
{
	const struct efistore_mm_header header = {
		.type = EFISTORE_MM_CLOSED,
		.id = message->closed,
	};

	if (count < sizeof(header))
		return -EMSGSIZE;
	return copy_to_user(buffer, &header, sizeof(header)) ? -EFAULT : sizeof(header);
}

static ssize_t copy_request(const struct efistore_message *message, char __user *buffer,
			    size_t count)
{
	const struct efistore_request *request = message->request;
	struct {
		struct efistore_mm_header header;
		struct efistore_mm_request request;
	} head = {
		.header = {
			.type = EFISTORE_MM_REQUEST,
			.size = sizeof(head.request) + request->size,
			.id = message->id,
		},
		.request = {
			.session = request->session_id,
			.origin = request->origin,
			.pid = pid_nr_ns(request->caller, task_active_pid_ns(current)),
			.uid = from_kuid_munged(&init_user_ns, request->uid),
			.gid = from_kgid_munged(&init_user_ns, request->gid),
		},
	};

	BUILD_BUG_ON(sizeof(head) != 40);
	if (count < sizeof(head) + request->size)
		return -EMSGSIZE;
	if (copy_to_user(buffer, &head, sizeof(head)) ||
	    copy_to_user(buffer + sizeof(head), request->frame, request->size))
		return -EFAULT;
	return sizeof(head) + request->size;
}

/* -EAGAIN: there is no message, or none any more. */
static ssize_t read_message(char __user *buffer, size_t count)
{
	struct efistore_message message;
	ssize_t ret = -EAGAIN;

	if (mutex_lock_interruptible(&read_mutex))
		return -ERESTARTSYS;
	while (efistore_message_peek(&message)) {
		bool taken = true;

		ret = message.closed ? copy_closed(&message, buffer, count) :
				       copy_request(&message, buffer, count);
		if (ret > 0)
			taken = efistore_message_taken(&message);
		efistore_message_put(&message);
		if (taken)
			break;
		ret = -EAGAIN;
	}
	mutex_unlock(&read_mutex);
	return ret;
}

static ssize_t mm_read(struct file *file, char __user *buffer, size_t count, loff_t *position)
{
	ssize_t ret;

	efistore_note_reader();
	for (;;) {
		ret = read_message(buffer, count);
		if (ret != -EAGAIN || (file->f_flags & O_NONBLOCK))
			return ret;
		ret = wait_event_freezable(efistore_reader_wq, efistore_message_waits());
		if (ret)
			return ret;
	}
}

static int write_reply(u64 id, const char __user *body, u32 size)
{
	void *frame;
	int ret;

	if (size < EFISTORE_FRAME_MIN || size > efistore_buffer_size) {
		/* It would not fit, or be no frame: the caller learns of it at once. */
		ret = efistore_fail(id, -EMSGSIZE);
		return ret ?: -EMSGSIZE;
	}
	frame = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!frame)
		return -ENOMEM;
	if (copy_from_user(frame, body, size)) {
		kvfree(frame);
		return -EFAULT;
	}
	ret = efistore_answer(id, frame, size);
	if (ret)
		kvfree(frame);
	return ret;
}

static int write_state(const char __user *body, u32 size)
{
	u32 flags;

	if (size != sizeof(flags))
		return -EINVAL;
	if (copy_from_user(&flags, body, sizeof(flags)))
		return -EFAULT;
	if (flags & ~(EFISTORE_READY_READ | EFISTORE_READY_WRITE))
		return -EINVAL;
	efistore_set_ready(flags);
	efistore_efivars_update();
	return 0;
}

static int write_changed(const char __user *body, u32 size)
{
	u64 count;

	if (size != sizeof(count))
		return -EINVAL;
	if (copy_from_user(&count, body, sizeof(count)))
		return -EFAULT;
	efistore_add_changes(count);
	return 0;
}

static int write_esrt(const char __user *body, u32 size)
{
	void *message;
	int ret;

	if (size > sizeof(struct efistore_mm_esrt) +
		   EFISTORE_MM_ESRT_MAX * sizeof(struct efistore_mm_esrt_entry))
		return -EINVAL;
	message = memdup_user(body, size);
	if (IS_ERR(message))
		return PTR_ERR(message);
	ret = efistore_esrt_replace(message, size);
	kfree(message);
	return ret;
}

static ssize_t mm_write(struct file *file, const char __user *buffer, size_t count,
			loff_t *position)
{
	const char __user *body = buffer + sizeof(struct efistore_mm_header);
	struct efistore_mm_header header;
	int ret;

	if (count < sizeof(header))
		return -EINVAL;
	if (copy_from_user(&header, buffer, sizeof(header)))
		return -EFAULT;
	if (header.size != count - sizeof(header) ||
	    (header.id && header.type != EFISTORE_MM_REPLY))
		return -EINVAL;
	switch (header.type) {
	case EFISTORE_MM_REPLY:
		ret = write_reply(header.id, body, header.size);
		break;
	case EFISTORE_MM_STATE:
		ret = write_state(body, header.size);
		break;
	case EFISTORE_MM_CHANGED:
		ret = write_changed(body, header.size);
		break;
	case EFISTORE_MM_ESRT:
		ret = write_esrt(body, header.size);
		break;
	default:
		ret = -EINVAL;
	}
	return ret ?: count;
}

/* EFISTORE_IOC_INFO of both nodes; @told is where the file remembers its changes. */
long efistore_ioctl_info(void __user *argument, u64 *told)
{
	struct efistore_info info;

	efistore_get_info(&info);
	if (copy_to_user(argument, &info, sizeof(info)))
		return -EFAULT;
	if (told)
		WRITE_ONCE(*told, info.changes);
	return 0;
}

static __poll_t mm_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &efistore_reader_wq, table);
	return EPOLLOUT | EPOLLWRNORM |
	       (efistore_message_waits() ? EPOLLIN | EPOLLRDNORM : 0);
}

static long mm_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	if (command != EFISTORE_IOC_INFO)
		return -ENOTTY;
	return efistore_ioctl_info((void __user *)argument, NULL);
}

static const struct file_operations mm_operations = {
	.owner = THIS_MODULE,
	.open = mm_open,
	.release = mm_release,
	.read = mm_read,
	.write = mm_write,
	.poll = mm_poll,
	.unlocked_ioctl = mm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice mm_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "efistore-mm",
	.fops = &mm_operations,
	.mode = 0600,
};

int efistore_mm_init(void)
{
	return misc_register(&mm_device);
}

void efistore_mm_exit(void)
{
	misc_deregister(&mm_device);
	efistore_queue_exit();
}
