// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queue of requests: what waits for the daemon, what it has taken, and who is told what when
 * either side goes.
 */
#include <linux/cred.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "mm.h"

/* Requests of the kernel itself that find room when callers have filled the queue. */
#define KERNEL_ROOM 8
/* How long a suspend waits for answers to the kernel's requests, and then for another request. */
#define SLEEP_WAIT (5 * HZ)
#define SLEEP_QUIET msecs_to_jiffies(20)

static void restart_expired(struct work_struct *work);

/* Everything here is under the lock; it is held over no allocation, copy or sleep. */
static struct {
	spinlock_t lock;		/* of all below, and of the requests in the lists */
	struct list_head queued;
	struct list_head taken;
	struct list_head closed;
	unsigned int outstanding;	/* in queued and taken */
	unsigned int of_kernel;		/* those among them whose callers may hold locks */
	u64 of_kernel_ever;
	u64 last_id;
	u64 last_session;
	u64 attachments;		/* the present daemon's number, or the last one's */
	bool attached;
	bool expected;			/* no daemon, but it went so lately that it may be back */
	bool shutdown;
	bool asleep;			/* the system suspends, is suspended, or resumes */
	bool unresponsive;		/* the daemon let a request of the EFI variables time out */
	u64 try_at;			/* when it is given the next one all the same, in jiffies */
	struct pid *daemon;		/* the thread group that opened the node, or read last */
	u32 ready;
	u64 changes;
} queue = {
	.lock = __SPIN_LOCK_UNLOCKED(queue.lock),
	.queued = LIST_HEAD_INIT(queue.queued),
	.taken = LIST_HEAD_INIT(queue.taken),
	.closed = LIST_HEAD_INIT(queue.closed),
};

DECLARE_WAIT_QUEUE_HEAD(efistore_reader_wq);
DECLARE_WAIT_QUEUE_HEAD(efistore_changes_wq);
static DECLARE_WAIT_QUEUE_HEAD(quiet_wq);
static DECLARE_DELAYED_WORK(restart_work, restart_expired);

static void request_free(struct kref *references)
{
	struct efistore_request *request =
		container_of(references, struct efistore_request, references);

	put_pid(request->caller);
	kvfree(request->frame);
	kvfree(request->reply);
	kfree(request);
}

static struct efistore_request *request_new(const struct efistore_call *call)
{
	struct efistore_request *request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);

	if (!request)
		return NULL;
	kref_init(&request->references);
	INIT_LIST_HEAD(&request->link);
	init_waitqueue_head(&request->answered);
	request->session = call->session;
	request->session_id = call->session ? call->session->id : 0;
	request->origin = call->origin;
	request->patient = call->patient;
	request->repeatable = call->repeatable;
	request->frame = call->frame;
	request->size = call->size;
	request->caller = get_pid(task_tgid(current));
	request->uid = current_euid();
	request->gid = current_egid();
	return request;
}

static bool of_kernel(const struct efistore_request *request)
{
	return request->origin != EFISTORE_ORIGIN_CALLER;
}

/* Under the lock: takes the request out of the lists. */
static void request_remove(struct efistore_request *request)
{
	list_del_init(&request->link);
	queue.outstanding--;
	if (of_kernel(request) && !--queue.of_kernel)
		wake_up_all(&quiet_wq);
}

/* Under the lock: gives its caller the outcome, too. */
static void request_finish(struct efistore_request *request, int error)
{
	request_remove(request);
	request->error = error;
	WRITE_ONCE(request->state, EFISTORE_DONE);
	wake_up(&request->answered);
}

static void finish_all(struct list_head *list, int error)
{
	struct efistore_request *request, *next;

	list_for_each_entry_safe(request, next, list, link)
		request_finish(request, error);
}

/* Under the lock: the daemon is left alone for as long as it was waited for. */
static void leave_alone(void)
{
	queue.unresponsive = true;
	queue.try_at = get_jiffies_64() + msecs_to_jiffies(READ_ONCE(efistore_timeout_ms));
}

/*
 * Under the lock. Whoever may read a variable would else wait behind all others who do, each for
 * the whole timeout. Now and then one request finds out whether the daemon is back.
 */
static bool hopeless(const struct efistore_request *request)
{
	if (request->origin != EFISTORE_ORIGIN_EFIVARS || !queue.attached || !queue.unresponsive)
		return false;
	if (time_before64(get_jiffies_64(), queue.try_at))
		return true;
	leave_alone();
	return false;
}

