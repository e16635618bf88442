// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/efi_capsule_loader where the machine has none, with the contract of the kernel's own: a
 * capsule is written from its begin, in pieces of any size; its header says where it ends, and the
 * write that brings the end hands it over. After an error, and after the end, writes get EIO.
 */
#include <linux/atomic.h>
#include <linux/efi.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "efistore.h"
#include "frame.h"

#define PIECE_MAX SZ_64K
/* Open files. The daemon takes one upload at a time; this is for those who try. */
#define UPLOADS_MAX 16

static const efi_guid_t management_guid = EFISTORE_MANAGEMENT_GUID;

enum upload_state {
	UPLOAD_HEADER,	/* less than the header is here */
	UPLOAD_BEGUN,	/* the daemon has begun */
	UPLOAD_DONE,	/* committed */
	UPLOAD_FAILED,
};

/**
 * struct upload - an open file
 * @mutex: held by the one write that runs
 * @session: its name towards the daemon, which forgets an upload whose session ends
 * @state: how far it is
 * @head: the first bytes, until the header is complete
 * @received: how many bytes are here, or with the daemon
 * @total: what the header says
 */
struct upload {
	struct mutex mutex;	/* of all below */
	struct efistore_session *session;
	enum upload_state state;
	u8 head[sizeof(efi_capsule_header_t)];
	u32 received;
	u32 total;
};

static atomic_t open_uploads = ATOMIC_INIT(0);

static u32 piece_max(void)
{
	return min_t(u32, PIECE_MAX, efistore_buffer_size - sizeof(struct efistore_frame) -
				     sizeof(struct efistore_capsule_data) -
				     sizeof(efi_capsule_header_t));
}

/* Sends the frame, which it takes over; the daemon's status as an errno. */
static int send(struct upload *upload, struct efistore_frame *frame)
{
	struct efistore_call call = {
		.session = upload->session,
		.origin = EFISTORE_ORIGIN_CAPSULE,
		.frame = frame,
	};
	efi_status_t status = EFI_DEVICE_ERROR;
	u64 function;
	u32 payload;
	int ret;

	if (!frame)
		return -ENOMEM;
	function = le64_to_cpu(frame->function);
	call.size = EFISTORE_FRAME_MIN + le64_to_cpu(frame->message_length);
	ret = efistore_call(&call);
	if (ret)
		return ret;
	if (efistore_frame_valid(call.frame, call.size, &management_guid, function, &payload))
		status = efistore_frame_status(call.frame);
	kvfree(call.frame);
	return efi_status_to_err(status);
}

static int begin(struct upload *upload)
{
	struct efistore_capsule_begin *payload;
	struct efistore_frame *frame;

	frame = efistore_frame_new(&management_guid, EFISTORE_CAPSULE_BEGIN, sizeof(*payload));
	if (frame) {
		payload = (struct efistore_capsule_begin *)frame->payload;
		payload->total_size = cpu_to_le64(upload->total);
	}
	return send(upload, frame);
}

static int commit(struct upload *upload)
{
	return send(upload, efistore_frame_new(&management_guid, EFISTORE_CAPSULE_COMMIT,
					       sizeof(struct efistore_capsule_commit)));
}

static void cancel(struct upload *upload)
{
	send(upload, efistore_frame_new(&management_guid, EFISTORE_CAPSULE_CANCEL, 0));
}

/* The header is complete in @bytes: how much is to come. */
static int parse_header(struct upload *upload, const u8 *bytes)
{
	const efi_capsule_header_t *header = (const efi_capsule_header_t *)bytes;
	u32 header_size = le32_to_cpu((__force __le32)header->headersize);
	u32 total = le32_to_cpu((__force __le32)header->imagesize);

	if (header_size < sizeof(*header) || total < header_size) {
		pr_err("capsule: the sizes in its header are wrong\n");
		return -EINVAL;
	}
	upload->total = total;
	return 0;
}

/* What is in @frame: the bytes kept so far and those just written. Takes the frame over. */
static int take_piece(struct upload *upload, struct efistore_frame *frame, u32 offset, u32 size)
{
	struct efistore_capsule_data *data = (struct efistore_capsule_data *)frame->payload;
	int ret;

	if (upload->state == UPLOAD_HEADER) {
		if (size < sizeof(upload->head)) {
			memcpy(upload->head, data->bytes, size);
			upload->received = size;
			kvfree(frame);
			return 0;
		}
		ret = parse_header(upload, data->bytes);
		if (ret)
			goto free;
	}
	if (size > upload->total - offset) {
		pr_err("capsule: more bytes than its header says\n");
		ret = -EINVAL;
		goto free;
	}
	if (upload->state == UPLOAD_HEADER) {
		ret = begin(upload);
		if (ret)
			goto free;
		upload->state = UPLOAD_BEGUN;
	}
	data->offset = cpu_to_le64(offset);
	ret = send(upload, frame);
	if (ret)
		return ret;
	upload->received = offset + size;
	if (upload->received < upload->total)
		return 0;
	ret = commit(upload);
	if (!ret)
		upload->state = UPLOAD_DONE;
	return ret;
free:
	kvfree(frame);
	return ret;
}

