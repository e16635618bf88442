/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause-Patent */
/*
 * The two device nodes of the efistore module.
 *
 * /dev/efistore    for callers: a communicate buffer of one's own, and a call that has what stands
 *                  in it answered by the MM side, in place.
 * /dev/efistore-mm for the MM side, the one daemon: read(2) takes a message, write(2) gives one.
 *
 * What stands in a buffer is an EFI_MM_COMMUNICATE_HEADER and a message; the module looks at no
 * more of it than its size. All integers are in the machine's byte order (the frames themselves are
 * little-endian). Reserved fields must be zero.
 */
#ifndef _UAPI_LINUX_EFISTORE_H
#define _UAPI_LINUX_EFISTORE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Of struct efistore_info and EFISTORE_MM_STATE. */
#define EFISTORE_READY_READ	0x1 /* the MM side answers reads */
#define EFISTORE_READY_WRITE	0x2 /* and changes: its flash is recovered and can be written */

/* Of struct efistore_info. */
#define EFISTORE_ATTACHED	0x100 /* there is a daemon */
#define EFISTORE_EFIVARS	0x200 /* the kernel's efivarfs goes through this module */

/**
 * struct efistore_info - what EFISTORE_IOC_INFO tells
 * @buffer_size: bytes of a communicate buffer, a multiple of the page size
 * @flags: EFISTORE_READY_*, EFISTORE_ATTACHED, EFISTORE_EFIVARS
 * @changes: how many changes of variables the MM side has told of since the module was loaded;
 *	poll(2) shows EPOLLPRI while this file's last EFISTORE_IOC_INFO told less
 */
struct efistore_info {
	__u32 buffer_size;
	__u32 flags;
	__u64 changes;
};

/**
 * struct efistore_communicate - the argument of EFISTORE_IOC_COMMUNICATE
 * @size: bytes of the request at the begin of the buffer; of the reply, when the call returns
 * @timeout_ms: how long the whole call may take, at most the module's own timeout; 0: that one
 */
struct efistore_communicate {
	__u32 size;
	__u32 timeout_ms;
};

#define EFISTORE_IOC_MAGIC 0xef
#define EFISTORE_IOC_INFO _IOR(EFISTORE_IOC_MAGIC, 0x40, struct efistore_info)
/*
 * Has the request in this file's buffer answered there. The request is copied out of the caller's
 * reach at once; the buffer changes only when the reply is complete.
 *
 * The file must be open for writing, else EBADF: all that one for reading can do is to look at its
 * buffer, EFISTORE_IOC_INFO and poll(2). That is not what permits a request: the MM side judges
 * each by who asks, and may permit changes to some and reads to others.
 *
 * ENOTCONN: there is no daemon, or it went without an answer. EMSGSIZE: size, or the reply's, is
 * not between 24 and the buffer's. ETIMEDOUT: no answer in time; the request may still be carried
 * out. EDEADLK: the caller is the daemon. EBUSY: too many requests wait. EINTR: killed. ESHUTDOWN:
 * the machine goes down.
 */
#define EFISTORE_IOC_COMMUNICATE _IOWR(EFISTORE_IOC_MAGIC, 0x41, struct efistore_communicate)

/* Types of messages on /dev/efistore-mm. */
#define EFISTORE_MM_REQUEST	1 /* read: struct efistore_mm_request, and the frame behind it */
#define EFISTORE_MM_CLOSED	2 /* read: the session with this id made requests and has ended */
#define EFISTORE_MM_REPLY	3 /* write: the frame that answers the request with this id */
#define EFISTORE_MM_STATE	4 /* write: a __u32 of EFISTORE_READY_* */
#define EFISTORE_MM_CHANGED	5 /* write: a __u64, how many changes since the last one */
#define EFISTORE_MM_ESRT	6 /* write: struct efistore_mm_esrt, and entries behind it */

/**
 * struct efistore_mm_header - the first bytes of every message
 * @type: EFISTORE_MM_*
 * @size: bytes that follow this header
 * @id: of a request and its reply; of a session that has closed; else 0
 */
struct efistore_mm_header {
	__u32 type;
	__u32 size;
	__u64 id;
};

/* Of struct efistore_mm_request: who asks. */
#define EFISTORE_ORIGIN_CALLER	1 /* a process, through /dev/efistore */
#define EFISTORE_ORIGIN_EFIVARS	2 /* the kernel, for efivarfs, whose permissions were checked */
#define EFISTORE_ORIGIN_CAPSULE	3 /* the kernel, for its capsule loader */

/**
 * struct efistore_mm_request - behind the header of an EFISTORE_MM_REQUEST
 * @session: which open file asks; 0 for the kernel's variable operations
 * @origin: EFISTORE_ORIGIN_*
 * @pid: the thread group that asks, in the daemon's namespace; 0 if it is not seen from there
 * @uid: its effective user, in the initial namespace's numbers
 * @gid: its effective group
 */
struct efistore_mm_request {
	__u64 session;
	__u32 origin;
	__s32 pid;
	__u32 uid;
	__u32 gid;
};

/**
 * struct efistore_mm_esrt_entry - one firmware resource (UEFI 2.10, 23.4)
 */
struct efistore_mm_esrt_entry {
	__u8 fw_class[16];
	__u32 fw_type;
	__u32 fw_version;
	__u32 lowest_supported_fw_version;
	__u32 capsule_flags;
	__u32 last_attempt_version;
	__u32 last_attempt_status;
};

#define EFISTORE_MM_ESRT_MAX 128

/**
 * struct efistore_mm_esrt - the table that /sys/firmware/efi/esrt is to show
 * @count: entries that follow, at most EFISTORE_MM_ESRT_MAX
 * @count_max: what fw_resource_count_max shows
 * @version: what fw_resource_version shows
 */
struct efistore_mm_esrt {
	__u32 count;
	__u32 count_max;
	__u64 version;
};

/*
 * open(2) must be for reading and writing, else EINVAL; a second one gets EBUSY. read(2) blocks
 * unless O_NONBLOCK; EMSGSIZE if the message does not fit, which leaves it there. write(2) takes
 * exactly one message. Errors of a reply: ENOENT, nobody waits for an answer to this id (any more):
 * never asked, answered before, timed out, caller gone; EMSGSIZE, its frame is not between 24 bytes
 * and a buffer's, which also ends its request. A session that has closed has cancelled what it had
 * not finished. When the file is closed, every caller who waits gets ENOTCONN. ioctl(2) with
 * EFISTORE_IOC_INFO works here, too.
 */

#endif /* _UAPI_LINUX_EFISTORE_H */
