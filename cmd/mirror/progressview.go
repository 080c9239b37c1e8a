package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"airmirror/mirror"
)

// progressView shows the results and the progress of a job to people.
type progressView interface {
	// line prints a result.
	line(text string)
	// progress shows the progress in bytes. label is a text in front, such as "3 of 7 images", and current the current
	// item; both may be empty.
	progress(label string, done, total int64, current string)
	// end removes the progress.
	end()
}

// newProgressView returns a view that writes results to out, and the progress to the error output of cmd: as a bar if that is
// a terminal, as lines otherwise. With --quiet, it shows neither.
func newProgressView(cmd *cobra.Command, out io.Writer) progressView {
	progress := cmd.ErrOrStderr()
	if isQuiet(cmd) {
		return noView{}
	}
	if file, ok := terminalOf(progress); ok {
		return newBarView(out, file)
	}
	return newPlainView(out, progress)
}

// noView shows nothing.
type noView struct{}

func (noView) line(string)                           {}
func (noView) progress(string, int64, int64, string) {}
func (noView) end()                                  {}

// rate measures the average speed since the first call of of.
type rate struct{ began time.Time }

// of returns the bytes per second and the remaining time; 0 in the first second.
func (r *rate) of(done, total int64) (speed int64, left time.Duration) {
	if r.began.IsZero() {
		r.began = time.Now()
	}
	seconds := time.Since(r.began).Seconds()
	if seconds < 1 || done <= 0 {
		return 0, 0
	}
	perSecond := float64(done) / seconds
	return int64(perSecond), time.Duration(float64(max(0, total-done)) / perSecond * float64(time.Second)).Round(time.Second)
}

// amounts formats the progress in bytes.
func (r *rate) amounts(done, total int64) string {
	text := fmt.Sprintf("%s of %s", size(done), size(total))
	speed, left := r.of(done, total)
	if speed > 0 {
		text += fmt.Sprintf(", %s/s", size(speed))
	}
	if left > 0 {
		text += fmt.Sprintf(", %s left", left)
	}
	return text
}

// plainInterval is how often a plainView prints the progress.
const plainInterval = 5 * time.Second

// plainView prints lines: results at once, and the latest progress at intervals.
type plainView struct {
	out, to io.Writer
	stop    chan struct{}
	stopped chan struct{}

	mu     sync.Mutex
	rate   rate
	latest string
}

func newPlainView(out, to io.Writer) *plainView {
	s := &plainView{out: out, to: to, stop: make(chan struct{}), stopped: make(chan struct{}), latest: "starting"}
	go s.run()
	return s
}

func (s *plainView) run() {
	defer close(s.stopped)
	ticker := time.NewTicker(plainInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.mu.Lock()
			fmt.Fprintln(s.to, s.latest)
			s.mu.Unlock()
		case <-s.stop:
			return
		}
	}
}

func (s *plainView) line(text string) { fmt.Fprintln(s.out, mirror.Printable(text)) }

func (s *plainView) progress(label string, done, total int64, current string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if label != "" {
		label += ", "
	}
	s.latest = label + s.rate.amounts(done, total)
	if current != "" {
		s.latest += ": " + mirror.Printable(current)
	}
}

func (s *plainView) end() {
	close(s.stop)
	<-s.stopped
}

// barView shows a progress bar on a terminal, below the results.
type barView struct {
	out  io.Writer
	bars *mpb.Progress
	bar  *mpb.Bar

	mu             sync.Mutex // guards the fields that the goroutine of the bar reads
	rate           rate
	label, current string
}

func newBarView(out io.Writer, terminal *os.File) *barView {
	s := &barView{out: out, bars: mpb.New(mpb.WithOutput(terminal))}
	s.bar = s.bars.New(0, mpb.NopStyle(), mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Any(s.text)))
	if _, ok := terminalOf(out); ok {
		s.out = s.bars // prints above the bar and redraws it
	}
	return s
}

// text returns the line of the bar.
func (s *barView) text(bar decor.Statistics) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return barLine{label: s.label, done: bar.Current, total: bar.Total, amounts: s.rate.amounts(bar.Current, bar.Total), current: s.current}.fit(bar.AvailableWidth)
}

func (s *barView) line(text string) { fmt.Fprintln(s.out, mirror.Printable(text)) }

func (s *barView) progress(label string, done, total int64, current string) {
	s.mu.Lock()
	s.label, s.current = mirror.Printable(label), mirror.Printable(current)
	s.mu.Unlock()
	s.bar.SetTotal(total, false)
	s.bar.SetCurrent(done)
}

func (s *barView) end() {
	s.bar.Abort(true)
	s.bars.Wait()
}
