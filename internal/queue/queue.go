// Package queue tells workers, in this process or another, that a campaign has
// something to apply, or a channel something to send. A wake is a hint that
// carries the campaign's number or the channel's name and nothing else: the
// facts are in the database, and whoever sweeps it gives again any wake that
// Redis has lost.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"kfactor/internal/embedded"
	"kfactor/internal/fault"
)

const (
	applyQueue   = "apply"
	applyTask    = "campaign:apply"
	deliverQueue = "deliver"
	deliverTask  = "channel:deliver"

	wakeTimeout  = time.Second     // callers wait for it, and the sweep is there
	taskTimeout  = 2 * time.Minute // of one task; what is left is for the next
	longestTurn  = taskTimeout / 4
	maxRetry     = 3
	retryDelay   = time.Second
	checkEvery   = 20 * time.Millisecond // of an idle worker
	forwardEvery = time.Second           // of tasks that wait to be tried again

	cancelAfter  = 2 * time.Second // from the order to stop until running workers are cut short
	requeueAfter = 3 * time.Second // until what has not ended by then goes back to the queue
	giveUpAfter  = 9 * time.Second // until Run returns whatever Redis does
)

// Queue gives wakes and hands them to workers.
type Queue struct {
	redis     redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector
	own       *embedded.Redis // nil when the address names another
	log       *slog.Logger

	mu sync.Mutex
	// waiting holds the work with a wake that no worker has begun. Only on
	// the embedded Redis: of another one's tasks this process does not see the begin.
	waiting map[work]bool
	// running holds the work that a worker here is at now, true when a wake came
	// since and it must look again.
	running map[work]bool
}

// work is what a wake is for: the type of its task, and the campaign's number
// or the channel's name.
type work struct{ task, of string }

func (w work) queue() string {
	if w.task == deliverTask {
		return deliverQueue
	}
	return applyQueue
}

// Workers do what they are woken for, for a while, and say whether there may be
// more. An error brings the wake back a few times.
type Workers struct {
	Apply   func(ctx context.Context, campaign int64) (more bool, err error)
	Deliver func(ctx context.Context, channel string) (more bool, err error) // nil: that is for other processes
}

func (w Workers) do(ctx context.Context, what work) (more bool, err error) {
	if what.task == deliverTask {
		return w.Deliver(ctx, what.of)
	}
	campaign, err := strconv.ParseInt(what.of, 10, 64)
	if err != nil {
		return false, fmt.Errorf("%w: payload is no campaign", asynq.SkipRetry)
	}
	return w.Apply(ctx, campaign)
}

// Open opens the queue at rawURL: "embedded" starts a Redis in this process,
// anything else is an address (see CheckAddress) that need not answer yet.
func Open(rawURL string, log *slog.Logger) (*Queue, error) {
	q := &Queue{log: log, waiting: map[work]bool{}, running: map[work]bool{}}
	if rawURL == Embedded {
		own, err := embedded.Start()
		if err != nil {
			return nil, err
		}
		q.own, rawURL = own, own.URL()
	}
	o, err := options(rawURL)
	if err != nil {
		return nil, err
	}
	quietRedis()
	q.redis = redis.NewUniversalClient(o)
	q.client = asynq.NewClientFromRedisClient(q.redis)
	q.inspector = asynq.NewInspectorFromRedisClient(q.redis)
	return q, nil
}

// Close ends the connections, and the embedded Redis with all it held. Let Run return first.
func (q *Queue) Close() error {
	err := q.redis.Close()
	if q.own != nil {
		q.own.Close()
	}
	return err
}

// Wake says that the campaign of this number has something to apply: after it
// returned nil, an apply begins that sees all that was committed before the
// call. An error (within about a second when Redis is away) is
// fault.Unavailable and does not undo anything: the sweep will find it.
func (q *Queue) Wake(ctx context.Context, campaign int64) error {
	return q.wake(ctx, work{applyTask, strconv.FormatInt(campaign, 10)})
}

// WakeChannel says that the channel of this name has something to send, as Wake does of a campaign.
func (q *Queue) WakeChannel(ctx context.Context, channel string) error {
	return q.wake(ctx, work{deliverTask, channel})
}

func (q *Queue) wake(ctx context.Context, what work) error {
	if q.own == nil {
		return q.enqueue(ctx, what)
	}
	// Under the lock, so that nobody counts on a wake that then fails.
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[what] {
		return nil
	}
	if err := q.enqueue(ctx, what); err != nil {
		return err
	}
	q.waiting[what] = true
	return nil
}

// enqueue gives no TaskID: a fixed one would be refused while the last task for
// the same work is still active, after that task's last look.
func (q *Queue) enqueue(ctx context.Context, what work) error {
	ctx, cancel := context.WithTimeout(ctx, wakeTimeout)
	defer cancel()
	task := asynq.NewTask(what.task, []byte(what.of))
	_, err := q.client.EnqueueContext(ctx, task, asynq.Queue(what.queue()), asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the queue does not answer: %v", err)
	}
	return nil
}

