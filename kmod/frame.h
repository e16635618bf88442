/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frames that the module itself makes: EDK2's communicate header, function header and the
 * payloads of the variable protocol, with 64-bit fields where EDK2 has UINTN. Little-endian.
 */
#ifndef EFISTORE_FRAME_H
#define EFISTORE_FRAME_H

#include <linux/build_bug.h>
#include <linux/efi.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/types.h>

#include "efistore.h"

#define EFISTORE_VARIABLE_GUID \
	EFI_GUID(0xed32d533, 0x99e6, 0x4209, 0x9c, 0xc0, 0x2d, 0x72, 0xcd, 0xd9, 0x98, 0xa7)
#define EFISTORE_MANAGEMENT_GUID \
	EFI_GUID(0xbbd2eb22, 0x7753, 0x4234, 0x83, 0x95, 0xfd, 0x83, 0xf1, 0x57, 0xd3, 0xc2)

enum efistore_function {
	EFISTORE_GET_VARIABLE = 1,
	EFISTORE_GET_NEXT_VARIABLE = 2,
	EFISTORE_SET_VARIABLE = 3,
	EFISTORE_QUERY_VARIABLE_INFO = 4,
	EFISTORE_CAPSULE_BEGIN = 32,
	EFISTORE_CAPSULE_DATA = 33,
	EFISTORE_CAPSULE_COMMIT = 34,
	EFISTORE_CAPSULE_CANCEL = 35,
};

struct efistore_frame {
	efi_guid_t guid;
	__le64 message_length;
	__le64 function;
	__le64 status;
	u8 payload[];
} __packed;

/* Of functions 1 and 3: the name follows, the data behind it. */
struct efistore_access {
	efi_guid_t guid;
	__le64 data_size;
	__le64 name_size;
	__le32 attributes;
	u8 name[];
} __packed;

struct efistore_get_next {
	efi_guid_t guid;
	__le64 name_size;
	u8 name[];
} __packed;

struct efistore_query_info {
	__le64 maximum_storage;
	__le64 remaining_storage;
	__le64 maximum_variable;
	__le32 attributes;
	__le32 padding;
} __packed;

struct efistore_capsule_begin {
	__le64 total_size;
} __packed;

struct efistore_capsule_data {
	__le64 offset;
	u8 bytes[];
} __packed;

struct efistore_capsule_commit {
	__le32 flags;
	__le32 reserved;
} __packed;

static_assert(sizeof(struct efistore_frame) == 40);
static_assert(sizeof(struct efistore_access) == 36);
static_assert(sizeof(struct efistore_get_next) == 24);
static_assert(sizeof(struct efistore_query_info) == 32);

/* A frame of zeros behind its headers, for efistore_call(). */
static inline struct efistore_frame *efistore_frame_new(const efi_guid_t *guid, u64 function,
							u32 payload_size)
{
	struct efistore_frame *frame = kvzalloc(sizeof(*frame) + payload_size, GFP_KERNEL_ACCOUNT);

	if (!frame)
		return NULL;
	frame->guid = *guid;
	frame->message_length = cpu_to_le64(sizeof(*frame) - EFISTORE_FRAME_MIN + payload_size);
	frame->function = cpu_to_le64(function);
	return frame;
}

/*
 * Whether @reply is a frame of this protocol and function with all of the message that it speaks
 * of; @payload_size is then what stands behind its headers.
 */
static inline bool efistore_frame_valid(const struct efistore_frame *reply, u32 size,
					const efi_guid_t *guid, u64 function, u32 *payload_size)
{
	u64 length;

	if (size < sizeof(*reply) || efi_guidcmp(reply->guid, *guid))
		return false;
	length = le64_to_cpu(reply->message_length);
	if (length < sizeof(*reply) - EFISTORE_FRAME_MIN || length > size - EFISTORE_FRAME_MIN)
		return false;
	if (le64_to_cpu(reply->function) != function)
		return false;
	*payload_size = length - (sizeof(*reply) - EFISTORE_FRAME_MIN);
	return true;
}

/* The protocol's statuses are those of 64-bit firmware, whatever the kernel is. */
static inline efi_status_t efistore_frame_status(const struct efistore_frame *reply)
{
	u64 status = le64_to_cpu(reply->status);

	if (!status)
		return EFI_SUCCESS;
	if (!(status >> 63) || (status & GENMASK_ULL(62, 16)))
		return EFI_DEVICE_ERROR;
	return (status & 0xffff) | (1UL << (BITS_PER_LONG - 1));
}

#endif /* EFISTORE_FRAME_H */
