package prefetch

import (
	"strings"
	"time"

	"airmirror/mirror"
	"airmirror/sync/progress"
)

// The kinds of [Event].
const (
	// KindPlan is reported once, when the images are known. Total is their number.
	KindPlan = "plan"
	// KindProgress is reported at intervals. Done and Total are bytes; Total grows while manifests are fetched. Doing
	// names the content that is being fetched.
	KindProgress = "progress"
	// KindImage reports the result of one image: Fetched, or Error, or both if a part of it was fetched. NotChecked is set
	// if the stored image was not confirmed by its upstream. Total and Done are as in KindProgress.
	KindImage = "image"
	// KindDone is reported last, with the Summary. Total and Done are as in KindProgress.
	KindDone = "done"
)

// Event is an event of [Run].
type Event struct {
	Time    time.Time
	Kind    string
	Image   string // host/path:tag or host/path@digest, or the text that could not be parsed
	Total   int64
	Done    int64
	Doing   string
	Fetched *mirror.Fetched
	Error   string
	// NotChecked is the reason why the upstream did not say which digest a tag points at now, or which tags exist.
	NotChecked string
	Summary    *Summary
}

// Summary is the result of [Run].
type Summary struct {
	Images   int      `json:"images"` // requested images; each selected tag counts
	Failed   int      `json:"failed"` // images that are not complete
	Bytes    int64    `json:"bytes"`  // of all blobs of the images; blobs that images share count for each
	New      int64    `json:"new"`    // bytes that were not stored before
	Failures []string `json:"failures,omitempty"`
	Skipped  int      `json:"skipped,omitempty"` // image IDs, which name nothing; they do not count as Images
	// NotChecked is the number of images that are complete as stored and that their upstream did not confirm. Unchecked
	// lists them with the reasons.
	NotChecked int      `json:"notChecked"`
	Unchecked  []string `json:"unchecked,omitempty"`
}

// emit adds the time and the progress to an event and reports it.
func (r *run) emit(event Event) {
	r.Report(func(now progress.Snapshot) {
		event.Time = now.Time
		if event.Kind == KindProgress {
			event.Doing = now.Current
		}
		if event.Kind != KindPlan {
			event.Done, event.Total = now.Done, now.Total
		}
		r.report(event)
	})
}

// reason returns in one line why an image is not complete. The caller shows the name of the image in front, so the text
// omits that name, and contains each cause only once.
func reason(image string, err error) string {
	var reasons []string
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		reasons = append(reasons, strings.ReplaceAll(reasonFor(image, err), "\n", "; "))
	}
	return strings.Join(reasons, "; ")
}

func reasonFor(image string, err error) string {
	name, cause, ok := mirror.MissReason(err)
	if !ok {
		name, cause = image, err
	}
	text := strings.TrimPrefix(strings.TrimPrefix(cause.Error(), image+" "), "upstream ")
	if host, _, ok := strings.Cut(text, " does not have "); ok {
		text = host + " does not have it"
	}
	if name == image {
		return text
	}
	return name + ": " + text
}
