package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"airmirror/api/events"
	"airmirror/mirror"
)

// Mirror is what metrics are read from. Package mirror/proxy implements it.
type Mirror interface {
	Counters() mirror.Counters
	Status() mirror.Status
}

// Sources are what is read when metrics are asked for. What is nil has no metrics.
type Sources struct {
	Mirror Mirror
	// Store is surveyed now and then for how much it holds.
	Store mirror.CollectStore
	// Space returns how large the disk is and how much of it is free, in bytes.
	Space func() (total, free int64, err error)
	// Collection returns what the last run of the collector did; nil if there was none.
	Collection func(context.Context) (*Collection, error)
	// InFlight is how many requests are being answered.
	InFlight func() int64
	// Events returns how the endpoints of events are doing.
	Events func() []events.Status
	// CertificateExpires is until when the certificate is valid that clients are served with.
	CertificateExpires func() time.Time
}

// Collection is what a run of the collector did.
type Collection struct {
	Started time.Time
	Seconds float64
	Bytes   int64 // freed
	Failed  bool  // it ended early
}

// Watch adds the metrics of a mirror. Call it once.
func (m *Metrics) Watch(s Sources) {
	m.registry.MustRegister(&state{Sources: s, log: m.log, sizes: newStoreSurvey(s.Store, m.log)})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	lookups    = desc("lookups_total", "What became of what clients asked for: hit, stale or miss.", "kind", "outcome")
	wanted     = desc("wants_added_total", "Times that something could not be given, but may be another time.")
	wants      = desc("wants", "What clients asked for and could not be given, until it can be.")
	downloads  = desc("flights", "Transfers from upstreams that are under way.")
	incomplete = desc("incomplete_images", "Images, for each platform that is stored, that lack something: those that are listed as incomplete.")
	backfill   = desc("backfill_images", "Images that were pulled and of which the rest is still to be fetched.")
	mode       = desc("mode", "1 for the mode that the mirror is in.", "mode")
	readOnly   = desc("read_only", "Whether nothing is written.")
	inFlight   = desc("http_requests_in_flight", "Requests that are being answered.")

	certificateExpiry = desc("tls_certificate_expires_timestamp_seconds", "Until when the certificate is valid that clients are served with, in Unix time.")

	upstreamDown     = desc("upstream_gone", "Whether an upstream counts as gone.", "host")
	upstreamFailures = desc("upstream_failures", "Failures of an upstream one after another, up to now.", "host")

	diskTotal = desc("disk_size_bytes", "Size of the disk that content is on.")
	diskFree  = desc("disk_free_bytes", "How much of it may still be filled.")

	collectedAt      = desc("gc_last_run_timestamp_seconds", "When the last collection began, in Unix time.")
	collectedSeconds = desc("gc_last_run_seconds", "How long the last collection took.")
	collectedBytes   = desc("gc_last_run_freed_bytes", "What the last collection freed.")
	collectedSuccess = desc("gc_last_run_ok", "Whether the last collection came to its end.")

	verifiedAt      = desc("verify_last_run_timestamp_seconds", "When the last verification that came to its end began, in Unix time.")
	verifiedBytes   = desc("verify_last_run_bytes", "How much the last verification read.")
	verifiedDefects = desc("verify_last_run_flaws", "What the last verification found.")
	verifying       = desc("verify_running", "Whether a verification is under way.")
)

// state is a [prometheus.Collector] of what is there to be read.
type state struct {
	Sources
	log   *zap.Logger
	sizes *storeSurvey
}

// Describe implements [prometheus.Collector]: which metrics there are depends on the state.
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

// collectionTimeout is how long it may take to read what the collector did.
const collectionTimeout = time.Second

func (s *state) collected() *Collection {
	ctx, cancel := context.WithTimeout(context.Background(), collectionTimeout)
	defer cancel()
	c, err := s.Collection(ctx)
	if err != nil {
		s.log.Warn("cannot tell what the last collection did", zap.Error(err))
		return nil
	}
	return c
}

// emitter is where metrics go.
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
		flaws := 0
		for _, n := range last.Defects {
			flaws += n
		}
		e.gauge(verifiedAt, float64(last.Started.Unix()))
		e.gauge(verifiedBytes, float64(last.Bytes))
		e.gauge(verifiedDefects, float64(flaws))
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
