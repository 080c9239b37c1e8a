package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// pullState is the kind of the records of pulls in the state of the mirror, by image.
	pullState = "pulls"
	// pullDays is how many days are counted.
	pullDays = 90
	// maxPulled is the number of images that are counted. Others are served, and not counted.
	maxPulled = 50_000
	// savePulls is how often counts are saved. A process that is killed loses those since then, as with times of last use.
	savePulls = time.Minute
)

// pulls counts how often clients read the manifest of each image on each of the last days. Indexes are not counted: a client
// that pulls an image reads the manifest of its platform as well. The counts are in memory, so that a pull costs no
// transaction, and are saved together.
type pulls struct {
	store mirror.StateStore
	now   func() time.Time
	log   *zap.Logger

	mu      sync.Mutex
	counts  map[pulledImage]*pullCounts
	changed map[pulledImage]struct{} // since they were saved
	saved   time.Time
	day     int // of the last save
}

type pulledImage struct {
	repo   mirror.Repo
	digest digest.Digest
}

// pullCounts is the record of an image: the counts of consecutive days, the latest first. Day is that of the first one, in days
// since 1970, UTC.
type pullCounts struct {
	Day    int      `json:"day"`
	Counts []uint32 `json:"counts"`
}

func newPulls(store mirror.StateStore, now func() time.Time, log *zap.Logger) *pulls {
	return &pulls{
		store: store, now: now, log: log, saved: now(), counts: make(map[pulledImage]*pullCounts), changed: make(map[pulledImage]struct{}),
	}
}

func dayOf(at time.Time) int { return int(at.Unix() / int64(24*time.Hour/time.Second)) }

// load reads the counts of earlier runs. Records that are not valid are left out.
func (p *pulls) load(ctx context.Context) error {
	records, err := p.store.State(ctx, pullState)
	if err != nil {
		return fmt.Errorf("read the counts of pulls: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, record := range records {
		ref, err := mirror.ParseRef(key)
		var c pullCounts
		if err == nil && ref.Digest != "" && json.Unmarshal(record, &c) == nil && len(c.Counts) <= pullDays {
			p.counts[pulledImage{ref.Repo, ref.Digest}] = &c
		}
	}
	return nil
}

// count counts a pull by a client.
func (p *pulls) count(ctx context.Context, repo mirror.Repo, d digest.Digest) {
	if mirror.UsageIgnored(ctx) {
		return
	}
	image, today := pulledImage{repo, d}, dayOf(p.now())
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[image]
	if c == nil {
		if len(p.counts) >= maxPulled {
			return
		}
		c = &pullCounts{}
		p.counts[image] = c
	}
	c.add(today)
	p.changed[image] = struct{}{}
}

// add counts a pull on a day. If the clock was set back, the latest count is continued.
func (c *pullCounts) add(day int) {
	passed := day - c.Day
	switch c.Day = day; {
	case len(c.Counts) == 0 || passed >= pullDays:
		c.Counts = []uint32{0}
	case passed > 0:
		counts := make([]uint32, min(passed+len(c.Counts), pullDays))
		copy(counts[passed:], c.Counts)
		c.Counts = counts
	}
	c.Counts[0]++
}

// of returns how often an image was pulled on each of the last days, the oldest first, without days on which it was not.
func (p *pulls) of(repo mirror.Repo, d digest.Digest) (days []mirror.PullDay) {
	today := dayOf(p.now())
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[pulledImage{repo, d}]
	if c == nil {
		return nil
	}
	for i := len(c.Counts) - 1; i >= 0; i-- {
		if day := c.Day - i; c.Counts[i] > 0 && day > today-pullDays {
			days = append(days, mirror.PullDay{Day: time.Unix(int64(day)*24*60*60, 0).UTC().Format(time.DateOnly), Pulls: int64(c.Counts[i])})
		}
	}
	return days
}

// total returns how often an image was pulled on the last days.
func (p *pulls) total(repo mirror.Repo, d digest.Digest) (n int64) {
	oldest := dayOf(p.now()) - pullDays
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.counts[pulledImage{repo, d}]; c != nil {
		for i, count := range c.Counts {
			if c.Day-i > oldest {
				n += int64(count)
			}
		}
	}
	return n
}

// saveIfDue saves the counts if that was not done for a while.
func (p *pulls) saveIfDue(ctx context.Context) {
	if mirror.Within(p.saved, p.now(), savePulls) {
		return
	}
	if err := p.save(ctx); err != nil {
		p.log.Error("cannot save the counts of pulls, trying again", zap.Error(err))
	}
}

// save saves the counts that have changed, and once a day forgets images that were not pulled for long. It is not called
// concurrently.
func (p *pulls) save(ctx context.Context) error {
	p.saved = p.now()
	records, changed, err := p.pending(dayOf(p.saved))
	if err != nil || len(records) == 0 {
		return err
	}
	if err := p.store.SetState(ctx, pullState, records); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		for image := range changed {
			p.changed[image] = struct{}{}
		}
		p.day = 0
		return err
	}
	return nil
}

// pending returns the records that are to be written, and the images whose counts they have.
func (p *pulls) pending(today int) (records map[string][]byte, changed map[pulledImage]struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	records = make(map[string][]byte)
	if p.day != today {
		p.day = today
		for image, c := range p.counts {
			if today-c.Day >= pullDays {
				delete(p.counts, image)
				delete(p.changed, image)
				records[image.key()] = nil
			}
		}
	}
	for image := range p.changed {
		if records[image.key()], err = json.Marshal(p.counts[image]); err != nil {
			return nil, nil, err
		}
	}
	changed, p.changed = p.changed, make(map[pulledImage]struct{})
	return records, changed, nil
}

func (i pulledImage) key() string { return mirror.Ref{Repo: i.repo, Digest: i.digest}.String() }
