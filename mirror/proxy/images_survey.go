package proxy

import (
	"context"
	"sync"
	"time"

	"airmirror/mirror"
)

const (
	// surveyValidity is how long a survey of the images is valid, as a multiple of the time that it took. So at most about
	// a tenth of the time is spent on surveys.
	surveyValidity = 10
	// surveyPatience is the longest survey that a caller waits for if there is an older one.
	surveyPatience = 250 * time.Millisecond
	// maxSurveyAge is the age up to which a list is made of a survey that is not valid any more, while the next one runs.
	maxSurveyAge = 10 * time.Minute
	// rowsKept is how long the rows of a survey are kept after the last list that needed them.
	rowsKept = 10 * time.Minute
	// maxRows is the maximum number of rows. They take about a hundred bytes each.
	maxRows = 500_000
)

// imageSurvey is what the last walk over all images found: their numbers and, if lists need them, a row for each.
type imageSurvey struct {
	mu      sync.Mutex
	last    *surveyedImages // nil before the first one, and after one that failed
	running *surveyRun      // nil if none runs
	// needed is when a list last needed rows, and rows with platforms.
	needed [2]time.Time
}

// surveyRun is a survey that runs.
type surveyRun struct {
	done   chan struct{} // closed at the end
	hurry  chan struct{} // closed when somebody waits for it
	waited sync.Once     // closes hurry
	result *surveyedImages
	err    error
}

// surveyDetail is how much of each image a survey keeps.
type surveyDetail int

const (
	countImages surveyDetail = iota
	keepRows
	keepPlatforms // rows with the platforms, for which configs are read
)

// surveyedImages is the result of a survey. It does not change.
type surveyedImages struct {
	detail surveyDetail
	counts mirror.ImageCounts
	ended  time.Time
	took   time.Duration
	repos  []string
	rows   []imageRow // in the order of names
	// tooMany means that there are no rows, because there would be more than maxRows.
	tooMany bool
}

// imageRow is an image in a survey. It is small, since there may be many.
type imageRow struct {
	name          string // tag or, for a root, the digest
	platform      string
	size          int64
	used, updated int64 // in nanoseconds since 1970; 0 if unknown
	repo          int32 // index in repos
	n             int32 // number of the image within its name, from 0
	origin        uint8 // index in rowOrigins
	root          bool
	complete      bool
	pinned        bool
	attached      mirror.Attached
}

var rowOrigins = [...]mirror.Origin{"", mirror.Pushed, mirror.Mirrored, mirror.Imported}

// ImageCounts counts the images that repo selects; nil selects all. The counts are those of the last survey. If that is
// not valid any more, the next one begins. ImageCounts waits only if there was none, or if surveys are short.
func (i *images) ImageCounts(ctx context.Context, repo func(mirror.Repo) bool) (mirror.ImageCounts, error) {
	detail := countImages
	if repo != nil {
		detail = keepRows
	}
	s, err := i.surveyed(ctx, detail, 0)
	if err != nil || repo == nil {
		return s.getCounts(), err
	}
	if s.tooMany {
		return mirror.ImageCounts{}, errTooManyImages
	}
	selected := s.selectRepos(repo)
	var counts countedImages
	counts.Surveyed = s.counts.Surveyed
	for k := range s.rows {
		if row := &s.rows[k]; selected[row.repo] {
			counts.add(s.image(row))
		}
	}
	return counts.ImageCounts, nil
}

// CountByRepo returns the number of images of each repository that repo selects; nil selects all. It is as old as that of
// ImageCounts.
func (i *images) CountByRepo(ctx context.Context, repo func(mirror.Repo) bool) (map[string]int, error) {
	s, err := i.surveyed(ctx, keepRows, 0)
	switch {
	case err != nil:
		return nil, err
	case s.tooMany:
		return nil, errTooManyImages
	}
	selected, counts := s.selectRepos(repo), make(map[string]int)
	for k := range s.rows {
		if at := s.rows[k].repo; selected[at] {
			counts[s.repos[at]]++
		}
	}
	return counts, nil
}

// recountIncomplete returns the current number of incomplete images.
func (i *images) recountIncomplete(ctx context.Context) (int, error) {
	began := time.Now()
	for {
		run, err := i.startSurvey(countImages)
		if err != nil {
			return 0, err
		}
		if err := run.wait(ctx); err != nil {
			return 0, err
		}
		if !run.result.counts.Surveyed.Before(began) { // it did not run already
			return run.result.counts.Incomplete, nil
		}
	}
}

// surveyed returns a survey with that detail. One that is not valid any more is returned while the next one runs, if that
// takes long and it is not older than maxAge; 0 means any age.
func (i *images) surveyed(ctx context.Context, detail surveyDetail, maxAge time.Duration) (*surveyedImages, error) {
	for {
		last := i.survey.lastWith(detail)
		age := time.Duration(0)
		if last != nil {
			if age = time.Since(last.ended); age < surveyValidity*last.took {
				return last, nil
			}
		}
		run, err := i.startSurvey(detail)
		if err != nil {
			return nil, err
		}
		if last != nil && last.took > surveyPatience && (maxAge == 0 || age < maxAge) {
			return last, nil
		}
		if err := run.wait(ctx); err != nil {
			return nil, err
		}
		if run.result.detail >= detail {
			return run.result, nil
		}
	}
}

// lastWith returns the last survey, if there is one with that detail.
func (s *imageSurvey) lastWith(detail surveyDetail) *surveyedImages {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := keepRows; d <= detail; d++ {
		s.needed[d-keepRows] = time.Now()
	}
	if s.last == nil || s.last.detail < detail {
		return nil
	}
	return s.last
}

