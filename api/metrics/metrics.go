// Package metrics exports Prometheus metrics. Frequent events are counted when they happen, without locks. Other values
// are read during a scrape. Labels never have values that clients choose, such as repositories.
package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"go.uber.org/zap"
)

const namespace = "mirror"

// Metrics are the metrics of one mirror. It is safe for concurrent use.
type Metrics struct {
	registry  *prometheus.Registry
	requests  requests
	upstreams upstreams
	log       *zap.Logger
}

// New returns metrics without a mirror: see [Metrics.Watch]. version is the version of the program.
func New(version string, log *zap.Logger) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequests(), upstreams: newUpstreams(), log: log}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Version of the mirror and of Go. The value is always 1.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.requests.collectors()...)
	m.registry.MustRegister(m.upstreams.collectors()...)
	return m
}

// Handler serves all metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(m.log), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}
