package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"kfactor/api"
	"kfactor/internal/fault"
	"kfactor/internal/queue"
	"kfactor/internal/settings"
)

// How long each part of an ending may take; together they stay under the 15 seconds that a stopping server has.
const (
	noticeTime = time.Second     // readiness says no, so that load balancers look elsewhere
	answerTime = 8 * time.Second // requests under way are answered
	applyTime  = 4 * time.Second // batches under way are written; what is left is on disk for the next start
)

// Limits of a connection. Exports, which take longer than writeTime, move their own deadline on as they write.
const (
	headerTime = 5 * time.Second
	readTime   = time.Minute
	writeTime  = time.Minute
	idleTime   = 2 * time.Minute
	maxHeader  = 32 << 10 // bytes
)

// The parts of a server that may run apart.
const (
	roleAPI    = "api"
	roleWorker = "worker"
)

func (a *app) serveCommand() *cobra.Command {
	var roles []string
	var migrateFirst bool
	cmd := &cobra.Command{
		Use: "serve", Short: "The server: API, pages and workers in one process, or split by --role",
		Long: "Serves until SIGTERM or Ctrl-C, then answers what is under way and ends. With no settings everything is kept in\n" +
			"the data directory; with MySQL and Redis any number of processes may serve together.",
		Example: "  kfactor serve\n  kfactor serve --config kfactor.yaml --role worker",
		Args:    noMore,
		PreRunE: func(*cobra.Command, []string) error { return checkRoles(roles, a.settings) },
		RunE: a.do(func(ctx context.Context, _ []string) error {
			return a.serve(ctx, roles, whenBehind(migrateFirst))
		}),
	}
	cmd.Flags().StringSliceVar(&roles, "role", []string{roleAPI, roleWorker}, "what this process does: api, worker or both")
	cmd.Flags().BoolVar(&migrateFirst, "migrate", false, "bring the schema on MySQL up to date first")
	return cmd
}

func checkRoles(roles []string, s settings.Settings) error {
	for _, role := range roles {
		if role != roleAPI && role != roleWorker {
			return usage("--role: %q is not a role; write api, worker or api,worker", role)
		}
	}
	if len(roles) == 0 {
		return usage("--role: name at least one of api and worker")
	}
	both := slices.Contains(roles, roleAPI) && slices.Contains(roles, roleWorker)
	if !both && s.RedisURL == queue.Embedded {
		return usage("--role %s: processes that share the work need a Redis between them; set KFACTOR_REDIS_URL", roles[0])
	}
	return nil
}

// garbagePercent is how much a server's memory may grow by garbage before it is looked for. What a server holds is small
// against what passes through it, and with Go's own 100 a tenth of its processor time went into looking.
const garbagePercent = 300

// serve opens everything in order, works until ctx ends, and closes everything in the order back.
func (a *app) serve(ctx context.Context, roles []string, behind whenBehind) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	log := a.logger()
	listener, err := listen(ctx, a.settings.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	link := a.settings.Link(listener.Addr())

	h, err := openHouse(ctx, a.settings, link, log, behind, true)
	if err != nil {
		return err
	}
	defer h.closeLogged(log)
	srv, err := newServer(h, link, log, slices.Contains(roles, roleAPI))
	if err != nil {
		return err
	}
	if err := a.welcome(ctx, h, link, roles); err != nil {
		return err
	}
	return srv.run(ctx, listener, slices.Contains(roles, roleWorker))
}

// listen takes the address, before anything else is opened: it is what goes wrong most often.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		cause := err
		if op, ok := errors.AsType[*net.OpError](err); ok {
			cause = op.Err
		}
		return nil, fmt.Errorf("cannot listen on %s: %w; set another address with --addr or KFACTOR_ADDR", addr, cause)
	}
	return l, nil
}

