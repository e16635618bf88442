// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's EFI variable operations, as frames to the daemon.
 *
 * The kernel calls them with its own lock on all EFI variables held. An enumeration that it cannot
 * finish would be mounted as a short listing without an error; only EFI_UNSUPPORTED makes the mount
 * fail, so that is what get_next says of every trouble.
 */
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/ucs2_string.h>

#include "efistore.h"
#include "efivars.h"
#include "frame.h"

/* efivarfs allocates the data of a variable in one piece. */
#define DATA_MAX SZ_1M
/* Characters, with the terminator, of a name that the kernel gives. */
#define NAME_MAX_CHARS 512
/* Bytes of a name that the daemon is first given room for. */
#define NAME_ROOM 1024
/* Variables whose names efivarfs cannot take, one after the other. */
#define SKIP_MAX 4096
/* Not among the kernel's: the flash is not writable yet. */
#define NOT_AVAILABLE_YET (28 | (1UL << (BITS_PER_LONG - 1)))

static const efi_guid_t variable_guid = EFISTORE_VARIABLE_GUID;

/* Bytes of a name with its terminator; 0 if it has none in reach. */
static u32 name_bytes(const efi_char16_t *name)
{
	unsigned long length = ucs2_strnlen(name, NAME_MAX_CHARS);

	return length < NAME_MAX_CHARS ? (length + 1) * sizeof(*name) : 0;
}

/* The most data that a frame carries beside a name. */
static u32 data_room(u32 name_size)
{
	return min_t(u32, DATA_MAX, efistore_buffer_size - sizeof(struct efistore_frame) -
				    sizeof(struct efistore_access) - name_size);
}

/*
 * Sends the frame; *reply, to be freed with kvfree(), is set only when a valid reply came. Other
 * trouble than the daemon's own is EFI_ABORTED (EINTR) or EFI_DEVICE_ERROR (EIO).
 */
static efi_status_t exchange(struct efistore_frame *frame, bool repeatable,
			     struct efistore_frame **reply, u32 *payload_size)
{
	u64 function;
	struct efistore_call call = {
		.origin = EFISTORE_ORIGIN_EFIVARS,
		.patient = true,
		.repeatable = repeatable,
		.frame = frame,
	};
	int ret;

	*reply = NULL;
	if (!frame)
		return EFI_OUT_OF_RESOURCES;
	function = le64_to_cpu(frame->function);
	call.size = EFISTORE_FRAME_MIN + le64_to_cpu(frame->message_length);
	ret = efistore_call(&call);
	if (ret)
		return ret == -EINTR ? EFI_ABORTED : EFI_DEVICE_ERROR;
	if (!efistore_frame_valid(call.frame, call.size, &variable_guid, function, payload_size)) {
		pr_warn_ratelimited("a reply to function %llu is malformed\n", function);
		kvfree(call.frame);
		return EFI_DEVICE_ERROR;
	}
	*reply = call.frame;
	return efistore_frame_status(*reply);
}

static struct efistore_frame *access_frame(u64 function, const efi_char16_t *name, u32 name_size,
					   const efi_guid_t *vendor, u32 attributes,
					   const void *data, u32 data_size)
{
	struct efistore_frame *frame;
	struct efistore_access *access;

	/* The request has the room for the data that the reply will have. */
	frame = efistore_frame_new(&variable_guid, function,
				   sizeof(*access) + name_size + data_size);
	if (!frame)
		return NULL;
	access = (struct efistore_access *)frame->payload;
	access->guid = *vendor;
	access->data_size = cpu_to_le64(data_size);
	access->name_size = cpu_to_le64(name_size);
	access->attributes = cpu_to_le32(attributes);
	memcpy(access->name, name, name_size);
	if (data)
		memcpy(access->name + name_size, data, data_size);
	return frame;
}