static int write_piece(struct upload *upload, const char __user *bytes, u32 count)
{
	u32 kept = upload->state == UPLOAD_HEADER ? upload->received : 0;
	struct efistore_capsule_data *data;
	struct efistore_frame *frame;

	frame = efistore_frame_new(&management_guid, EFISTORE_CAPSULE_DATA,
				   sizeof(*data) + kept + count);
	if (!frame)
		return -ENOMEM;
	data = (struct efistore_capsule_data *)frame->payload;
	memcpy(data->bytes, upload->head, kept);
	if (copy_from_user(data->bytes + kept, bytes, count)) {
		kvfree(frame);
		return -EFAULT;
	}
	return take_piece(upload, frame, upload->received - kept, kept + count);
}

static ssize_t capsule_write(struct file *file, const char __user *bytes, size_t count,
			     loff_t *position)
{
	struct upload *upload = file->private_data;
	ssize_t ret;

	if (!count)
		return 0;
	/* Two writers make no capsule. */
	if (!mutex_trylock(&upload->mutex))
		return -EBUSY;
	if (upload->state == UPLOAD_DONE || upload->state == UPLOAD_FAILED) {
		ret = -EIO;
		goto out;
	}
	count = min_t(size_t, count, piece_max());
	ret = write_piece(upload, bytes, count);
	if (ret) {
		if (upload->state == UPLOAD_BEGUN)
			cancel(upload);
		upload->state = UPLOAD_FAILED;
		goto out;
	}
	ret = count;
out:
	mutex_unlock(&upload->mutex);
	return ret;
}

static bool incomplete(const struct upload *upload)
{
	return upload->state == UPLOAD_BEGUN ||
	       (upload->state == UPLOAD_HEADER && upload->received);
}

static void upload_free(struct upload *upload)
{
	kfree(upload);
	atomic_dec(&open_uploads);
}

/* close(2) of the last descriptor tells who closes too early; others may still write. */
static int capsule_flush(struct file *file, fl_owner_t owner)
{
	struct upload *upload = file->private_data;

	return file_count(file) == 1 && incomplete(upload) ? -ECANCELED : 0;
}

static int capsule_release(struct inode *inode, struct file *file)
{
	struct upload *upload = file->private_data;

	if (incomplete(upload))
		pr_err("capsule: closed before its end\n");
	/* The end of the session is what cancels: it needs neither memory nor an answer. */
	efistore_session_close(upload->session);
	upload_free(upload);
	return 0;
}

static int capsule_open(struct inode *inode, struct file *file)
{
	struct upload *upload;

	if (!efistore_loaded())
		return -EAGAIN;
	if (atomic_inc_return(&open_uploads) > UPLOADS_MAX) {
		atomic_dec(&open_uploads);
		return -ENFILE;
	}
	upload = kzalloc(sizeof(*upload), GFP_KERNEL_ACCOUNT);
	if (!upload) {
		atomic_dec(&open_uploads);
		return -ENOMEM;
	}
	mutex_init(&upload->mutex);
	upload->session = efistore_session_open();
	if (!upload->session) {
		upload_free(upload);
		return -ENOMEM;
	}
	file->private_data = upload;
	return stream_open(inode, file);
}

static const struct file_operations capsule_operations = {
	.owner = THIS_MODULE,
	.open = capsule_open,
	.write = capsule_write,
	.flush = capsule_flush,
	.release = capsule_release,
};

static struct miscdevice capsule_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "efi_capsule_loader",
	.fops = &capsule_operations,
	.mode = 0600,
};

static bool capsule_registered;

int efistore_capsule_init(void)
{
	int ret;

	/* Then the kernel's own loader is the one, loaded or not. */
	if (efi_enabled(EFI_RUNTIME_SERVICES))
		return 0;
	ret = misc_register(&capsule_device);
	capsule_registered = !ret;
	return ret;
}

void efistore_capsule_exit(void)
{
	if (capsule_registered)
		misc_deregister(&capsule_device);
}
