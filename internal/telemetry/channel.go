package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// channelMetrics are the numbers of the channels beside the web.
type channelMetrics struct {
	pushes    *prometheus.CounterVec
	pushTook  prometheus.Histogram
	calls     *prometheus.CounterVec
	callsTook *prometheus.HistogramVec
	alarms    *prometheus.GaugeVec
}

func newChannelMetrics() channelMetrics {
	return channelMetrics{
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kfactor_channel_pushes_total", Help: "What platforms told us, by channel and what became of it: taken, repeated, ignored, failed, or refused and why.",
		}, []string{"channel", "result"}),
		pushTook: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kfactor_channel_push_seconds", Help: "Time until a push was on disk and answered.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 4, 5},
		}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kfactor_channel_calls_total", Help: "Calls of platforms, by channel, interface and the platform's code: 0 for success, none for no answer.",
		}, []string{"channel", "api", "code"}),
		callsTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kfactor_channel_call_seconds", Help: "Time until a platform answered, by interface.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"api"}),
		alarms: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kfactor_channel_alarm", Help: "1 while a platform refuses an account's calls and somebody has to look at it.",
		}, []string{"channel"}),
	}
}

func (c channelMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{c.pushes, c.pushTook, c.calls, c.callsTook, c.alarms}
}

// ChannelPush counts what a platform told us, by what became of it.
func (m *Metrics) ChannelPush(channel, result string) {
	if m == nil {
		return
	}
	m.channel.pushes.WithLabelValues(channel, result).Inc()
}

// ChannelPushTook counts how long a push took to be on disk and answered.
func (m *Metrics) ChannelPushTook(took time.Duration) {
	if m == nil {
		return
	}
	m.channel.pushTook.Observe(took.Seconds())
}

// ChannelCall counts a call of a platform's interface. api is its path without values; code is the platform's, and one
// that no platform has (below -1) stands for no answer.
func (m *Metrics) ChannelCall(channel, api string, code int, took time.Duration) {
	if m == nil {
		return
	}
	said := "none"
	if code >= -1 {
		said = strconv.Itoa(code)
	}
	m.channel.calls.WithLabelValues(channel, api, said).Inc()
	m.channel.callsTook.WithLabelValues(api).Observe(took.Seconds())
}

// ChannelAlarm shows whether a platform refuses an account's calls.
func (m *Metrics) ChannelAlarm(channel string, on bool) {
	if m == nil {
		return
	}
	value := 0.0
	if on {
		value = 1
	}
	m.channel.alarms.WithLabelValues(channel).Set(value)
}
