// Package telemetry is what operations see of a running kfactor: numbers for Prometheus
// and log lines. Nothing here names a person, a code or a campaign.
package telemetry

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the numbers of one process, in a registry of their own. A nil *Metrics
// counts nothing, so that code under test needs none.
type Metrics struct {
	registry     *prometheus.Registry
	in           *prometheus.CounterVec
	applied      *prometheus.CounterVec
	latency      prometheus.Histogram
	batch        prometheus.Histogram
	batchTook    prometheus.Histogram
	posters      *prometheus.HistogramVec
	messages     *prometheus.CounterVec
	requests     *prometheus.CounterVec
	requestsTook *prometheus.HistogramVec
	channel      channelMetrics
}

// New gives metrics that are all at zero, those of the Go runtime and the process included.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), channel: newChannelMetrics(),
		in: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kfactor_events_in_total", Help: "Events that came in: accepted, duplicate, rejected, or shed because intake was busy.",
		}, []string{"result"}),
		applied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kfactor_events_applied_total", Help: "Events applied to their campaign, by outcome.",
		}, []string{"outcome"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kfactor_apply_latency_seconds", Help: "Time from an event's acceptance until it was applied.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kfactor_apply_batch_events", Help: "Events applied in one transaction.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000},
		}),
		batchTook: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kfactor_apply_batch_seconds", Help: "Time one transaction of applied events took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		posters: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kfactor_poster_seconds", Help: "Time it took to draw and encode a poster, by format.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"format"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kfactor_messages_total", Help: "Messages that people were owed, by what became of them: owed, sent, waiting (each time), merged or unsent.",
		}, []string{"state"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kfactor_http_requests_total", Help: "HTTP requests by method, route pattern and status.",
		}, []string{"method", "route", "status"}),
		requestsTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kfactor_http_request_seconds", Help: "Time until an HTTP request was answered, by route pattern.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.channel.all()...)
	// What has not happened yet shows as zero rather than as missing, which alerts cannot tell from broken.
	for _, result := range []string{"accepted", "duplicate", "rejected", "shed"} {
		m.in.WithLabelValues(result)
	}
	for _, state := range []string{"owed", "sent", "waiting", "merged", "unsent"} {
		m.messages.WithLabelValues(state)
	}
	m.registry.MustRegister(m.in, m.applied, m.latency, m.batch, m.batchTook, m.posters, m.messages, m.requests, m.requestsTook,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// EventsIn counts events from outside by what became of them at the door.
func (m *Metrics) EventsIn(accepted, duplicates, rejected int) {
	if m == nil {
		return
	}
	m.in.WithLabelValues("accepted").Add(float64(accepted))
	m.in.WithLabelValues("duplicate").Add(float64(duplicates))
	m.in.WithLabelValues("rejected").Add(float64(rejected))
}

// Shed counts events from outside that were put off because too many waited already.
func (m *Metrics) Shed(events int) {
	if m == nil {
		return
	}
	m.in.WithLabelValues("shed").Add(float64(events))
}

// Applied counts an event that was applied with this outcome, latency after its acceptance.
func (m *Metrics) Applied(outcome string, latency time.Duration) {
	if m == nil {
		return
	}
	m.applied.WithLabelValues(outcome).Inc()
	m.latency.Observe(max(latency, 0).Seconds())
}

// Batch counts a transaction that applied this many events.
func (m *Metrics) Batch(events int, took time.Duration) {
	if m == nil {
		return
	}
	m.batch.Observe(float64(events))
	m.batchTook.Observe(took.Seconds())
}

// Poster counts a poster that was drawn in this format, such as jpg.
func (m *Metrics) Poster(format string, took time.Duration) {
	if m == nil {
		return
	}
	m.posters.WithLabelValues(format).Observe(took.Seconds())
}

// Messages counts messages that came into a state, such as sent.
func (m *Metrics) Messages(state string, messages int) {
	if m == nil || messages == 0 {
		return
	}
	m.messages.WithLabelValues(state).Add(float64(messages))
}

// Request counts an answered HTTP request. route is the pattern, such as /p/:code, never
// the path: a path is a new series each, and holds codes.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(known(method), route, strconv.Itoa(status)).Inc()
	m.requestsTook.WithLabelValues(route).Observe(took.Seconds())
}

// QueueDepth shows how much waits in a queue, asked whenever the metrics are read. depth
// gives math.NaN when it cannot tell, and must not wait for long. A queue is added once.
func (m *Metrics) QueueDepth(queue string, depth func() float64) error {
	if m == nil {
		return nil
	}
	err := m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kfactor_queue_depth", Help: "What waits to be worked on, by queue.",
		ConstLabels: prometheus.Labels{"queue": queue},
	}, depth))
	if errors.As(err, &prometheus.AlreadyRegisteredError{}) {
		return fmt.Errorf("the depth of queue %q is measured already", queue)
	}
	return err
}

// Handler answers with the metrics in the format that Prometheus asks for; 404 for nil metrics.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
	})
}

// known keeps a client from making a series of each method it invents.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
