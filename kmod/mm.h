/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the queue of requests (queue.c) and the daemon's node (mm.c).
 */
#ifndef EFISTORE_MM_H
#define EFISTORE_MM_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/pid.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#include "efistore.h"

enum efistore_state {
	EFISTORE_QUEUED,	/* in the queue; the daemon has not seen it */
	EFISTORE_TAKEN,		/* read by the daemon, which owes a reply */
	EFISTORE_DONE,		/* has a reply or an error for the caller; in no list */
	EFISTORE_ABANDONED,	/* the caller waits no more; in no list */
};

/**
 * struct efistore_request - one call, from its caller to the daemon and back
 *
 * The caller holds one reference, a reader of the queue another while it copies. What may change
 * after the request was queued (@link, @id, @state, @error, @repeated, @reply, @reply_size) is
 * under the queue's lock; @frame is private to the module and never changes. @repeated: a daemon
 * went with it, and it was queued for the next one.
 */
struct efistore_request {
	struct kref references;
	struct list_head link;
	wait_queue_head_t answered;
	enum efistore_state state;
	u64 id;
	int error;
	bool patient;
	bool repeatable;
	bool repeated;
	struct efistore_session *session;
	u64 session_id;
	u32 origin;
	struct pid *caller;
	kuid_t uid;
	kgid_t gid;
	void *frame;
	u32 size;
	void *reply;
	u32 reply_size;
};

/**
 * struct efistore_message - what the daemon is to read next
 * @closed: if not 0, the session whose end is to be told; else
 * @request: a request, with a reference of its own
 * @id: the request's
 */
struct efistore_message {
	u64 closed;
	struct efistore_request *request;
	u64 id;
};

void efistore_queue_exit(void);
void efistore_queue_shutdown(void);
void efistore_queue_sleep(void);
void efistore_queue_wake(void);
int efistore_attach(void);
void efistore_detach(void);
void efistore_note_reader(void);
bool efistore_message_waits(void);
bool efistore_message_peek(struct efistore_message *message);
bool efistore_message_taken(struct efistore_message *message);
void efistore_message_put(struct efistore_message *message);
int efistore_answer(u64 id, void *frame, u32 size);
int efistore_fail(u64 id, int error);
void efistore_set_ready(u32 flags);
void efistore_add_changes(u64 count);

extern wait_queue_head_t efistore_reader_wq;

#endif /* EFISTORE_MM_H */
