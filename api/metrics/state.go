package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"airmirror/api/events"
	"airmirror/mirror"
)

// Mirror is the source of the mirror's metrics. Package mirror/proxy implements it.
type Mirror interface {
	Counters() mirror.Counters
	Status() mirror.Status
}

// Sources are read during a scrape. The metrics of a nil source are not exported.
type Sources struct {
	Mirror Mirror
	// Store is surveyed in the background to measure its content.
	Store mirror.CollectStore
	// Space returns the size of the disk and its free space, in bytes.
	Space func() (total, free int64, err error)
	// Collection returns the result of the last garbage collection; nil if there was none.
	Collection func(context.Context) (*Collection, error)
	// InFlight returns the number of requests in flight.
	InFlight func() int64
	// Events returns the status of the event endpoints.
	Events func() []events.Status
	// CertificateExpires returns when the server's certificate expires.
	CertificateExpires func() time.Time
	// DroppedLogLines returns the number of log lines that were dropped.
	DroppedLogLines func() uint64
	// AuditFailures returns the number of entries that the audit log lacks.
	AuditFailures func() uint64
}

// Collection is the result of a garbage collection.
type Collection struct {
	Started time.Time
	Seconds float64
	Bytes   int64 // freed
	Failed  bool  // it ended with an error
}

// Watch adds the metrics of a mirror. It may be called once.
func (m *Metrics) Watch(s Sources) {
	m.registry.MustRegister(&state{Sources: s, log: m.log, sizes: newStoreSurvey(s.Store, m.log)})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	lookups    = desc("lookups_total", "Client requests for content by outcome: hit, stale or miss.", "kind", "outcome")
	wanted     = desc("wants_added_total", "Requests that added or repeated a want.")
	wants      = desc("wants", "Images that clients requested and that are not available.")
	downloads  = desc("downloads_in_progress", "Downloads from upstreams in progress.")
	incomplete = desc("incomplete_images", "Stored images, counted per stored platform, that are incomplete.")
	backfill   = desc("backfill_images", "Pulled images whose remaining content is still to be fetched.")
	mode       = desc("mode", "1 for the current mode.", "mode")
	readOnly   = desc("read_only", "1 if the mirror is read-only.")
	inFlight   = desc("http_requests_in_flight", "Requests in flight.")

	certificateExpiry = desc("tls_certificate_expires_timestamp_seconds", "Unix time at which the server's certificate expires.")

	droppedLogLines = desc("log_lines_dropped_total", "Log lines that were dropped because they could not be written, or not as fast as they came.")
	auditFailures   = desc("audit_entries_failed_total", "Entries that the audit log lacks because they could not be written.")

	upstreamDown     = desc("upstream_down", "1 if the upstream is down.", "host")
	upstreamFailures = desc("upstream_consecutive_failures", "Consecutive failures of an upstream.", "host")

	diskTotal = desc("disk_size_bytes", "Size of the disk with the content, in bytes.")
	diskFree  = desc("disk_free_bytes", "Free space on the disk with the content, in bytes.")

	collectedAt      = desc("gc_last_run_timestamp_seconds", "Unix time at which the last garbage collection started.")
	collectedSeconds = desc("gc_last_run_duration_seconds", "Duration of the last garbage collection.")
	collectedBytes   = desc("gc_last_run_freed_bytes", "Bytes freed by the last garbage collection.")
	collectedSuccess = desc("gc_last_run_success", "1 if the last garbage collection succeeded.")

	verifiedAt      = desc("verify_last_run_timestamp_seconds", "Unix time at which the last completed verification started.")
	verifiedBytes   = desc("verify_last_run_bytes", "Bytes read by the last verification.")
	verifiedDefects = desc("verify_last_run_defects", "Defects found by the last verification.")
	verifying       = desc("verify_running", "1 if a verification is running.")
)

// state is a [prometheus.Collector] that reads the sources.
type state struct {
	Sources
	log   *zap.Logger
	sizes *storeSurvey
}

