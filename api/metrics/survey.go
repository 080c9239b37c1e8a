package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// surveyInterval is the least time between two looks at all that is held, which take a while where that is much.
const surveyInterval = 5 * time.Minute

var (
	storeBytes = desc("store_bytes", "What is held, by how the repositories came that have it: what several have counts as imported before pushed before mirrored, and what none has as unused.", "origin")
	storeFiles = desc("store_files", "Files of blobs and manifests, as store_bytes.", "origin")
	storeTags  = desc("store_tags", "Tags, by how they came.", "origin")
	storeRepos = desc("store_repositories", "Repositories, by how they came.", "origin")
	surveyedAt = desc("store_surveyed_timestamp_seconds", "When what is held was last looked at, in Unix time.")
)

// sizes are how much a store held when it was last surveyed. That is done in the background, when somebody wants to know
// and it was long ago.
type storeSurvey struct {
	store mirror.CollectStore
	log   *zap.Logger

	mu        sync.Mutex
	surveying bool
	at        time.Time
	usage     *storeUsage // nil until it is known
}

func newStoreSurvey(store mirror.CollectStore, log *zap.Logger) *storeSurvey {
	return &storeSurvey{store: store, log: log}
}

// holding is how much is held, by origin.
type storeUsage struct {
	bytes              map[mirror.Origin]int64
	files, tags, repos map[mirror.Origin]int
}

// unused is the origin of what nothing uses.
const unused mirror.Origin = "unused"

// emit tells what is known, and has somebody look if that is old.
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

// look surveys the store. Closing that ends it with an error, which is nobody's business then.
func (s *storeSurvey) survey() {
	held, err := measure(s.store)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.surveying, s.at = false, time.Now()
	if err != nil {
		s.log.Warn("cannot tell how much is held", zap.Error(err))
		return
	}
	s.usage = held
}

// hold adds up what a store holds, with memory for its repositories alone.
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
			if err == nil { // what cannot be read is found by a verification
				h.tags[tag.Origin]++
			}
		}
		for blob, err := range survey.Blobs() {
			if err == nil {
				origin := originOf(blob, repos)
				h.bytes[origin] += blob.Size
				h.files[origin]++
			}
		}
		return nil
	})
	return h, err
}

// originOf is that of the repositories that have a blob; of several, the one that cannot be fetched again.
func originOf(blob *mirror.SurveyedBlob, repos []mirror.SurveyedRepo) mirror.Origin {
	origin := unused
	for _, i := range blob.Repos {
		switch repos[i].Origin {
		case mirror.Imported:
			return mirror.Imported
		case mirror.Pushed:
			origin = mirror.Pushed
		case mirror.Mirrored:
			if origin == unused {
				origin = mirror.Mirrored
			}
		}
	}
	return origin
}

var _ prometheus.Collector = (*state)(nil)
