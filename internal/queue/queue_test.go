package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"kfactor/internal/fault"
	"kfactor/internal/queue"
	"kfactor/internal/services"
)

// TestMain sees that nothing goes on running, the servers apart that all tests share.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("kfactor/internal/services.startProcess.func1"),
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"))
}

const patience = 20 * time.Second

func open(t *testing.T, address string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(address, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// run starts workers and gives what stops them and waits; the test's end does too.
func run(t *testing.T, q *queue.Queue, concurrency int, apply func(context.Context, int64) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Run(ctx, concurrency, queue.Workers{
			Apply: func(ctx context.Context, campaign int64) (bool, error) { return false, apply(ctx, campaign) },
		})
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return errors.New("Run did not return")
		}
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

func within(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}

func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("after %s still not: %s", patience, what)
		panic("unreachable")
	}
}

// eachRedis runs fn on the embedded Redis and on a real one.
func eachRedis(t *testing.T, fn func(t *testing.T, q *queue.Queue)) {
	t.Helper()
	t.Run("Embedded", func(t *testing.T) {
		t.Parallel()
		fn(t, open(t, queue.Embedded))
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		fn(t, open(t, services.Redis(t)))
	})
}

func TestWake(t *testing.T) {
	t.Parallel()

	t.Run("AfterAWakeSomeoneLooksAtAllThatWasThereBefore", func(t *testing.T) {
		t.Parallel()
		eachRedis(t, func(t *testing.T, q *queue.Queue) {
			// Each campaign's journal is a counter; apply moves its position to it.
			const campaigns, wakers, times = 3, 4, 40
			var journal, position [campaigns]atomic.Int64
			var atOnce [campaigns]atomic.Int32
			run(t, q, 4, func(_ context.Context, campaign int64) error {
				if atOnce[campaign].Add(1) > 1 {
					t.Errorf("campaign %d is applied twice at once", campaign)
				}
				defer atOnce[campaign].Add(-1)
				position[campaign].Store(journal[campaign].Load())
				return nil
			})
			var all sync.WaitGroup
			for range wakers {
				all.Go(func() {
					for i := range times * campaigns {
						journal[i%campaigns].Add(1)
						if err := q.Wake(t.Context(), int64(i%campaigns)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			for c := range campaigns {
				within(t, fmt.Sprintf("campaign %d has applied all", c), func() bool { return position[c].Load() == wakers*times })
			}
			within(t, "the queue is empty", func() bool {
				depth, err := q.Depth(t.Context())
				return err == nil && depth == 0
			})
		})
	})

	t.Run("AWakeDuringAnApplyLeadsToAnotherAndTakesNoOtherWorker", func(t *testing.T) {
		t.Parallel()
		eachRedis(t, func(t *testing.T, q *queue.Queue) {
			began, goOn := make(chan int64), make(chan struct{})
			run(t, q, 2, func(_ context.Context, campaign int64) error {
				select {
				case began <- campaign:
				case <-t.Context().Done():
				}
				if campaign == 1 {
					<-goOn
				}
				return nil
			})
			wake := func(campaign int64) {
				t.Helper()
				if err := q.Wake(t.Context(), campaign); err != nil {
					t.Fatal(err)
				}
			}
			wake(1)
			receive(t, "campaign 1 is applied", began)
			for range 5 {
				wake(1)
				wake(2) // the second worker stays free for others
				if c := receive(t, "campaign 2 is applied", began); c != 2 {
					t.Fatalf("campaign %d began", c)
				}
			}
			goOn <- struct{}{}
			if c := receive(t, "campaign 1 is applied again", began); c != 1 {
				t.Fatalf("campaign %d began", c)
			}
			close(goOn)
			within(t, "the queue is empty", func() bool {
				select {
				case <-began: // should a wake be looked at more than once, that is fine
				default:
				}
				depth, err := q.Depth(t.Context())
				return err == nil && depth == 0
			})
		})
	})

	t.Run("AChannelIsWokenBesideCampaignsByWhoeverSendsForIt", func(t *testing.T) {
		t.Parallel()
		eachRedis(t, func(t *testing.T, q *queue.Queue) {
			applied, delivered := make(chan int64, 1), make(chan string, 1)
			apply := func(_ context.Context, campaign int64) error {
				applied <- campaign
				return nil
			}
			stop := run(t, q, 1, apply)
			if err := errors.Join(q.WakeChannel(t.Context(), "1"), q.Wake(t.Context(), 1)); err != nil {
				t.Fatal(err)
			}
			receive(t, "campaign 1 is applied", applied)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- q.Run(ctx, 1, queue.Workers{
					Apply: func(ctx context.Context, campaign int64) (bool, error) { return false, apply(ctx, campaign) },
					Deliver: func(_ context.Context, channel string) (bool, error) {
						delivered <- channel
						return false, nil
					},
				})
			}()
			if got := receive(t, "channel 1 is sent for", delivered); got != "1" {
				t.Errorf("it was channel %q", got)
			}
			cancel()
			if err := receive(t, "the workers stop", ended); err != nil {
				t.Error(err)
			}
		})
	})

	t.Run("AnApplyThatFailsOrPanicsIsTriedAgain", func(t *testing.T) {
		t.Parallel()
		eachRedis(t, func(t *testing.T, q *queue.Queue) {
			var tries atomic.Int32
			run(t, q, 1, func(context.Context, int64) error {
				switch tries.Add(1) {
				case 1:
					return errors.New("not today")
				case 2:
					panic("oh")
				}
				return nil
			})
			if err := q.Wake(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
			within(t, "tried three times", func() bool { return tries.Load() == 3 })
		})
	})

	t.Run("WithoutRedisItFailsSoonAndSoDoesPing", func(t *testing.T) {
		t.Parallel()
		silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never says a word
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent.Close() }()
		for _, address := range []string{"redis://127.0.0.1:1", "redis://" + silent.Addr().String(), "redis-cluster://127.0.0.1:1", "redis-sentinel://127.0.0.1:1?master=m"} {
			q := open(t, address)
			began := time.Now()
			if err := q.Wake(t.Context(), 1); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s: %v", address, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s: Wake took %s", address, took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := q.Ping(ctx); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s: %v", address, err)
			}
			cancel()
		}
	})
}

func TestRun(t *testing.T) {
	t.Parallel()

	t.Run("AnApplyThatIsAtItMayFinish", func(t *testing.T) {
		t.Parallel()
		q := open(t, queue.Embedded)
		began, goOn := make(chan struct{}), make(chan struct{})
		var finished atomic.Bool
		stop := run(t, q, 1, func(ctx context.Context, _ int64) error {
			close(began)
			<-goOn
			finished.Store(ctx.Err() == nil)
			return nil
		})
		if err := q.Wake(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		receive(t, "it began", began)
		time.AfterFunc(100*time.Millisecond, func() { close(goOn) })
		if err := stop(); err != nil || !finished.Load() {
			t.Fatalf("%v, finished undisturbed: %v", err, finished.Load())
		}
	})

	t.Run("AnApplyThatTakesTooLongIsCutShortWithinTenSeconds", func(t *testing.T) {
		t.Parallel()
		address := services.Redis(t)
		q := open(t, address)
		began := make(chan struct{})
		var ended atomic.Bool
		stop := run(t, q, 1, func(ctx context.Context, _ int64) error {
			close(began)
			<-ctx.Done()
			ended.Store(true)
			return ctx.Err()
		})
		if err := q.Wake(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		receive(t, "it began", began)
		start := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Minute || !ended.Load() {
			t.Errorf("took %s, and apply has ended: %v", took, ended.Load())
		}

		// Its wake is not lost: the next to start takes it up.
		again := make(chan int64, 1)
		next := open(t, address)
		run(t, next, 1, func(_ context.Context, campaign int64) error {
			again <- campaign
			return nil
		})
		if c := receive(t, "the next worker takes the wake up", again); c != 1 {
			t.Errorf("campaign %d", c)
		}
	})

	t.Run("RedisMayComeLateGoAwayAndComeBack", func(t *testing.T) {
		t.Parallel()
		services.Redis(t) // skips where there is none to be had
		server, err := services.StartRedis()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Stop()
		server.Kill()

		q := open(t, server.URL())
		applied := make(chan int64, 100)
		run(t, q, 2, func(_ context.Context, campaign int64) error {
			applied <- campaign
			return nil
		})
		for round := range int64(2) {
			if err := q.Wake(t.Context(), round); fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("without redis: %v", err)
			}
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
			within(t, "a wake is taken again", func() bool { return q.Wake(t.Context(), round) == nil })
			if c := receive(t, "it is worked on again", applied); c != round {
				t.Fatalf("campaign %d", c)
			}
			server.Kill()
		}
	})

	t.Run("WhatFailsIsLoggedWithoutAWordOnTheRest", func(t *testing.T) {
		t.Parallel()
		var out locked
		q, err := queue.Open(queue.Embedded, slog.New(slog.NewTextHandler(&out, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = q.Close() }()
		stop := run(t, q, 1, func(context.Context, int64) error { return errors.New("no such table") })
		if err := q.Wake(t.Context(), 12); err != nil {
			t.Fatal(err)
		}
		within(t, "it is logged", func() bool { return strings.Contains(out.String(), "no such table") })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if !strings.Contains(line, "campaign=12") {
				t.Errorf("logged: %s", line)
			}
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()

	wakes := func(t *testing.T, address string) {
		t.Helper()
		q := open(t, address)
		applied := make(chan int64, 1)
		run(t, q, 1, func(_ context.Context, campaign int64) error {
			applied <- campaign
			return nil
		})
		within(t, "redis answers", func() bool { return q.Ping(t.Context()) == nil })
		if err := q.Wake(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if c := receive(t, "the wake is worked on", applied); c != 5 {
			t.Fatalf("campaign %d", c)
		}
	}
	start := func(t *testing.T, flags ...string) *services.RedisServer {
		t.Helper()
		services.Redis(t) // skips where there is none to be had
		server, err := services.StartRedis(flags...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		return server
	}

	t.Run("AServerWithUserAndPassword", func(t *testing.T) {
		t.Parallel()
		server := start(t)
		admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
		defer func() { _ = admin.Close() }()
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "worker", "on", ">p@ss/w:rd?#", "allkeys", "allchannels", "+@all").Err(); err != nil {
			t.Fatal(err)
		}
		wakes(t, "redis://worker:p%40ss%2Fw%3Ard%3F%23@"+server.Addr()+"/3")
	})

	t.Run("ACluster", func(t *testing.T) {
		t.Parallel()
		server := start(t, "--cluster-enabled", "yes", "--databases", "1")
		admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
		defer func() { _ = admin.Close() }()
		if err := admin.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
			t.Fatal(err)
		}
		within(t, "the cluster is whole", func() bool {
			info, err := admin.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok")
		})
		wakes(t, "redis-cluster://"+server.Addr()+","+server.Addr())
	})

	t.Run("ASentinel", func(t *testing.T) {
		t.Parallel()
		server := start(t)
		sentinel, err := services.StartSentinel()
		if err != nil {
			t.Fatal(err)
		}
		defer sentinel.Stop()
		host, port, err := net.SplitHostPort(server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		admin := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr()})
		defer func() { _ = admin.Close() }()
		if err := admin.Monitor(t.Context(), "mymaster", host, port, "1").Err(); err != nil {
			t.Fatal(err)
		}
		wakes(t, "redis-sentinel://"+sentinel.Addr()+"/0?master=mymaster")
	})
}

// locked is a buffer that several may write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
