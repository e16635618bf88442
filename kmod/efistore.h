/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the efistore module share. README.md has the states, the locks and who owns
 * what.
 */
#ifndef EFISTORE_H
#define EFISTORE_H

#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <linux/efistore.h>

#undef pr_fmt
#define pr_fmt(fmt) "efistore: " fmt

/* The smallest frame: EFI_MM_COMMUNICATE_HEADER without a message. */
#define EFISTORE_FRAME_MIN 24

extern unsigned int efistore_buffer_size;
extern unsigned int efistore_timeout_ms;
extern unsigned int efistore_restart_ms;
extern unsigned int efistore_max_callers;
extern unsigned int efistore_max_requests;

/**
 * efistore_wait_event - wait in a way that kill, timeout and the freezers can end
 *
 * Only for who holds no lock of the kernel: one that is frozen keeps it.
 *
 * Returns what is left of @timeout (jiffies, at least 1) once @condition holds, 0 when it ran out,
 * -ERESTARTSYS when the task is being killed.
 */
#define efistore_wait_event(wq, condition, timeout)					\
	___wait_event(wq, ___wait_cond_timeout(condition),				\
		      (TASK_KILLABLE | TASK_FREEZABLE), 0, timeout,			\
		      __ret = schedule_timeout(__ret))

/**
 * struct efistore_session - an open file of a node for callers, as the daemon knows it
 * @link: in the list of those the daemon is still to be told the end of
 * @id: never used twice
 * @attachment: the attachment of a daemon that took a request of this session; 0: none did
 */
struct efistore_session {
	struct list_head link;
	u64 id;
	u64 attachment;
};

/**
 * struct efistore_call - a request from a file of the module, and then its reply
 * @session: whose request; NULL for the kernel's variable operations
 * @origin: EFISTORE_ORIGIN_*
 * @timeout: how long to wait, in jiffies; 0: the module's own timeout
 * @patient: survives a restart of the daemon while it is not taken
 * @repeatable: and when it is taken, too: asking twice is the same as asking once
 * @frame: the request, from kvmalloc(); efistore_call() takes it over. Then the reply, or NULL
 * @size: bytes of @frame
 */
struct efistore_call {
	struct efistore_session *session;
	u32 origin;
	long timeout;
	bool patient;
	bool repeatable;
	void *frame;
	u32 size;
};

/* main.c */
bool efistore_loaded(void);

/* power.c */
int efistore_power_init(void);
void efistore_power_exit(void);

/* mm.c and queue.c */
int efistore_mm_init(void);
void efistore_mm_exit(void);
int efistore_call(struct efistore_call *call);
struct efistore_session *efistore_session_open(void);
void efistore_session_close(struct efistore_session *session);
void efistore_get_info(struct efistore_info *info);
bool efistore_daemon_gone(void);
u64 efistore_changes(void);
long efistore_ioctl_info(void __user *argument, u64 *told);

extern wait_queue_head_t efistore_changes_wq;

/* caller.c */
int efistore_caller_init(void);
void efistore_caller_exit(void);

#ifdef EFISTORE_EFI

struct kobject;

/* efivars.c */
extern const struct kernel_param_ops efistore_efivars_param;
int efistore_efivars_init(void);
void efistore_efivars_exit(void);
void efistore_efivars_update(void);
void efistore_efivars_look(void);
bool efistore_efivars_registered(void);

/* esrt.c */
struct kobject *efistore_dir_get(void);
void efistore_dir_put(void);
int efistore_esrt_replace(const void *message, size_t size);
void efistore_esrt_exit(void);

/* capsule.c */
int efistore_capsule_init(void);
void efistore_capsule_exit(void);

#else /* !EFISTORE_EFI */

static inline int efistore_efivars_init(void) { return 0; }
static inline void efistore_efivars_exit(void) { }
static inline void efistore_efivars_update(void) { }
static inline void efistore_efivars_look(void) { }
static inline bool efistore_efivars_registered(void) { return false; }
static inline int efistore_esrt_replace(const void *message, size_t size) { return -EOPNOTSUPP; }
static inline void efistore_esrt_exit(void) { }
static inline int efistore_capsule_init(void) { return 0; }
static inline void efistore_capsule_exit(void) { }

#endif /* EFISTORE_EFI */

#endif /* EFISTORE_H */