static efi_status_t get_variable(efi_char16_t *name, efi_guid_t *vendor, u32 *attributes,
				 unsigned long *data_size, void *data)
{
	u32 name_size = name_bytes(name), room, payload_size;
	const struct efistore_access *access;
	struct efistore_frame *reply;
	efi_status_t status;
	u64 size;

	if (!name_size)
		return EFI_INVALID_PARAMETER;
	room = data ? min_t(unsigned long, *data_size, data_room(name_size)) : 0;
	status = exchange(access_frame(EFISTORE_GET_VARIABLE, name, name_size, vendor, 0, NULL,
				       room), true, &reply, &payload_size);
	if (!reply)
		return status;
	if (status != EFI_SUCCESS && status != EFI_BUFFER_TOO_SMALL)
		goto out;
	access = (const struct efistore_access *)reply->payload;
	if (payload_size < sizeof(*access) + name_size ||
	    le64_to_cpu(access->name_size) != name_size)
		goto malformed;
	size = le64_to_cpu(access->data_size);
	if (status == EFI_SUCCESS) {
		if (size > room || size > payload_size - sizeof(*access) - name_size)
			goto malformed;
		if (size)
			memcpy(data, access->name + name_size, size);
	} else if (size <= room || size > data_room(name_size)) {
		goto malformed;
	}
	*data_size = size;
	if (attributes)
		*attributes = le32_to_cpu(access->attributes);
out:
	kvfree(reply);
	return status;
malformed:
	pr_warn_ratelimited("a reply to GetVariable is malformed\n");
	kvfree(reply);
	return EFI_DEVICE_ERROR;
}

/* Asks for the name behind @name with @room bytes of room for it. */
static efi_status_t ask_next(const void *name, u32 name_size, const efi_guid_t *vendor, u32 room,
			     struct efistore_frame **reply, u32 *payload_size)
{
	struct efistore_get_next *next;
	struct efistore_frame *frame;

	frame = efistore_frame_new(&variable_guid, EFISTORE_GET_NEXT_VARIABLE,
				   sizeof(*next) + room);
	if (frame) {
		next = (struct efistore_get_next *)frame->payload;
		next->guid = *vendor;
		next->name_size = cpu_to_le64(room);
		memcpy(next->name, name, name_size);
	}
	return exchange(frame, true, reply, payload_size);
}

/* A name in @reply: whole characters, not empty, terminated. Its bytes, or 0. */
static u32 next_name_bytes(const struct efistore_frame *reply, u32 payload_size)
{
	const struct efistore_get_next *next = (const struct efistore_get_next *)reply->payload;
	u64 size;

	if (payload_size < sizeof(*next))
		return 0;
	size = le64_to_cpu(next->name_size);
	if (size < 4 || size % 2 || size > payload_size - sizeof(*next))
		return 0;
	if (!(next->name[0] | next->name[1]) || next->name[size - 1] | next->name[size - 2])
		return 0;
	return size;
}

/* Asks once, or twice where the name needs more room. On success *name_size is the name's. */
static efi_status_t ask_next_fitting(const void *name, u32 *name_size, const efi_guid_t *vendor,
				     struct efistore_frame **reply)
{
	u32 most = (efistore_buffer_size - sizeof(struct efistore_frame) -
		    sizeof(struct efistore_get_next)) & ~1U;
	u32 room = min(most, max_t(u32, NAME_ROOM, *name_size)), payload_size;
	efi_status_t status;

	status = ask_next(name, *name_size, vendor, room, reply, &payload_size);
	if (*reply && status == EFI_BUFFER_TOO_SMALL) {
		const struct efistore_get_next *next =
			(const struct efistore_get_next *)(*reply)->payload;
		u64 needed = payload_size < sizeof(*next) ? 0 : le64_to_cpu(next->name_size);

		kvfree(*reply);
		*reply = NULL;
		if (needed <= room || needed > most || needed % 2)
			return EFI_DEVICE_ERROR;
		status = ask_next(name, *name_size, vendor, needed, reply, &payload_size);
	}
	if (*reply && status == EFI_SUCCESS) {
		*name_size = next_name_bytes(*reply, payload_size);
		if (!*name_size)
			status = EFI_DEVICE_ERROR;
	}
	return status;
}