// Ping asks Redis for a sign of life.
func (q *Queue) Ping(ctx context.Context) error {
	if err := q.redis.Ping(ctx).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "redis does not answer: %v", err)
	}
	return nil
}

// Depth is how many wakes of campaigns wait or are being worked on, those to be tried again included.
func (q *Queue) Depth(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	info, err := q.inspector.GetQueueInfo(applyQueue)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return 0, nil // nothing was ever enqueued
	}
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "redis does not answer: %v", err)
	}
	return info.Pending + info.Active + info.Scheduled + info.Retry, nil
}

// Run hands wakes to workers, for up to concurrency campaigns and channels at a
// time and never twice at once for one of them here, until ctx ends. A wake for
// a campaign that is being applied makes its worker look once more instead of
// taking another worker. A worker goes on with a campaign as long as another
// worker is free; when none is, the campaign goes to the end of the queue. So
// it is with channels.
//
// When ctx ends no further wake is taken; running workers get two seconds to
// finish, then their context ends. Run returns within about three seconds, and
// within ten where Redis is away. Redis
// may be away at the start or go away in between: Run waits for it.
func (q *Queue) Run(ctx context.Context, concurrency int, workers Workers) error {
	queues := map[string]int{applyQueue: 1}
	if workers.Deliver != nil {
		queues[deliverQueue] = 1
	}
	base, cutShort := context.WithCancel(context.WithoutCancel(ctx))
	defer cutShort()
	var busy sync.WaitGroup
	server := asynq.NewServerFromRedisClient(q.redis, asynq.Config{
		Concurrency:              concurrency,
		Queues:                   queues,
		BaseContext:              func() context.Context { return base },
		TaskCheckInterval:        checkEvery,
		DelayedTaskCheckInterval: forwardEvery,
		ShutdownTimeout:          requeueAfter,
		RetryDelayFunc:           func(int, error, *asynq.Task) time.Duration { return retryDelay },
		IsFailure:                func(err error) bool { return !cutOff(err) },
		ErrorHandler:             asynq.ErrorHandlerFunc(q.failed),
		Logger:                   asynqLog{q.log},
		LogLevel:                 asynq.InfoLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		busy.Add(1)
		defer busy.Done()
		return q.work(ctx, work{task.Type(), string(task.Payload())}, concurrency, workers)
	}))
	if err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	<-ctx.Done()

	defer time.AfterFunc(cancelAfter, cutShort).Stop()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		server.Shutdown()
		busy.Wait() // asynq does not wait for a handler whose context has ended
	}()
	select {
	case <-drained:
		return nil
	case <-time.After(giveUpAfter):
		return fault.New(fault.Unavailable, "the workers did not stop within %s", giveUpAfter)
	}
}

// work is at one campaign or channel until there is nothing more and no wake for
// it came in the meantime, or until it is somebody else's turn.
func (q *Queue) work(ctx context.Context, what work, concurrency int, workers Workers) error {
	if !q.begin(what) {
		return nil
	}
	given := false
	defer func() {
		if !given { // an error or a panic; asynq brings this wake back, and with it all that came since
			q.give(what)
		}
	}()
	for began := time.Now(); ; {
		more, err := workers.do(ctx, what)
		if err != nil {
			return err
		}
		if !more {
			if given = q.end(what); given {
				return nil
			}
		}
		if q.crowded(concurrency) || time.Since(began) > longestTurn {
			break
		}
	}
	q.give(what)
	given = true
	return q.wake(ctx, what) // which also stands for the word that was left
}

// begin takes the work, or leaves word for the worker who has it.
func (q *Queue) begin(what work) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, what)
	if _, taken := q.running[what]; taken {
		q.running[what] = true
		return false
	}
	q.running[what] = false
	return true
}

// end gives the work back, unless word was left to look again.
func (q *Queue) end(what work) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[what] {
		q.running[what] = false
		return false
	}
	delete(q.running, what)
	return true
}

// give gives the work back, whatever word was left.
func (q *Queue) give(what work) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.running, what)
}

// crowded says whether all workers have something, so that others may wait.
func (q *Queue) crowded(concurrency int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.running) >= concurrency
}

// cutOff tells work that was stopped or took its whole time, under a long
// rush say, from one that failed: it is taken up again however often that was.
func cutOff(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (q *Queue) failed(_ context.Context, task *asynq.Task, err error) {
	if cutOff(err) {
		return
	}
	if task.Type() == deliverTask {
		q.log.Warn("sending failed", "channel", string(task.Payload()), "err", err)
		return
	}
	q.log.Warn("apply failed", "campaign", string(task.Payload()), "err", err)
}