// detail returns how much the next survey keeps, given what its first caller needs. The caller holds the lock.
func (s *imageSurvey) detail(needed surveyDetail) surveyDetail {
	for d := keepPlatforms; d > needed; d-- {
		if at := s.needed[d-keepRows]; !at.IsZero() && time.Since(at) < rowsKept {
			return d
		}
	}
	return needed
}

// SurveyInAdvance surveys the images in the background, so that the first list by anything but the name need not wait. The
// survey rests as long as it works, until somebody waits for it.
func (i *images) SurveyInAdvance() {
	_, _ = i.startSurvey(keepRows) // it fails only when the mirror stops
}

// startSurvey returns the survey that runs. If there is none, it starts one.
func (i *images) startSurvey(detail surveyDetail) (*surveyRun, error) {
	s := &i.survey
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running, nil
	}
	if err := i.tasks.begin(); err != nil {
		return nil, err
	}
	run := &surveyRun{done: make(chan struct{}), hurry: make(chan struct{})}
	s.running = run
	detail = s.detail(detail)
	go func() {
		defer i.tasks.done()
		ctx, cancel := i.tasks.untilClose(i.tasks.ctx)
		defer cancel()
		run.result, run.err = i.surveyImages(ctx, detail, run.rest)
		s.mu.Lock()
		s.last, s.running = run.result, nil
		s.mu.Unlock()
		close(run.done)
	}()
	return run, nil
}

// wait waits until the survey ends, and returns its error or that of ctx.
func (r *surveyRun) wait(ctx context.Context) error {
	r.waited.Do(func() { close(r.hurry) })
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rest waits for d, unless somebody waits for the survey.
func (r *surveyRun) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.hurry:
	case <-ctx.Done():
	}
}

// surveyPart is the number of images after which a survey rests.
const surveyPart = 256

// surveyImages walks over all images, and rests in between. It returns nil with an error.
func (i *images) surveyImages(ctx context.Context, detail surveyDetail, rest func(context.Context, time.Duration)) (*surveyedImages, error) {
	began := time.Now()
	worked := began
	var rested time.Duration
	s := &surveyedImages{detail: detail}
	var counts countedImages
	counts.Surveyed = began.UTC()
	platforms := make(map[string]string)
	for image, err := range i.list(ctx, mirror.ImageMatch{}, detail == keepPlatforms) {
		if err != nil {
			return nil, err
		}
		if counts.add(image); counts.Images%surveyPart == 0 {
			now := time.Now()
			rest(ctx, now.Sub(worked))
			worked = time.Now()
			rested += worked.Sub(now)
		}
		if detail == countImages || s.tooMany {
			continue
		}
		if s.tooMany = len(s.rows) == maxRows; s.tooMany {
			s.rows = nil
			continue
		}
		s.add(image, platforms)
	}
	s.counts, s.ended, s.took = counts.ImageCounts, time.Now(), time.Since(began)-rested
	return s, nil
}

// add adds a row. platforms has each platform once.
func (s *surveyedImages) add(image mirror.Image, platforms map[string]string) {
	if n := len(s.repos); n == 0 || s.repos[n-1] != image.Repo {
		s.repos = append(s.repos, image.Repo)
	}
	if _, known := platforms[image.Platform]; !known {
		platforms[image.Platform] = image.Platform
	}
	row := imageRow{
		name: image.Tag, platform: platforms[image.Platform], size: image.Size, used: nanosOf(image.LastUsed), updated: nanosOf(image.Updated),
		repo: int32(len(s.repos) - 1), complete: image.Complete, pinned: image.Pinned, root: image.Root != "", attached: image.Attached,
	}
	if row.root {
		row.name = image.Root.String()
	}
	for o, origin := range rowOrigins {
		if origin == image.Origin {
			row.origin = uint8(o)
		}
	}
	if n := len(s.rows); n > 0 {
		if before := &s.rows[n-1]; before.repo == row.repo && before.root == row.root && before.name == row.name {
			row.n = before.n + 1
		}
	}
	s.rows = append(s.rows, row)
}

func nanosOf(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixNano()
}

func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// image returns what a row knows of its image.
func (s *surveyedImages) image(row *imageRow) mirror.Image {
	return mirror.Image{
		Repo: s.repos[row.repo], Platform: row.platform, Origin: rowOrigins[row.origin], Size: row.size,
		Complete: row.complete, Pinned: row.pinned, Attached: row.attached, Updated: timeOf(row.updated), LastUsed: timeOf(row.used),
	}
}

// selectRepos reports for each repository whether f selects it.
func (s *surveyedImages) selectRepos(f func(mirror.Repo) bool) []bool {
	selected := make([]bool, len(s.repos))
	for k, name := range s.repos {
		repo, err := mirror.ParseRepo(name)
		selected[k] = err == nil && (f == nil || f(repo))
	}
	return selected
}

// getCounts returns the counts; none for nil.
func (s *surveyedImages) getCounts() mirror.ImageCounts {
	if s == nil {
		return mirror.ImageCounts{Origins: map[mirror.Origin]int{}}
	}
	return s.counts
}

// countedImages counts images that come in the order of their names.
type countedImages struct {
	mirror.ImageCounts
	repo string
}

func (c *countedImages) add(image mirror.Image) {
	if c.Origins == nil {
		c.Origins = make(map[mirror.Origin]int)
	}
	if c.Images++; image.Complete {
		c.Complete++
	} else {
		c.Incomplete++
	}
	if image.Error != "" {
		c.Unreadable++
	}
	if image.Pinned {
		c.Pinned++
	}
	if image.Origin != "" {
		c.Origins[image.Origin]++
	}
	if c.repo != image.Repo {
		c.repo = image.Repo
		c.Repositories++
	}
}
