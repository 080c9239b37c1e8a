package metrics

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// surveyInterval is the least time between two surveys of the store, which take a while if there is much content.
const surveyInterval = 5 * time.Minute

var (
	storeBytes = desc("store_bytes", "Bytes of stored content by origin. Content of several repositories counts as imported, else as pushed, else as mirrored; content of none is unused.", "origin")
	storeFiles = desc("store_files", "Stored blobs and manifests by origin, as in store_bytes.", "origin")
	storeTags  = desc("store_tags", "Tags by origin.", "origin")
	storeRepos = desc("store_repositories", "Repositories by origin.", "origin")
	surveyedAt = desc("store_surveyed_timestamp_seconds", "Unix time of the last survey of the store.")
)

// storeSurvey is the result of the last survey of a store. A scrape starts a new one in the background if it is old.
type storeSurvey struct {
	store mirror.CollectStore
	log   *zap.Logger

	mu        sync.Mutex
	surveying bool
	at        time.Time
	usage     *storeUsage // nil before the first survey
}

func newStoreSurvey(store mirror.CollectStore, log *zap.Logger) *storeSurvey {
	return &storeSurvey{store: store, log: log}
}

// storeUsage is the content of a store by origin.
type storeUsage struct {
	bytes              map[mirror.Origin]int64
	files, tags, repos map[mirror.Origin]int
}

// unused is the origin of content that no repository refers to.
const unused mirror.Origin = "unused"

// emit exports the last result and starts a survey if it is old.
func (s *storeSurvey) emit(e emitter) {
	if s.store == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.surveying && time.Since(s.at) >= surveyInterval {
		s.surveying = true
		go s.survey()
	}
	if s.usage == nil {
		return
	}
	e.gauge(surveyedAt, float64(s.at.Unix()))
	for _, origin := range []mirror.Origin{mirror.Pushed, mirror.Mirrored, mirror.Imported, unused} {
		label := string(origin)
		e.gauge(storeBytes, float64(s.usage.bytes[origin]), label)
		e.gauge(storeFiles, float64(s.usage.files[origin]), label)
		if origin != unused {
			e.gauge(storeTags, float64(s.usage.tags[origin]), label)
			e.gauge(storeRepos, float64(s.usage.repos[origin]), label)
		}
	}
}

// survey surveys the store. It ends with an error if the store is closed.
func (s *storeSurvey) survey() {
	usage, err := measure(s.store)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.surveying, s.at = false, time.Now()
	if err != nil {
		s.log.Warn("cannot survey the store for metrics", zap.Error(err))
		return
	}
	s.usage = usage
}

// measure adds up the content of a store. It only keeps the repositories in memory.
func measure(store mirror.CollectStore) (*storeUsage, error) {
	var h *storeUsage
	err := store.Survey(context.Background(), func(survey mirror.Survey) error {
		h = &storeUsage{
			bytes: map[mirror.Origin]int64{}, files: map[mirror.Origin]int{}, tags: map[mirror.Origin]int{}, repos: map[mirror.Origin]int{},
		}
		repos := survey.Repos()
		for _, repo := range repos {
			h.repos[repo.Origin]++
		}
		for tag, err := range survey.Tags() {
			if err == nil { // a verification reports entries that cannot be read
				h.tags[tag.Origin]++
			}
		}
		for blob, err := range survey.Blobs() {
			if err == nil {
				origin := cmp.Or(blob.Origin(repos), unused)
				h.bytes[origin] += blob.Size
				h.files[origin]++
			}
		}
		return nil
	})
	return h, err
}

var _ prometheus.Collector = (*state)(nil)