static int request_submit(struct efistore_request *request)
{
	unsigned int limit = READ_ONCE(efistore_max_requests);
	int ret = 0;

	if (of_kernel(request))
		limit += KERNEL_ROOM;
	spin_lock(&queue.lock);
	if (queue.shutdown) {
		ret = -ESHUTDOWN;
	} else if (!queue.attached && !(request->patient && queue.expected)) {
		ret = -ENOTCONN;
	} else if (queue.attached && queue.daemon == request->caller) {
		/* It would wait for itself. */
		ret = -EDEADLK;
	} else if (queue.outstanding >= limit || (queue.asleep && of_kernel(request))) {
		ret = -EBUSY;
	} else if (hopeless(request)) {
		ret = -ETIMEDOUT;
	} else {
		request->id = ++queue.last_id;
		queue.outstanding++;
		queue.of_kernel += of_kernel(request);
		queue.of_kernel_ever += of_kernel(request);
		list_add_tail(&request->link, &queue.queued);
	}
	spin_unlock(&queue.lock);
	if (!ret)
		wake_up_interruptible(&efistore_reader_wq);
	return ret;
}

/* Ends the caller's part: the outcome, or, without one, the request is withdrawn or forgotten. */
static int request_collect(struct efistore_request *request, long left)
{
	int ret;

	spin_lock(&queue.lock);
	if (request->state == EFISTORE_DONE) {
		ret = request->error;
	} else {
		request_remove(request);
		request->state = EFISTORE_ABANDONED;
		ret = left < 0 ? -EINTR : -ETIMEDOUT;
		if (!left && queue.attached && request->origin == EFISTORE_ORIGIN_EFIVARS)
			leave_alone();
	}
	spin_unlock(&queue.lock);
	return ret;
}

/*
 * The kernel's requests come with locks held, its lock on all EFI variables or a file's: who is
 * frozen meanwhile would keep them from those who are not.
 */
static long request_wait(struct efistore_request *request, long timeout)
{
	if (of_kernel(request))
		return wait_event_killable_timeout(request->answered,
						   READ_ONCE(request->state) == EFISTORE_DONE,
						   timeout);
	return efistore_wait_event(request->answered,
				   READ_ONCE(request->state) == EFISTORE_DONE, timeout);
}

/**
 * efistore_call - has a request answered by the daemon
 * @call: the request, and then the reply
 *
 * Returns 0 with the reply in @call, whose frame the caller frees with kvfree(), or a negative
 * errno (efistore.h of the UAPI lists them) without one. Sleeps.
 */
int efistore_call(struct efistore_call *call)
{
	long timeout = call->timeout ?: msecs_to_jiffies(READ_ONCE(efistore_timeout_ms));
	struct efistore_request *request = request_new(call);
	int ret;

	if (!request) {
		kvfree(call->frame);
		call->frame = NULL;
		return -ENOMEM;
	}
	call->frame = NULL;
	ret = request_submit(request);
	if (!ret)
		ret = request_collect(request, request_wait(request, timeout));
	if (!ret) {
		call->frame = request->reply;
		call->size = request->reply_size;
		request->reply = NULL;
	}
	kref_put(&request->references, request_free);
	return ret;
}

struct efistore_session *efistore_session_open(void)
{
	struct efistore_session *session = kzalloc(sizeof(*session), GFP_KERNEL_ACCOUNT);

	if (!session)
		return NULL;
	INIT_LIST_HEAD(&session->link);
	spin_lock(&queue.lock);
	session->id = ++queue.last_session;
	spin_unlock(&queue.lock);
	return session;
}

/* The session itself becomes the message, so that closing a file cannot fail. */
void efistore_session_close(struct efistore_session *session)
{
	bool tell;

	spin_lock(&queue.lock);
	tell = queue.attached && session->attachment == queue.attachments;
	if (tell)
		list_add_tail(&session->link, &queue.closed);
	spin_unlock(&queue.lock);
	if (tell)
		wake_up_interruptible(&efistore_reader_wq);
	else
		kfree(session);
}

void efistore_get_info(struct efistore_info *info)
{
	memset(info, 0, sizeof(*info));
	info->buffer_size = efistore_buffer_size;
	spin_lock(&queue.lock);
	info->flags = queue.ready;
	if (queue.attached)
		info->flags |= EFISTORE_ATTACHED;
	info->changes = queue.changes;
	spin_unlock(&queue.lock);
	if (efistore_efivars_registered())
		info->flags |= EFISTORE_EFIVARS;
}

