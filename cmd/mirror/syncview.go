package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"airmirror/sync/images"
)

// syncView shows a sync while it runs.
type syncView interface {
	// event shows what happened; line is the same, as the mirror sent it.
	event(e images.Event, line []byte) error
	// end shows how it ended; nil if it was broken off.
	end(summary *images.Summary) error
}

// newSyncView returns what suits a terminal, a file or a program: results on out, progress on progress.
func newSyncView(out, progress io.Writer, asJSON bool) syncView {
	if asJSON {
		return jsonView{out}
	}
	results := results{out: out, began: time.Now()}
	if file, ok := progress.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return newBarView(results, file)
	}
	return newPlainView(results, progress)
}

// jsonView prints every event in a line.
type jsonView struct{ out io.Writer }

func (v jsonView) event(_ images.Event, line []byte) error {
	_, err := fmt.Fprintf(v.out, "%s\n", line)
	return err
}

func (v jsonView) end(*images.Summary) error { return nil }

// results prints what became of each image, and of all of them.
type results struct {
	out   io.Writer
	began time.Time
}

func (r results) image(e images.Event) {
	switch {
	case e.Error != "":
		fmt.Fprintf(r.out, "%s: missing: %s\n", e.Image, e.Error)
	case e.Fetched.New == 0:
		fmt.Fprintf(r.out, "%s: held whole, %s, none of it new\n", e.Image, size(e.Fetched.Bytes))
	default:
		fmt.Fprintf(r.out, "%s: held whole, %s, %s of it new\n", e.Image, size(e.Fetched.Bytes), size(e.Fetched.New))
	}
}

func (r results) summary(s *images.Summary) {
	if s == nil {
		return
	}
	missing := ""
	if s.Failed > 0 {
		missing = fmt.Sprintf(", %d missing", s.Failed)
	}
	fmt.Fprintf(r.out, "%s: %d held whole%s; %s fetched in %s\n", count(s.Images, "image", "images"), s.Images-s.Failed, missing,
		size(s.New), time.Since(r.began).Round(10*time.Millisecond))
}

// plainInterval is how often progress is printed where nobody looks at it all the time.
const plainInterval = 5 * time.Second

// plainView prints lines: results as they come, and progress now and then even if there is none.
type plainView struct {
	results
	progress io.Writer
	stop     chan struct{}
	stopped  chan struct{}

	mu            sync.Mutex
	last          images.Event
	planned, done int64 // images
}

func newPlainView(r results, progress io.Writer) *plainView {
	v := &plainView{results: r, progress: progress, stop: make(chan struct{}), stopped: make(chan struct{})}
	go v.run()
	return v
}

func (v *plainView) run() {
	defer close(v.stopped)
	ticker := time.NewTicker(plainInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			v.mu.Lock()
			fmt.Fprintf(v.progress, "%d of %d images, %s of %s: %s\n", v.done, v.planned, size(v.last.Done), size(v.last.Total), v.last.Doing)
			v.mu.Unlock()
		case <-v.stop:
			return
		}
	}
}

func (v *plainView) event(e images.Event, _ []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Kind {
	case images.KindPlan:
		v.planned = e.Total
	case images.KindProgress:
		v.last = e
	case images.KindImage:
		v.done++
		v.image(e)
	}
	return nil
}

func (v *plainView) end(s *images.Summary) error {
	close(v.stop)
	<-v.stopped
	v.summary(s)
	return nil
}