// Describe implements [prometheus.Collector]. The set of metrics depends on the sources, so it describes only one.
func (s *state) Describe(ch chan<- *prometheus.Desc) { ch <- downloads }

// Collect implements [prometheus.Collector].
func (s *state) Collect(ch chan<- prometheus.Metric) {
	e := emitter(ch)
	if s.Mirror != nil {
		e.counters(s.Mirror.Counters())
		e.status(s.Mirror.Status())
	}
	if s.InFlight != nil {
		e.gauge(inFlight, float64(s.InFlight()))
	}
	if s.Events != nil {
		e.events(s.Events())
	}
	if s.CertificateExpires != nil {
		e.gauge(certificateExpiry, float64(s.CertificateExpires().Unix()))
	}
	if s.DroppedLogLines != nil {
		e.counter(droppedLogLines, s.DroppedLogLines())
	}
	if s.AuditFailures != nil {
		e.counter(auditFailures, s.AuditFailures())
	}
	if s.Space != nil {
		if total, free, err := s.Space(); err == nil {
			e.gauge(diskTotal, float64(total))
			e.gauge(diskFree, float64(free))
		}
	}
	if s.Collection != nil {
		e.collection(s.collected())
	}
	s.sizes.emit(e)
}

// collectionTimeout limits the time for reading the result of the last garbage collection.
const collectionTimeout = time.Second

func (s *state) collected() *Collection {
	ctx, cancel := context.WithTimeout(context.Background(), collectionTimeout)
	defer cancel()
	c, err := s.Collection(ctx)
	if err != nil {
		s.log.Warn("cannot read the result of the last garbage collection", zap.Error(err))
		return nil
	}
	return c
}

// emitter sends metrics to a collector's channel.
type emitter chan<- prometheus.Metric

func (e emitter) gauge(d *prometheus.Desc, value float64, labels ...string) {
	e <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (e emitter) counter(d *prometheus.Desc, value uint64, labels ...string) {
	e <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func (e emitter) boolean(d *prometheus.Desc, yes bool, labels ...string) {
	value := 0.
	if yes {
		value = 1
	}
	e.gauge(d, value, labels...)
}

func (e emitter) counters(c mirror.Counters) {
	for kind, o := range map[string]mirror.Outcomes{"manifest": c.Manifests, "blob": c.Blobs} {
		e.counter(lookups, o.Hits, kind, "hit")
		e.counter(lookups, o.Stale, kind, "stale")
		e.counter(lookups, o.Misses, kind, "miss")
	}
	e.counter(wanted, c.Wants)
}

func (e emitter) status(s mirror.Status) {
	e.gauge(downloads, float64(s.Downloads))
	if s.IncompleteError == "" {
		e.gauge(incomplete, float64(s.Incomplete))
	}
	e.gauge(backfill, float64(s.Backfill))
	e.gauge(wants, float64(s.Wants))
	for _, m := range []mirror.Mode{mirror.Auto, mirror.Online, mirror.Offline} {
		e.boolean(mode, m == s.Mode, string(m))
	}
	for _, u := range s.Upstreams {
		e.boolean(upstreamDown, u.Down, u.Host)
		e.gauge(upstreamFailures, float64(u.Failures), u.Host)
	}
	e.boolean(readOnly, s.ReadOnly)
	e.boolean(verifying, s.Verify.Running)
	if last := s.Verify.Last; last != nil {
		defects := 0
		for _, n := range last.Defects {
			defects += n
		}
		e.gauge(verifiedAt, float64(last.Started.Unix()))
		e.gauge(verifiedBytes, float64(last.Bytes))
		e.gauge(verifiedDefects, float64(defects))
	}
}

func (e emitter) collection(c *Collection) {
	if c == nil {
		return
	}
	e.gauge(collectedAt, float64(c.Started.Unix()))
	e.gauge(collectedSeconds, c.Seconds)
	e.gauge(collectedBytes, float64(c.Bytes))
	e.boolean(collectedSuccess, !c.Failed)
}
