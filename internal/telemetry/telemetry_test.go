package telemetry_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kfactor/internal/telemetry"
)

// scrape gives what Prometheus would read.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()

	t.Run("WhatHappenedIsShown", func(t *testing.T) {
		t.Parallel()
		m := telemetry.New()
		m.EventsIn(3, 2, 1)
		m.Shed(4)
		m.Applied("credited", 20*time.Millisecond)
		m.Applied("credited", 2*time.Second)
		m.Applied("self_invite", -time.Second) // clocks of two machines
		m.Batch(300, 12*time.Millisecond)
		m.Poster("jpg", 9*time.Millisecond)
		m.Request(http.MethodGet, "/p/:code", 200, time.Millisecond)
		m.Request("BREW", "/p/:code", 405, time.Millisecond)
		depth := 5.0
		if err := m.QueueDepth("apply", func() float64 { return depth }); err != nil {
			t.Fatal(err)
		}
		depth = 7
		text := scrape(t, m)
		for _, want := range []string{
			`kfactor_events_in_total{result="accepted"} 3`,
			`kfactor_events_in_total{result="duplicate"} 2`,
			`kfactor_events_in_total{result="rejected"} 1`,
			`kfactor_events_in_total{result="shed"} 4`,
			`kfactor_events_applied_total{outcome="credited"} 2`,
			`kfactor_apply_latency_seconds_bucket{le="0.025"} 2`,
			`kfactor_apply_latency_seconds_count 3`,
			`kfactor_apply_batch_events_sum 300`,
			`kfactor_apply_batch_seconds_bucket{le="0.01"} 0`,
			`kfactor_poster_seconds_count{format="jpg"} 1`,
			`kfactor_http_requests_total{method="GET",route="/p/:code",status="200"} 1`,
			`kfactor_http_requests_total{method="other",route="/p/:code",status="405"} 1`,
			`kfactor_http_request_seconds_count{route="/p/:code"} 2`,
			`kfactor_queue_depth{queue="apply"} 7`,
			"go_goroutines ",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is missing", want)
			}
		}
	})

	t.Run("WhatHasNotHappenedIsZeroAndNotMissing", func(t *testing.T) {
		t.Parallel()
		if text := scrape(t, telemetry.New()); !strings.Contains(text, `kfactor_events_in_total{result="rejected"} 0`) {
			t.Error(text)
		}
	})

	t.Run("AQueueIsMeasuredOnceAndQueuesStandBesideEachOther", func(t *testing.T) {
		t.Parallel()
		m := telemetry.New()
		zero := func() float64 { return 0 }
		if err := m.QueueDepth("apply", zero); err != nil {
			t.Error(err)
		}
		if err := m.QueueDepth("outbox", zero); err != nil {
			t.Error(err)
		}
		if err := m.QueueDepth("apply", zero); err == nil || !strings.Contains(err.Error(), `"apply"`) {
			t.Errorf("twice: %v", err)
		}
	})

	t.Run("NilMetricsCountNothing", func(t *testing.T) {
		t.Parallel()
		var m *telemetry.Metrics
		m.EventsIn(1, 1, 1)
		m.Shed(1)
		m.Applied("credited", 0)
		m.Batch(1, 0)
		m.Poster("png", 0)
		m.Request(http.MethodGet, "/", 200, 0)
		if err := m.QueueDepth("apply", nil); err != nil {
			t.Error(err)
		}
		answer := httptest.NewRecorder()
		m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if answer.Code != http.StatusNotFound {
			t.Errorf("status %d", answer.Code)
		}
	})
}

func TestLogger(t *testing.T) {
	t.Parallel()

	t.Run("MachinesReadJSONLines", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		telemetry.Logger("info", &out, false).Info("ready", "addr", "127.0.0.1:8080")
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "ready" || line["addr"] != "127.0.0.1:8080" || line["level"] != "INFO" {
			t.Errorf("%s: %v", out.String(), err)
		}
	})

	t.Run("PeopleReadPlainLines", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		telemetry.Logger("info", &out, true).Info("ready", "addr", "127.0.0.1:8080")
		if !strings.Contains(out.String(), "level=INFO msg=ready addr=127.0.0.1:8080") {
			t.Error(out.String())
		}
	})

	t.Run("OnlyWhatIsGraveEnoughIsWritten", func(t *testing.T) {
		t.Parallel()
		for level, want := range map[string]string{"debug": "diwe", "info": "iwe", "warn": "we", "error": "e", "": "iwe"} {
			var out bytes.Buffer
			log := telemetry.Logger(level, &out, true)
			log.Debug("d")
			log.Info("i")
			log.Warn("w")
			log.Error("e")
			got := ""
			for line := range strings.Lines(out.String()) {
				_, message, _ := strings.Cut(strings.TrimSpace(line), "msg=")
				got += message
			}
			if got != want {
				t.Errorf("level %q wrote %q, want %q", level, got, want)
			}
		}
	})
}