static efi_status_t get_next_variable(unsigned long *room, efi_char16_t *name, efi_guid_t *vendor)
{
	u32 name_size = name_bytes(name);
	const struct efistore_get_next *next;
	struct efistore_frame *reply = NULL, *behind = NULL;
	const void *from = name;
	efi_guid_t from_vendor = {};
	efi_status_t status = EFI_DEVICE_ERROR;
	int skipped;

	if (!name_size || name_size > *room)
		goto out;
	/* The first call's vendor is whatever was on the kernel's stack. */
	if (name[0])
		from_vendor = *vendor;
	for (skipped = 0; skipped < SKIP_MAX; skipped++) {
		status = ask_next_fitting(from, &name_size, &from_vendor, &reply);
		if (status != EFI_SUCCESS)
			break;
		next = (const struct efistore_get_next *)reply->payload;
		if (name_size <= *room) {
			memcpy(name, next->name, name_size);
			*vendor = next->guid;
			*room = name_size;
			break;
		}
		/* efivarfs would end the listing here; it goes on behind the long name. */
		pr_notice_once("a variable's name is longer than efivarfs can show\n");
		kvfree(behind);
		behind = reply;
		reply = NULL;
		from = next->name;
		from_vendor = next->guid;
		status = EFI_DEVICE_ERROR;
	}
out:
	kvfree(reply);
	kvfree(behind);
	if (status == EFI_SUCCESS || status == EFI_NOT_FOUND)
		return status;
	pr_warn_ratelimited("the variables cannot be listed: status %lx\n", status);
	return EFI_UNSUPPORTED;
}

static efi_status_t set_variable(efi_char16_t *name, efi_guid_t *vendor, u32 attributes,
				 unsigned long data_size, void *data)
{
	u32 name_size = name_bytes(name), payload_size;
	struct efistore_frame *reply;
	efi_status_t status;

	if (!name_size)
		return EFI_INVALID_PARAMETER;
	/* No store takes it; the status is the one that any store has for what is too large. */
	if (data_size > data_room(name_size))
		return EFI_INVALID_PARAMETER;
	status = exchange(access_frame(EFISTORE_SET_VARIABLE, name, name_size, vendor, attributes,
				       data, data_size), false, &reply, &payload_size);
	kvfree(reply);
	return status == NOT_AVAILABLE_YET ? EFI_WRITE_PROTECTED : status;
}

/* From a crash or with interrupts off: an answer would have to be waited for. */
static efi_status_t set_variable_nonblocking(efi_char16_t *name, efi_guid_t *vendor,
					     u32 attributes, unsigned long data_size, void *data)
{
	return EFI_UNSUPPORTED;
}

/* Whether there is room is the store's to say, which reclaims; it says it to the SetVariable. */
static efi_status_t query_variable_store(u32 attributes, unsigned long size, bool nonblocking)
{
	return nonblocking ? EFI_UNSUPPORTED : EFI_SUCCESS;
}

static efi_status_t query_variable_info(u32 attributes, u64 *storage, u64 *remaining, u64 *largest)
{
	struct efistore_query_info *info;
	struct efistore_frame *frame, *reply;
	efi_status_t status;
	u32 payload_size;

	frame = efistore_frame_new(&variable_guid, EFISTORE_QUERY_VARIABLE_INFO, sizeof(*info));
	if (frame) {
		info = (struct efistore_query_info *)frame->payload;
		info->attributes = cpu_to_le32(attributes);
	}
	status = exchange(frame, true, &reply, &payload_size);
	if (reply && status == EFI_SUCCESS) {
		info = (struct efistore_query_info *)reply->payload;
		if (payload_size < offsetofend(struct efistore_query_info, maximum_variable)) {
			status = EFI_DEVICE_ERROR;
		} else {
			*storage = le64_to_cpu(info->maximum_storage);
			*remaining = le64_to_cpu(info->remaining_storage);
			*largest = le64_to_cpu(info->maximum_variable);
		}
	}
	kvfree(reply);
	return status;
}

const struct efivar_operations efistore_operations = {
	.get_variable = get_variable,
	.get_next_variable = get_next_variable,
	.set_variable = set_variable,
	.set_variable_nonblocking = set_variable_nonblocking,
	.query_variable_store = query_variable_store,
	.query_variable_info = query_variable_info,
};
