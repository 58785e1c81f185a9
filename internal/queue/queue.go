// Package queue tells workers, in this process or another, that a campaign has
// something to apply. A wake is a hint that carries the campaign's number and
// nothing else: the facts are in the database, and whoever sweeps it gives again
// any wake that Redis has lost.
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
	queueName = "apply"
	taskType  = "campaign:apply"

	wakeTimeout  = time.Second     // callers wait for it, and the sweep is there
	applyTimeout = 2 * time.Minute // of one task; what is left is for the next
	longestTurn  = applyTimeout / 4
	maxRetry     = 3
	retryDelay   = time.Second
	checkEvery   = 20 * time.Millisecond // of an idle worker
	forwardEvery = time.Second           // of tasks that wait to be tried again

	cancelAfter  = 2 * time.Second // from the order to stop until running applies are cut short
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
	// waiting holds the campaigns with a wake that no worker has begun. Only on
	// the embedded Redis: of another one's tasks this process does not see the begin.
	waiting map[int64]bool
	// running holds the campaigns that a worker here applies now, true when a
	// wake came since and it must look again.
	running map[int64]bool
}

// Open opens the queue at rawURL: "embedded" starts a Redis in this process,
// anything else is an address (see CheckAddress) that need not answer yet.
func Open(rawURL string, log *slog.Logger) (*Queue, error) {
	q := &Queue{log: log, waiting: map[int64]bool{}, running: map[int64]bool{}}
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
	if q.own == nil {
		return q.enqueue(ctx, campaign)
	}
	// Under the lock, so that nobody counts on a wake that then fails.
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[campaign] {
		return nil
	}
	if err := q.enqueue(ctx, campaign); err != nil {
		return err
	}
	q.waiting[campaign] = true
	return nil
}

// enqueue gives no TaskID: a fixed one would be refused while the campaign's
// last task is still active, after that task's last look.
func (q *Queue) enqueue(ctx context.Context, campaign int64) error {
	ctx, cancel := context.WithTimeout(ctx, wakeTimeout)
	defer cancel()
	task := asynq.NewTask(taskType, strconv.AppendInt(nil, campaign, 10))
	_, err := q.client.EnqueueContext(ctx, task, asynq.Queue(queueName), asynq.MaxRetry(maxRetry), asynq.Timeout(applyTimeout))
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

// Depth is how many wakes wait or are being worked on, those to be tried again included.
func (q *Queue) Depth(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	info, err := q.inspector.GetQueueInfo(queueName)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return 0, nil // nothing was ever enqueued
	}
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "redis does not answer: %v", err)
	}
	return info.Pending + info.Active + info.Scheduled + info.Retry, nil
}

// Run hands wakes to apply, for up to concurrency campaigns at a time and never
// twice at once for one campaign here, until ctx ends. apply works on a
// campaign for a while and says whether there may be more; a wake for a
// campaign that is being applied makes its worker look once more instead of
// taking another worker. A worker goes on with a campaign as long as another
// worker is free; when none is, the campaign goes to the end of the queue. An
// error from apply brings the wake back a few times.
//
// When ctx ends no further wake is taken; running applies get two seconds to
// finish, then their context ends. Run returns within about three seconds, and
// within ten where Redis is away. Redis
// may be away at the start or go away in between: Run waits for it.
func (q *Queue) Run(ctx context.Context, concurrency int, apply func(ctx context.Context, campaign int64) (more bool, err error)) error {
	base, cutShort := context.WithCancel(context.WithoutCancel(ctx))
	defer cutShort()
	var busy sync.WaitGroup
	server := asynq.NewServerFromRedisClient(q.redis, asynq.Config{
		Concurrency:              concurrency,
		Queues:                   map[string]int{queueName: 1},
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
		campaign, err := strconv.ParseInt(string(task.Payload()), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: payload is no campaign", asynq.SkipRetry)
		}
		return q.work(ctx, campaign, concurrency, apply)
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

// work applies one campaign until there is nothing more and no wake for it came
// in the meantime, or until it is somebody else's turn.
func (q *Queue) work(ctx context.Context, campaign int64, concurrency int, apply func(context.Context, int64) (bool, error)) error {
	if !q.begin(campaign) {
		return nil
	}
	given := false
	defer func() {
		if !given { // an error or a panic; asynq brings this wake back, and with it all that came since
			q.give(campaign)
		}
	}()
	for began := time.Now(); ; {
		more, err := apply(ctx, campaign)
		if err != nil {
			return err
		}
		if !more {
			if given = q.end(campaign); given {
				return nil
			}
		}
		if q.crowded(concurrency) || time.Since(began) > longestTurn {
			break
		}
	}
	q.give(campaign)
	given = true
	return q.Wake(ctx, campaign) // which also stands for the word that was left
}

// begin takes the campaign, or leaves word for the worker who has it.
func (q *Queue) begin(campaign int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, campaign)
	if _, taken := q.running[campaign]; taken {
		q.running[campaign] = true
		return false
	}
	q.running[campaign] = false
	return true
}

// end gives the campaign back, unless word was left to look again.
func (q *Queue) end(campaign int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[campaign] {
		q.running[campaign] = false
		return false
	}
	delete(q.running, campaign)
	return true
}

// give gives the campaign back, whatever word was left.
func (q *Queue) give(campaign int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.running, campaign)
}

// crowded says whether all workers have a campaign, so that others may wait.
func (q *Queue) crowded(concurrency int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.running) >= concurrency
}

// cutOff tells an apply that was stopped or took its whole time, under a long
// rush say, from one that failed: it is taken up again however often that was.
func cutOff(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (q *Queue) failed(_ context.Context, task *asynq.Task, err error) {
	if cutOff(err) {
		return
	}
	q.log.Warn("apply failed", "campaign", string(task.Payload()), "err", err)
}