/* No daemon, and none is waited for. */
bool efistore_daemon_gone(void)
{
	bool gone;

	spin_lock(&queue.lock);
	gone = !queue.attached && !queue.expected;
	spin_unlock(&queue.lock);
	return gone;
}

u64 efistore_changes(void)
{
	u64 changes;

	spin_lock(&queue.lock);
	changes = queue.changes;
	spin_unlock(&queue.lock);
	return changes;
}

/* Under the lock. */
static void set_daemon(struct pid *pid)
{
	put_pid(queue.daemon);
	queue.daemon = get_pid(pid);
}

int efistore_attach(void)
{
	int ret = 0;

	spin_lock(&queue.lock);
	if (queue.shutdown) {
		ret = -ESHUTDOWN;
	} else if (queue.attached) {
		ret = -EBUSY;
	} else {
		queue.attached = true;
		queue.expected = false;
		queue.unresponsive = false;
		queue.attachments++;
		set_daemon(task_tgid(current));
	}
	spin_unlock(&queue.lock);
	/* The end of the last daemon's time must not be taken for that of the next one's. */
	if (!ret)
		cancel_delayed_work(&restart_work);
	return ret;
}

/* A daemon that forks after it has opened the node is known again by its reading. */
void efistore_note_reader(void)
{
	spin_lock(&queue.lock);
	if (queue.daemon != task_tgid(current))
		set_daemon(task_tgid(current));
	spin_unlock(&queue.lock);
}

/*
 * Under the lock: what can be asked again goes back to where it stood in the queue. Once only: it
 * may be what the daemon died of.
 */
static void requeue_or_fail(void)
{
	struct efistore_request *request, *next;

	list_for_each_entry_safe(request, next, &queue.queued, link)
		if (!request->patient || !queue.expected)
			request_finish(request, -ENOTCONN);
	list_for_each_entry_safe_reverse(request, next, &queue.taken, link) {
		if (!request->patient || !request->repeatable || !queue.expected) {
			request_finish(request, -ENOTCONN);
			continue;
		}
		if (request->repeated) {
			request_finish(request, -EIO);
			continue;
		}
		request->repeated = true;
		/* No id is given to two daemons. */
		request->id = ++queue.last_id;
		request->state = EFISTORE_QUEUED;
		list_move(&request->link, &queue.queued);
	}
}

void efistore_detach(void)
{
	struct efistore_session *session, *next;
	u32 restart_ms = READ_ONCE(efistore_restart_ms);
	LIST_HEAD(closed);

	spin_lock(&queue.lock);
	queue.attached = false;
	queue.ready = 0;
	queue.expected = restart_ms && !queue.shutdown;
	set_daemon(NULL);
	requeue_or_fail();
	list_splice_init(&queue.closed, &closed);
	spin_unlock(&queue.lock);
	list_for_each_entry_safe(session, next, &closed, link)
		kfree(session);
	mod_delayed_work(system_wq, &restart_work, msecs_to_jiffies(restart_ms));
}

static void restart_expired(struct work_struct *work)
{
	bool gone;

	spin_lock(&queue.lock);
	if (!queue.attached) {
		queue.expected = false;
		finish_all(&queue.queued, -ENOTCONN);
	}
	gone = !queue.attached;
	spin_unlock(&queue.lock);
	if (gone)
		efistore_efivars_look();
}

bool efistore_message_waits(void)
{
	bool waits;

	spin_lock(&queue.lock);
	waits = !list_empty(&queue.closed) || !list_empty(&queue.queued);
	spin_unlock(&queue.lock);
	return waits;
}

/*
 * Shows the next message without taking it. Ends of sessions come first: so there are never more
 * of them than there may be open files.
 */
bool efistore_message_peek(struct efistore_message *message)
{
	bool found = true;

	memset(message, 0, sizeof(*message));
	spin_lock(&queue.lock);
	if (!list_empty(&queue.closed)) {
		message->closed =
			list_first_entry(&queue.closed, struct efistore_session, link)->id;
	} else if (!list_empty(&queue.queued)) {
		message->request =
			list_first_entry(&queue.queued, struct efistore_request, link);
		message->id = message->request->id;
		kref_get(&message->request->references);
	} else {
		found = false;
	}
	spin_unlock(&queue.lock);
	return found;
}