// welcome says where the server is, and on a first start how to get in.
func (a *app) welcome(ctx context.Context, h *house, link string, roles []string) error {
	keys, err := h.engine.Keys(ctx)
	if err != nil {
		return err
	}
	said := fmt.Sprintf("kfactor serves %s (%s)\n", link, strings.Join(roles, ", "))
	if len(keys) == 0 {
		said += "There is no API key yet. Make one with: kfactor key create --role owner\n"
	}
	_, err = io.WriteString(a.stdout, said)
	return err
}

// server is the house at work.
type server struct {
	house    *house
	log      *slog.Logger
	http     *http.Server
	notice   time.Duration // between not being ready and taking no more connections
	draining atomic.Bool
}

func newServer(h *house, link string, log *slog.Logger, wholeAPI bool) (*server, error) {
	surface, err := api.New(api.Config{Engine: h.engine, Metrics: h.metrics, Log: log, PublicURL: link, Secret: h.secret, TrustedProxies: h.proxies, WeChat: h.channels})
	if err != nil {
		return nil, err
	}
	if err := h.metrics.QueueDepth("wakes", h.queueDepth); err != nil {
		return nil, err
	}
	if err := h.metrics.QueueDepth("intake", func() float64 { return float64(h.engine.Waiting()) }); err != nil {
		return nil, err
	}
	s := &server{house: h, log: log, notice: noticeTime}
	s.http = &http.Server{
		Handler:           s.door(surface, wholeAPI),
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients that break off
	}
	return s, nil
}

// queueDepth is how many wakes wait; not a number when Redis does not say.
func (h *house) queueDepth() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n, err := h.queue.Depth(ctx)
	if err != nil {
		return math.NaN()
	}
	return float64(n)
}

// door stands before the whole surface: a draining process is not ready, and one that only works for the queue
// answers operations alone.
func (s *server) door(surface http.Handler, wholeAPI bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/readyz" && s.draining.Load():
			w.Header().Set("Connection", "close")
			http.Error(w, "this process is ending", http.StatusServiceUnavailable)
		case !wholeAPI && !slices.Contains([]string{"/healthz", "/readyz", "/metrics"}, r.URL.Path):
			http.Error(w, "this process only works for the queue; ask one that serves with --role api", http.StatusNotFound)
		default:
			surface.ServeHTTP(w, r)
		}
	})
}

// run serves on the listener and, where it is to, works for the queue, until ctx ends or one of the two fails. Then
// it tells load balancers, answers what is under way, writes what is under way, and returns.
func (s *server) run(ctx context.Context, listener net.Listener, worker bool) error {
	failed := make(chan error, 3)
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve: %w", err)
		}
	}()
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		if !worker {
			return
		}
		var all sync.WaitGroup
		defer all.Wait()
		if s.house.channels != nil {
			all.Go(func() {
				if err := s.house.channels.Run(working); err != nil && working.Err() == nil {
					failed <- fmt.Errorf("channels: %w", err)
				}
			})
		}
		if err := s.house.engine.Run(working); err != nil && working.Err() == nil {
			failed <- fmt.Errorf("work: %w", err)
		}
	}()
	s.log.Info("ready", "addr", listener.Addr().String())

	var err error
	select {
	case <-ctx.Done():
		s.log.Info("ending")
	case err = <-failed:
	}

	s.draining.Store(true)
	if err == nil {
		time.Sleep(s.notice)
	}
	answering, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if late := s.http.Shutdown(answering); late != nil {
		s.log.Warn("cut off requests that took too long", "err", late)
		s.http.Close()
	}
	stopWork()
	select {
	case <-worked:
	case <-time.After(applyTime):
		s.log.Warn("left batches to the next start; their events are on disk")
	}
	s.log.Info("ended")
	return err
}

// closeLogged closes the house of a process that has nothing more to tell a caller.
func (h *house) closeLogged(log *slog.Logger) {
	if err := h.close(); err != nil && fault.KindOf(err) != fault.Unavailable {
		log.Error("close", "err", err)
	}
}