/*
 * The message has arrived in the daemon. False: its caller had gone meanwhile, and the daemon is
 * to see the next one instead.
 */
bool efistore_message_taken(struct efistore_message *message)
{
	struct efistore_request *request = message->request;
	struct efistore_session *session = NULL;
	bool taken = true;

	spin_lock(&queue.lock);
	if (!request) {
		session = list_first_entry(&queue.closed, struct efistore_session, link);
		list_del(&session->link);
	} else if (request->state == EFISTORE_QUEUED) {
		request->state = EFISTORE_TAKEN;
		list_move_tail(&request->link, &queue.taken);
		/* Its caller waits, so its file is open. */
		if (request->session)
			request->session->attachment = queue.attachments;
	} else {
		taken = false;
	}
	spin_unlock(&queue.lock);
	kfree(session);
	return taken;
}

void efistore_message_put(struct efistore_message *message)
{
	if (message->request)
		kref_put(&message->request->references, request_free);
}

/* Under the lock. */
static struct efistore_request *find_taken(u64 id)
{
	struct efistore_request *request;

	list_for_each_entry(request, &queue.taken, link)
		if (request->id == id)
			return request;
	return NULL;
}

/* Gives a request its reply. With an error, the frame stays the caller's of this function. */
int efistore_answer(u64 id, void *frame, u32 size)
{
	struct efistore_request *request;

	spin_lock(&queue.lock);
	queue.unresponsive = false;
	request = find_taken(id);
	if (request) {
		request->reply = frame;
		request->reply_size = size;
		request_finish(request, 0);
	}
	spin_unlock(&queue.lock);
	return request ? 0 : -ENOENT;
}

/* Gives a request an error. */
int efistore_fail(u64 id, int error)
{
	struct efistore_request *request;

	spin_lock(&queue.lock);
	request = find_taken(id);
	if (request)
		request_finish(request, error);
	spin_unlock(&queue.lock);
	return request ? 0 : -ENOENT;
}

void efistore_set_ready(u32 flags)
{
	spin_lock(&queue.lock);
	queue.ready = flags;
	spin_unlock(&queue.lock);
}

void efistore_add_changes(u64 count)
{
	spin_lock(&queue.lock);
	queue.changes += count;
	spin_unlock(&queue.lock);
	wake_up_all(&efistore_changes_wq);
}

/* The machine goes down: whoever waits is let go, so that nothing hangs behind the daemon. */
void efistore_queue_shutdown(void)
{
	spin_lock(&queue.lock);
	queue.shutdown = true;
	queue.expected = false;
	finish_all(&queue.queued, -ESHUTDOWN);
	finish_all(&queue.taken, -ESHUTDOWN);
	spin_unlock(&queue.lock);
}

static void finish_of_kernel(struct list_head *list, int error)
{
	struct efistore_request *request, *next;

	list_for_each_entry_safe(request, next, list, link)
		if (of_kernel(request))
			request_finish(request, error);
}

/* For a moment there has been no request of the kernel: one write(2) makes several of them. */
static bool quiet(void)
{
	u64 before = READ_ONCE(queue.of_kernel_ever);

	if (READ_ONCE(queue.of_kernel))
		return false;
	schedule_timeout_killable(SLEEP_QUIET);
	return READ_ONCE(queue.of_kernel_ever) == before;
}

/*
 * Before tasks are frozen: requests of the kernel that wait are answered, or end, and none begins.
 * Those of callers are frozen with them.
 */
void efistore_queue_sleep(void)
{
	unsigned long end = jiffies + SLEEP_WAIT;

	while (!quiet() && time_before(jiffies, end) && !fatal_signal_pending(current))
		wait_event_killable_timeout(quiet_wq, !READ_ONCE(queue.of_kernel),
					    max_t(long, end - jiffies, 1));
	spin_lock(&queue.lock);
	queue.asleep = true;
	finish_of_kernel(&queue.queued, -EBUSY);
	finish_of_kernel(&queue.taken, -EBUSY);
	spin_unlock(&queue.lock);
}

void efistore_queue_wake(void)
{
	spin_lock(&queue.lock);
	queue.asleep = false;
	spin_unlock(&queue.lock);
}

void efistore_queue_exit(void)
{
	cancel_delayed_work_sync(&restart_work);
}
